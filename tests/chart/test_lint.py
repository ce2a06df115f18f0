"""What helm itself says of the chart."""

import pytest

from tests.chart.rendering import Helm
from tests.chart.variants import VALUES_FILES, VARIANTS


def test_there_are_values_for_dev_small_and_large() -> None:
    """The values files that the documentation names are shipped."""
    assert set(VALUES_FILES) == {"values-dev", "values-small", "values-large"}


@pytest.mark.parametrize("name", [*VALUES_FILES, "required", "everything"])
def test_lint_is_clean(name: str, helm: Helm, helm3: Helm) -> None:
    """`helm lint --strict` of helm 3 and 4 finds no error and no warning, whatever the values file."""
    for one in (helm3, helm):
        done = one.lint(VARIANTS[name])
        assert done.returncode == 0, done.stdout + done.stderr
        assert "[WARNING]" not in done.stdout
        assert "[ERROR]" not in done.stdout
        assert "1 chart(s) linted, 0 chart(s) failed" in done.stdout + done.stderr


@pytest.mark.parametrize("name", VARIANTS)
def test_both_helms_render_the_same(name: str, helm3: Helm, texts: dict[str, str]) -> None:
    """Whoever upgrades helm gets the same objects, to the letter."""
    assert helm3.text(VARIANTS[name]) == texts[name]


def test_notes_end_with_what_to_do_next(helm: Helm) -> None:
    """After an install one reads where it is, how to see it ready, and how to submit."""
    # `helm template` leaves the notes out; a dry run on the client's side has them.
    done = helm.dry_run(VARIANTS["values-small"])
    notes = done.partition("NOTES:")[2]
    assert "https://videos.example.com" in notes
    assert (
        notes.index("rollout status") < notes.index("tenant create") < notes.index("curl -s https://videos.example.com")
    )
