"""The dashboards are what their TypeScript sources make of Grafana's own types, and nobody has changed them by hand."""

import shutil
import subprocess
from pathlib import Path
from typing import Final

from tests.watched import CHART, DASHBOARDS, DEPLOY

SOURCES: Final = DEPLOY / "dashboards"


def _compiled(sources: Path, into: Path) -> subprocess.CompletedProcess[str]:
    """Type-check and compile sources, by the compiler that is installed beside the real ones."""
    compiler = SOURCES / "node_modules" / ".bin" / "tsc"
    assert compiler.exists(), "the compiler is not installed: cd deploy/dashboards && npm ci"
    command = [str(compiler), "--project", str(sources), "--outDir", str(into)]
    return subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)


def _copied(to: Path) -> Path:
    """A copy of the sources that finds the same packages."""
    shutil.copytree(SOURCES, to, ignore=shutil.ignore_patterns("node_modules", "build"))
    (to / "node_modules").symlink_to(SOURCES / "node_modules")
    return to


def test_the_dashboards_are_as_their_sources_make_them(tmp_path: Path) -> None:
    """They type-check against Grafana's schema; what comes out is what the chart has, to the byte, and nothing else."""
    sources = _copied(tmp_path / "sources")
    compiled = _compiled(sources, sources / "build")
    assert compiled.returncode == 0, compiled.stdout
    made = tmp_path / "made"
    made.mkdir()
    subprocess.run(["node", str(sources / "build" / "write.js"), str(made)], check=True, timeout=20)
    there = CHART / "dashboards"
    assert {path.name for path in made.iterdir()} == {path.name for path in there.iterdir()}
    assert {path.stem for path in there.iterdir()} == set(DASHBOARDS)
    for path in made.iterdir():
        same = path.read_bytes() == (there / path.name).read_bytes()
        assert same, f"{path.name} is not what its source makes: cd deploy/dashboards && npm ci && npm run build"


def test_grafana_s_schema_is_asked(tmp_path: Path) -> None:
    """A field that Grafana does not know, or of another type, does not compile."""
    sources = _copied(tmp_path / "sources")
    builders = sources / "src" / "panels.ts"
    text = builders.read_text()
    builders.write_text(text.replace("    showUnfilled: true,", "    showUnfiled: true,"))
    compiled = _compiled(sources, sources / "build")
    assert compiled.returncode != 0
    assert "showUnfiled" in compiled.stdout
