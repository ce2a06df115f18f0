"""A list of what is in the image, for those who have to know; needs the environment of sbom.lock in `.venv/sbom`."""

import json
import re
import sys
from pathlib import Path
from urllib.parse import quote

from packaging.requirements import Requirement

from tests.image.containers import ROOT, run

TOOL = Path(__file__).parent / ".venv" / "sbom" / "bin" / "cyclonedx-py"
SBOM = ROOT / "build" / "breakwater.cdx.json"
VALIDATE = """
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
sys.exit(JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(sys.argv[1]).read()) and "not valid CycloneDX")
"""
"""Asks the library of the same tool; ends with what is wrong."""


def normal(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(environment: dict[str, str]) -> set[str]:
    """What the lock says belongs into such an environment, `name==version`."""
    lines = re.findall(r"^([^\s#][^\\\n]*?)\s*\\?$", (ROOT / "requirements.lock").read_text(), re.M)
    wanted = [Requirement(line) for line in lines if not line.startswith("--hash")]
    return {f"{normal(r.name)}{r.specifier}" for r in wanted if r.marker is None or r.marker.evaluate(environment)}


async def test_the_list_is_exactly_what_is_locked(image: str, tmp_path: Path) -> None:
    """Valid CycloneDX, made from the packages in the image: each locked one in its version, ours, and no other."""
    assert TOOL.exists(), "install tests/image/sbom.lock"
    await run(sys.executable, "-m", "venv", "--without-pip", str(tmp_path))
    mounted = Path((await run("podman", "image", "mount", image)).strip())
    try:
        # An interpreter of this machine that sees just the image's packages.
        [there] = (mounted / "opt/breakwater/lib").glob("python3.*/site-packages")
        [here] = (tmp_path / "lib").glob("python3.*/site-packages")
        (here / "image.pth").write_text(f"{there}\n")
        options = ("--pyproject", "pyproject.toml", "--mc-type", "application", "--gather-license-texts", "--validate")
        python = str(tmp_path / "bin" / "python")
        await run(str(TOOL), "environment", *options, "--output-reproducible", "-o", str(SBOM), python)
    finally:
        await run("podman", "image", "unmount", image)
    listed = json.loads(SBOM.read_text())
    assert listed["bomFormat"] == "CycloneDX"
    root = listed["metadata"]["component"]
    assert (root["name"], root["type"]) == ("breakwater", "application")
    version = await run(
        "podman", "run", "--rm", "--entrypoint=python", image, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"
    )
    environment = {"python_version": version.strip(), "python_full_version": f"{version.strip()}.0"}
    found = {f"{normal(one['name'])}=={one['version']}" for one in listed["components"]}
    assert found == locked(environment)
    assert all(one["purl"].startswith("pkg:pypi/") and one.get("licenses") for one in listed["components"])
    debian = await debian_packages(image)
    assert {"libc6", "ca-certificates"} <= {one["name"] for one in debian}
    listed["components"] += debian
    SBOM.write_text(json.dumps(listed, indent=2))
    await run(str(TOOL.with_name("python")), "-c", VALIDATE, str(SBOM))
    print(f"{SBOM.relative_to(ROOT)}: {len(found)} packages of Python, {len(debian)} of Debian")  # noqa: T201


async def debian_packages(image: str) -> list[dict[str, str]]:
    """What the base brings along, as components."""
    told = await run(
        *("podman", "run", "--rm", "--entrypoint=dpkg-query", image),
        *("-W", "-f", "${Package} ${Version} ${Architecture}\\n"),
    )
    packages = [line.split() for line in told.splitlines()]
    return [
        {
            "type": "library",
            "bom-ref": f"deb:{name}",
            "name": name,
            "version": version,
            "purl": f"pkg:deb/debian/{name}@{quote(version, safe='')}?arch={architecture}",
        }
        for name, version, architecture in packages
    ]
