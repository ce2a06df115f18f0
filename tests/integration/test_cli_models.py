"""`breakwater model`: the catalogue, and files for it, without any Redis."""

from pathlib import Path

import pytest

from tests.integration.cli_calls import invoke, printed, refused
from tests.integration.http.test_models import FILE


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A Redis that is not there, and a terminal wide enough for any table."""
    monkeypatch.setenv("BREAKWATER_REDIS_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("COLUMNS", "250")
    return monkeypatch


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of models."""
    path = tmp_path / "models.toml"
    path.write_text(FILE)
    return path


def test_the_catalogue_is_listed(environment: pytest.MonkeyPatch, file: Path) -> None:
    """Built-in models and those of the file, with state, price and replacement."""
    assert "openai/sora-2" in invoke("model", "list").stdout
    environment.setenv("BREAKWATER_MODELS_FILE", str(file))
    rows = printed("model", "list")["data"]
    assert {"openai/sora-2", "acme/old", "acme/gone"} < {row["id"] for row in rows}
    assert [row["id"] for row in printed("model", "list", "--state", "retired")["data"]] == ["acme/gone"]
    [line] = [line for line in invoke("model", "list").stdout.splitlines() if "acme/old" in line]
    assert "deprecated" in line
    assert "$0.20" in line


def test_one_model_is_shown(environment: pytest.MonkeyPatch, file: Path) -> None:
    """What it takes, costs and how it is looked at; an unknown one is one line with those there are."""
    shown = invoke("model", "show", "openai/sora-2-pro/text-to-video").stdout
    for told in ("prompt (required)", "$1.20: 0.50 * duration", "after 90 s, then every 5 to 30 s", "1800 s"):
        assert told in shown
    assert printed("model", "show", "openai/sora-2")["inputs"]["required"] == ["prompt"]
    assert "unknown model 'openai/sora-9'; available: openai/sora-2" in refused("model", "show", "openai/sora-9")
    environment.setenv("BREAKWATER_MODELS_FILE", str(file))
    assert printed("model", "show", "acme/old")["sunset_at"] == "2026-12-31T00:00:00.000Z"


def test_a_file_is_checked(file: Path) -> None:
    """A good file: what it would add and replace. A bad one: one line that names the model and the field."""
    file.write_text(FILE.replace("acme/gone", "openai/sora-2/text-to-video"))
    assert [(one["id"], one["change"]) for one in printed("model", "check", str(file))["models"]] == [
        ("acme/old", "new"),
        ("openai/sora-2/text-to-video", "replaces a built-in model"),
    ]
    assert "Next: set BREAKWATER_MODELS_FILE" in invoke("model", "check", str(file)).stdout
    file.write_text(FILE.replace("usual_s = 30", "usual_s = 0", 1))
    assert "models.acme/old.poll.usual_s" in refused("model", "check", str(file))
    file.write_text("\n")
    assert "it is empty" in refused("model", "check", str(file))
    file.write_bytes(b"\xff")
    assert "utf-8" in refused("model", "check", str(file))


def test_a_bad_file_in_the_environment(environment: pytest.MonkeyPatch, file: Path) -> None:
    """It is named by its variable."""
    file.write_text("models = 3")
    environment.setenv("BREAKWATER_MODELS_FILE", str(file))
    assert "BREAKWATER_MODELS_FILE" in refused("model", "list")


def test_the_file_of_the_documentation(file: Path) -> None:
    """The sample of docs/models.md can be used as it stands there."""
    page = (Path(__file__).parents[2] / "docs" / "models.md").read_text()
    file.write_text(page.split("```toml\n")[1].split("```")[0])
    [model] = printed("model", "check", str(file))["models"]
    assert (model["id"], model["usual_usd"]) == ("bytedance/seedance-2/text-to-video", "0.40")
