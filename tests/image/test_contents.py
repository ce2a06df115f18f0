"""What is in the image, and what is not."""

import os
import re
import stat
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.image.containers import IMAGE, ROOT, inspect, run

MAY_BE_WRITTEN_BY_ALL = {"/tmp", "/var/tmp", "/run/lock"}  # noqa: S108 with the sticky bit, as everywhere


@pytest.fixture
async def mounted(image: str) -> AsyncIterator[Path]:
    """The image's files, as root sees them."""
    yield Path((await run("podman", "image", "mount", image)).strip())
    await run("podman", "image", "unmount", image)


def every_file(mounted: Path) -> list[Path]:
    """Each file and folder of the image."""
    return [Path(folder) / name for folder, folders, files in os.walk(mounted) for name in (*folders, *files)]


async def test_how_it_is_started(image: str) -> None:
    """By a user without privileges, `breakwater serve` unless another role is named, ended by SIGTERM."""
    found = await inspect()
    config = found["Config"]
    assert config["User"] == "10001:10001"
    assert config["Entrypoint"] == ["breakwater"]
    assert config["Cmd"] == ["serve"]
    assert config["StopSignal"] == "SIGTERM"
    assert set(config["ExposedPorts"]) == {"8080/tcp", "9091/tcp"}
    assert (found["Os"], found["User"]) == ("linux", "10001:10001")
    print(f"{IMAGE}: {found['Size'] / 1e6:.0f} MB")  # noqa: T201
    assert found["Size"] < 300e6


async def test_labels_say_what_it_is(image: str) -> None:
    """Title, description, license and version are the project's own; the revision is the commit it was built from."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    labels = (await inspect())["Labels"]
    told = {name.removeprefix("org.opencontainers.image."): text for name, text in labels.items()}
    assert told["title"] == "Breakwater"
    assert told["description"] == project["description"]
    assert told["licenses"] == project["license"]
    assert told["version"] == project["version"]
    assert told["revision"] == (await run("git", "rev-parse", "HEAD")).strip()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)", told["created"])
    assert told["base.name"].startswith("docker.io/library/python:3.")
    assert told["source"]


async def test_no_environment_holds_a_secret(image: str) -> None:
    """What is set in the image is where programs are, and where to listen."""
    names = {line.split("=")[0] for line in (await inspect())["Config"]["Env"]}
    assert {"PATH", "BREAKWATER_HOST", "PYTHONDONTWRITEBYTECODE"} <= names
    assert not [name for name in names if re.search("KEY|TOKEN|SECRET|PASSWORD|PIP_|URL", name)]


def test_nothing_to_build_or_install_with(mounted: Path) -> None:
    """No compiler, no pip or setuptools, nothing pip or apt has kept, nothing of the builder's."""
    files = [str(path.relative_to(mounted)) for path in every_file(mounted)]
    programs = {Path(path).name for path in files if re.match(r"(usr/(local/)?s?bin|opt/breakwater/bin)/", path)}
    assert "breakwater" in programs
    assert not {
        name for name in programs if re.fullmatch(r"(.*-)?(gcc|g\+\+|cc|c\+\+|clang|ld|as|make|git)(-\d+)?", name)
    }
    assert not {name for name in programs if re.match(r"(pip|easy_install|uv$|hatch|wheel)", name)}
    parts = re.compile(r"(^|/)(pip|setuptools|hatchling|ensurepip|_distutils_hack)(-[\d.]+\.dist-info)?(/|$)|\.whl$")
    assert [path for path in files if parts.search(path)] == []
    kept = re.compile(
        r"^(build|root/\.cache|home/[^/]+)(/|$)|^var/lib/apt/lists/[^/]*_|\.deb$|^etc/pip|^root/\.config/"
    )
    assert [path for path in files if kept.search(path)] == []


def test_nothing_of_the_checkout_but_the_packages(mounted: Path) -> None:
    """No tests, benchmarks, documents, git, locks or environment files; the packages with all they read at run time."""
    installed = next((mounted / "opt/breakwater/lib").glob("python3.*/site-packages"))
    assert not [name for name in ("tests", "benchmarks", "docs", "deploy") if (installed / name).exists()]
    named = re.compile(r"^(\.git|\.env.*|.*\.lock|pyproject\.toml|Dockerfile|\.dockerignore|Makefile)$")
    ours = [path for path in every_file(mounted / "opt/breakwater") if named.match(path.name)]
    assert ours == []
    for package in ("service", "worker", "simulator"):
        here = {path.relative_to(ROOT) for path in (ROOT / package).rglob("*") if is_source(path)}
        there = {path.relative_to(installed) for path in (installed / package).rglob("*") if is_source(path)}
        assert here == there


def is_source(path: Path) -> bool:
    """Whether it is a file of the package, not of the interpreter's making."""
    return path.is_file() and path.suffix != ".pyc"


def test_nobody_becomes_root_and_nothing_can_be_changed(mounted: Path) -> None:
    """No setuid or setgid program; only the sticky folders may be written by all; the packages are root's."""
    found = {path: os.lstat(path) for path in every_file(mounted)}
    raising = [path for path, seen in found.items() if stat.S_ISREG(seen.st_mode) and seen.st_mode & 0o6000]
    assert raising == []
    open_to_all = {
        f"/{path.relative_to(mounted)}"
        for path, seen in found.items()
        if seen.st_mode & 0o002 and (stat.S_ISREG(seen.st_mode) or stat.S_ISDIR(seen.st_mode))
    }
    assert open_to_all <= MAY_BE_WRITTEN_BY_ALL
    assert {seen.st_uid for path, seen in found.items() if path.is_relative_to(mounted / "opt")} == {0}
    assert [path for path, seen in found.items() if seen.st_uid == 10001] == []


def test_everything_is_compiled(mounted: Path) -> None:
    """Each module of ours has its bytecode beside it, never compared with the source: a start compiles nothing."""
    installed = next((mounted / "opt/breakwater/lib").glob("python3.*/site-packages"))
    for package in ("service", "worker", "simulator"):
        for module in (installed / package).rglob("*.py"):
            [compiled] = (module.parent / "__pycache__").glob(f"{module.stem}.cpython-*.pyc")
            assert int.from_bytes(compiled.read_bytes()[4:8], "little") == 0b01, module  # PEP 552: hashed, not checked
