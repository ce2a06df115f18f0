"""The samples of docs/webhooks.md, cut out of it and run as they stand there."""

import os
import re
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import httpx2
from standardwebhooks import Webhook

from service.cli.local_system import port_is_free
from tests.journeys.system import free_port

Process = subprocess.Popen[str]

PAGE: Final = Path(__file__).parents[2] / "docs" / "webhooks.md"
MESSAGE: Final = b'{"type":"prediction.completed","timestamp":"2026-01-01T00:00:00.000Z","data":{"id":"p1"}}'


def samples(language: str) -> list[str]:
    """Every block of code of one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)


def signed(secret: str, message_id: str, at_s: float, body: bytes = MESSAGE) -> dict[str, str]:
    """What the official library signs."""
    at = datetime.fromtimestamp(int(at_s), UTC)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at_s)),
        "webhook-signature": Webhook(secret).sign(message_id, at, body.decode()),
    }


@contextmanager
def running(command: Sequence[str], secret: str, environment: Mapping[str, str]) -> Iterator[tuple[str, Process]]:
    """A receiver as a process: where it listens, and the process."""
    port = free_port()
    own = {**os.environ, **environment, "PORT": str(port), "WEBHOOK_SECRET": secret}
    with subprocess.Popen(command, env=own, stdout=subprocess.PIPE, text=True) as process:
        try:
            give_up = time.monotonic() + 15
            while port_is_free(port):
                assert process.poll() is None, "it ended"
                assert time.monotonic() < give_up, "it does not listen"
                time.sleep(0.02)
            yield f"http://127.0.0.1:{port}/videos", process
        finally:
            process.terminate()
            process.wait(10)


def judge(command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
    """A receiver takes what was signed with its secret, once, and refuses all else."""
    secret = "whsec_" + "c2VjcmV0IG9mIGEgc2FtcGxlLCBub3QgYSByZWFsIG9uZQ=="
    other = "whsec_" + "YW5vdGhlciBzZWNyZXQsIHdoaWNoIHNpZ25zIG5vdGhpbmc="
    now = time.time()
    with (
        running(command, secret, environment or {}) as (url, process),
        httpx2.Client(trust_env=False, timeout=10) as client,
    ):

        def post(headers: dict[str, str], body: bytes = MESSAGE) -> int:
            return client.post(url, content=body, headers={**headers, "content-type": "application/json"}).status_code

        good = signed(secret, "evt_p1_1", now)
        assert post(good) == 204
        assert post(good) == 204, "a copy is accepted"
        assert post(signed(other, "evt_p1_2", now)) == 400
        assert post(signed(secret, "evt_p1_3", now - 3_600)) == 400
        assert post(good, MESSAGE.replace(b"p1", b"p2")) == 400
        assert post({}) == 400
        others = signed(other, "evt_p1_1", now)["webhook-signature"]
        both = good | {"webhook-signature": f"{others} {good['webhook-signature']}"}
        assert post(both) == 204, "any signature that fits will do"
        process.terminate()
        assert process.stdout is not None
        assert process.stdout.read().splitlines() == ["prediction.completed p1"], "and handled once"
