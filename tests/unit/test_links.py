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
_NAMED: Final = re.compile(r"`((?:tests|docs|benchmarks|deploy|service|worker|simulator)/[\w./-]+)`")


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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_that_is_named_is_there(page: Path) -> None:
    """A test or file that a page names as proof exists."""
    assert [name for name in _NAMED.findall(page.read_text()) if not (ROOT / name).exists()] == []


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    """Neither a missing file nor a missing heading passes; code is no link."""
    page = tmp_path / "page.md"
    page.write_text(
        "# A heading: one\n[a](gone.md) [b](#a-heading-one) [c](#two) `[d](e.md)` [f](https://example.com)\n"
    )
    assert broken_links(page) == ["gone.md", "#two"]
