"""The JavaScript in docs/webhooks.md does what the page says; needs Node and `npm ci` in this folder."""

import json
import shutil
import subprocess
import time
from pathlib import Path

from service.domain.webhook_signature import new_secret, wavespeed_headers
from tests.samples.receivers import MESSAGE, judge, samples

MODULES = Path(__file__).parent / "node_modules"


def node() -> str:
    """Where Node is."""
    found = shutil.which("node")
    assert found, "Node is not installed"
    assert MODULES.is_dir(), "run npm ci in tests/samples"
    return found


def test_the_receiver_for_endpoints(tmp_path: Path) -> None:
    """Started as it stands there, it takes real messages once, and refuses forged and old ones."""
    source, _ = samples("js")
    (tmp_path / "receiver.cjs").write_text(source)
    judge([node(), str(tmp_path / "receiver.cjs")], {"NODE_PATH": str(MODULES)})


def test_the_check_of_wavespeed_s_form(tmp_path: Path) -> None:
    """It accepts what we send, and nothing else."""
    _, source = samples("js")
    secret, now = new_secret(), int(time.time())
    good = wavespeed_headers(secret, "p1", now, MESSAGE)
    cases = [
        (good, MESSAGE, True),
        (good, MESSAGE + b" ", False),
        (wavespeed_headers(new_secret(), "p1", now, MESSAGE), MESSAGE, False),
        (wavespeed_headers(secret, "p1", now - 301, MESSAGE), MESSAGE, False),
        (good | {"webhook-signature": "v3,short"}, MESSAGE, False),
    ]
    script = tmp_path / "check.cjs"
    given = json.dumps([[headers, body.decode()] for headers, body, _ in cases])
    script.write_text(f"{source}\nconsole.log(JSON.stringify({given}.map(([h, b]) => isOurs(h, b))));\n")
    told = subprocess.run(
        [node(), str(script)], env={"WEBHOOK_SECRET": secret}, capture_output=True, text=True, timeout=30, check=True
    )
    assert json.loads(told.stdout) == [expected for *_, expected in cases]
