"""`python -m tests.chaos.crashing`: runs gateway and worker in one process, many times over, and kills them on the way.

Reads one JSON object a line: the run. Forks a child for it, which dies by SIGKILL at the place asked for, and
writes one line of JSON: what the child told before it died, or all that it passed. Forking saves the start of Python:
a run takes tenths of a second.
"""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final

from service.domain.errors import StoreUnavailable
from service.stores.keys import due
from tests.chaos.fault_points import Hits, install

SPEED: Final = 40.0
"""How much faster than a real clock everything goes: a lease of 20 s ends after half a second."""

RUN_S: Final = 25.0
"""Longest run, in real seconds."""


@dataclass(frozen=True)
class Run:
    """One run. `settings` and `clock` are the system's; the rest says what this run does.

    `prompt` "" submits nothing: it only works on what is there. `switch` is one of WaveSpeed's own that the submission
    has on beside `enable_sync_mode`, or that alone: it is then held until the prediction has ended. The run dies the
    first time it passes the hit `die_at`; without one it lives.
    """

    settings: dict[str, Any]
    clock_start: list[float]
    key: str
    prompt: str = ""
    idempotency_key: str = ""
    webhook: str = ""
    then: str = ""
    switch: str = ""
    answer_within_s: float = 5.5
    die_at: str = ""


def fast_clock(start: list[float]) -> Callable[[], float]:
    """Unix seconds that pass `SPEED` times as fast since `start`: [unix time, monotonic time]."""
    return lambda: start[0] + (time.monotonic() - start[1]) * SPEED


Tell = Callable[[str, str], None]


async def live(run: Run, hits: Hits, tell: Tell) -> None:
    """Submit what is to be submitted, then work until nothing is owed any more."""
    import httpx2
    from pydantic import SecretStr

    from service.app import create_app
    from service.resources import follow_moves, open_resources
    from service.settings import Settings
    from tests.chaos.happenings import BEFORE, HAPPENINGS
    from worker.app import build_pools
    from worker.webhook_sender import WebhookSender

    secrets = {name: SecretStr(run.settings[name]) for name in ("redis_url", "wavespeed_api_key")}
    keys = {name: (SecretStr(run.settings[name]),) for name in ("encryption_key", "signing_key")}
    settings = Settings(**{**run.settings, **secrets, **keys})
    async with open_resources(settings, fast_clock(run.clock_start)) as opened, WebhookSender() as sender:
        resources = replace(opened, submit=replace(opened.submit, answer_within_s=run.answer_within_s))
        pools = build_pools(resources, sender)
        transport = httpx2.ASGITransport(create_app(resources))
        client = httpx2.AsyncClient(transport=transport, base_url="http://gateway", trust_env=False)
        async with client, follow_moves(resources.feed):
            hits.armed = True
            if run.then in BEFORE:
                await BEFORE[run.then](resources, run.key)
            submitting = asyncio.create_task(_submit(run, client, tell) if run.prompt else asyncio.sleep(0, ""))
            if not run.switch:
                await submitting
            if run.then == "again":
                await _submit(run, client, tell)
            if run.then in HAPPENINGS:
                await HAPPENINGS[run.then](resources, pools, submitting.result())
            deadline = time.monotonic() + RUN_S
            while not submitting.done() or resources.submit.running or await _owed(resources):
                if time.monotonic() > deadline:
                    tell("overdue", "")
                    break
                with suppress(StoreUnavailable):
                    await asyncio.gather(*(pool.fill() for pool in pools.values()))
                await asyncio.sleep(0.005)
            await submitting
            hits.armed = False  # who shuts down may have something in work still, or not
            await asyncio.gather(*(pool.drain(5) for pool in pools.values()))


async def _submit(run: Run, client: Any, tell: Tell) -> str:
    """Submit as a careful client does: again with the same idempotency key until there is an answer."""
    switches = dict.fromkeys(("enable_sync_mode", run.switch), True) if run.switch else {}
    called_back = run.webhook and "enable_base64_output" not in switches  # WaveSpeed refuses the two together
    while True:
        answer = await client.post(
            "/api/v3/openai/sora-2" + (f"?webhook={run.webhook}" if called_back else ""),
            json={"prompt": run.prompt, **switches},
            headers={"authorization": f"Bearer {run.key}", "idempotency-key": run.idempotency_key},
        )
        if answer.status_code == 200:
            prediction_id = str(answer.json()["data"]["id"])
            tell("accepted", prediction_id)
            return prediction_id
        if answer.status_code not in (409, 503):
            tell("refused", str(answer.status_code))
            return ""
        await asyncio.sleep(0.02)


async def _owed(resources: Any) -> bool:
    """Whether a due set other than that of retention holds anything."""
    with suppress(StoreUnavailable):
        return bool(await resources.commands("EXISTS", due("submit"), due("poll"), due("deliver")))  # at one moment
    return True


def child(run: Run, hits: Hits, channel: int) -> None:
    """Live one life; never returns."""

    def tell(what: str, value: str) -> None:
        os.write(channel, json.dumps([what, value]).encode() + b"\n")

    def die(hit: str) -> None:
        if hit == run.die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    hits.on_hit = die
    status = 1
    try:
        asyncio.run(live(run, hits, tell))
        for hit in hits.passed:
            tell("hit", hit)
        status = 0
    finally:
        sys.stderr.flush()
        os._exit(status)


def main() -> None:
    """Serve runs until there are no more."""
    hits = install()
    import worker.app  # noqa: F401
    from service.logs import configure_logging
    from service.trust import system_trust

    configure_logging("error", "crashing")
    system_trust()  # read once here, not by every child
    for line in sys.stdin:
        run = Run(**json.loads(line))
        readable, writable = os.pipe()
        process = os.fork()
        if process == 0:
            os.close(readable)
            child(run, hits, writable)
        os.close(writable)
        with os.fdopen(readable) as told:
            messages = [json.loads(message) for message in told if message.endswith("\n")]
        _, status = os.waitpid(process, 0)
        print(json.dumps({"status": os.waitstatus_to_exitcode(status), "told": messages}), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
