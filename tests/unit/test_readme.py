"""What the README says of settings is what the code does."""

from pathlib import Path
from typing import Final

from pydantic import SecretStr
from pydantic_core import PydanticUndefined

from service.settings import Settings, variable_of

README: Final = Path(__file__).parents[2] / "README.md"


def _default(value: object) -> str:
    """A default as the table shows it."""
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    return "" if value in (None, "", (), PydanticUndefined) else f"`{value}`"


def settings_table() -> str:
    """The table of every setting, from the code."""
    rows = [
        f"| `{variable_of(name)}` | {_default(field.default)} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join(["| variable | default | meaning |", "|---|---|---|", *rows])


def test_the_settings_table_is_the_code_s() -> None:
    """Every setting stands in the README with its default and meaning, and nothing else does."""
    text = README.read_text()
    written = text.split("<!-- settings -->")[1].split("<!-- /settings -->")[0].strip()
    assert written == settings_table(), f"put this between the markers:\n\n{settings_table()}"


def test_the_readme_s_make_targets_exist() -> None:
    """Every `make` target the README names is one the Makefile has."""
    makefile = (README.parent / "Makefile").read_text()
    words = README.read_text().replace("`", " ").split()
    targets = {"run", "test", "check", "bench", "lock", "clean", "help", "format"}
    named = {words[i + 1].strip(".,;:") for i, word in enumerate(words[:-1]) if word == "make"} & targets
    assert named >= {"run", "test"}
    assert all(f"\n{target}:" in makefile for target in named)
