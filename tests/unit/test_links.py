"""The documentation leads somewhere: every relative link names a file, and every anchor a heading in it."""

import re
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])

_CODE: Final = re.compile(r"^```.*?^```|`[^`\n]*`", re.DOTALL | re.MULTILINE)
_LINK: Final = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING: Final = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)
_NAMED: Final = re.compile(r"`((?:tests|docs|benchmarks|deploy|service|worker|simulator)/[\w./-]+)(?:::(\w+))?`")


def anchors(text: str) -> set[str]:
    """The anchors that headings get where Markdown is shown: lower case, blanks as hyphens, other signs left out."""
    headings = _HEADING.findall(re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page: Path) -> list[str]:
    """The links of a page that lead nowhere."""
    broken = []
    for link in _LINK.findall(_CODE.sub("", page.read_text())):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text())):
            broken.append(link)
    return broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    """Each relative link of a page names a file that is there, and an anchor in it."""
    assert broken_links(page) == []


def unproved(page: Path, root: Path = ROOT) -> list[str]:
    """Files that a page names and that are not there, and tests that are not in them."""
    gone = []
    for name, test in _NAMED.findall(page.read_text()):
        file = root / name
        if not file.exists() or (test and f"def {test}(" not in file.read_text()):
            gone.append(f"{name}::{test}" if test else name)
    return gone


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_proof_that_is_named_is_there(page: Path) -> None:
    """A file that a page names exists, and so does a test in it (`tests/file.py::test_name`)."""
    assert unproved(page) == []


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    """Neither a missing file nor a missing heading passes; code is no link."""
    page = tmp_path / "page.md"
    page.write_text(
        "# A heading: one\n[a](gone.md) [b](#a-heading-one) [c](#two) `[d](e.md)` [f](https://example.com)\n"
    )
    assert broken_links(page) == ["gone.md", "#two"]


def test_a_proof_that_is_gone_is_found(tmp_path: Path) -> None:
    """Neither a missing file nor a missing test passes."""
    page, tests = tmp_path / "page.md", tmp_path / "tests"
    tests.mkdir()
    (tests / "test_a.py").write_text("def test_one() -> None: ...")
    page.write_text("`tests/test_a.py` `tests/test_a.py::test_one` `tests/test_a.py::test_two` `tests/test_b.py`")
    assert unproved(page, tmp_path) == ["tests/test_a.py::test_two", "tests/test_b.py"]
