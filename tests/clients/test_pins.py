"""Which versions are driven."""

import json

from tests.clients.driving import CLIENTS, HERE


def test_the_versions_are_the_pinned_ones() -> None:
    """The lock files have the versions that are named here, by hash, and no address to fetch them from."""
    for client in CLIENTS:
        if client.javascript:
            pinned = json.loads((HERE / "package-lock.json").read_text())["packages"]["node_modules/wavespeed"]
            assert (pinned["version"], pinned["integrity"][:7]) == (client.version, "sha512-")
            assert "resolved" not in pinned
        else:
            lock = (HERE / f"{client.name}.lock").read_text()
            assert f"wavespeed=={client.version} \\\n    --hash=sha256:" in lock
            assert "://" not in lock
