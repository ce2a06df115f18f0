"""`breakwater check` as a whole: its promises are tested and documented, it changes nothing, it says how it went."""

import importlib
from pathlib import Path
from typing import Final

from redis import Redis

from service.checks.given_settings import CALLBACK_ATTEMPT_S
from service.checks.promises import PROMISES
from tests.integration.check.finding import TESTED, Doctor, names, told
from tests.integration.cli_calls import invoke
from tests.integration.simulator.running import Running
from worker.webhook_sender import TOTAL_S

PAGE: Final = Path(__file__).parents[3] / "docs" / "check.md"

READING: Final = {
    "acl",
    "auth",
    "client",
    "config",
    "get",
    "hello",
    "hlen",
    "info",
    "ping",
    "scard",
    "select",
    "time",
    "zrange",
}
"""Commands that change nothing; of CLIENT and CONFIG only what the server counts apart: see the test."""


def table() -> str:
    """The table of every promise, from the code."""
    rows = [
        f"| {one.level} | `{name}` | {one.means} | {one.remedy.replace('|', chr(92) + '|')} |"
        for name, one in PROMISES.items()
    ]
    return "\n".join(["| level | name | what it means | what to do |", "|---|---|---|---|", *rows])


def test_the_page_is_the_code_s() -> None:
    """Every promised finding stands in the documentation with its level, meaning and remedy, and nothing else does."""
    written = PAGE.read_text().split("<!-- promises -->")[1].split("<!-- /promises -->")[0].strip()
    assert written == table(), f"put this between the markers:\n\n{table()}"


def test_every_promise_is_tested() -> None:
    """Each promised finding has a test that breaks something and finds it; none is tested that is not promised."""
    for module in ("redis", "settings", "upstream"):
        importlib.import_module(f"tests.integration.check.test_check_{module}")
    assert set(PROMISES) == TESTED


def test_nothing_is_wrong_with_what_is_right(doctor: Doctor) -> None:
    """A right configuration passes strictly: no promise is found where it does not apply."""
    shown = doctor.check("--strict")
    assert names(shown) == set()
    assert (shown["ok"], shown["problems"], shown["warnings"]) == (True, 0, 0)
    assert not {one["check"] for one in shown["findings"]} & set(PROMISES)


def test_every_remedy_says_where_to_do_something() -> None:
    """Each names a variable, a command or what to give money to."""
    for name, promise in PROMISES.items():
        assert (
            "BREAKWATER_" in promise.remedy
            or "WAVESPEED_" in promise.remedy
            or name
            in (
                "setting-unreadable",
                "setting-unknown",
            )
        ), name


def test_nothing_is_changed_and_nothing_bought(doctor: Doctor, right_redis: Redis, account: Running) -> None:
    """Redis has what it had, was asked nothing but to read, and WaveSpeed was asked for the balance alone."""
    right_redis.config_resetstat()
    changes = told(right_redis, "persistence")["rdb_changes_since_last_save"]
    doctor.check()
    used = {name.removeprefix("cmdstat_") for name in told(right_redis, "commandstats")}
    assert {name.partition("|")[0] for name in used} <= READING
    assert used & {"config|get", "config|resetstat", "config|set"} == {"config|get", "config|resetstat"}
    assert told(right_redis, "persistence")["rdb_changes_since_last_save"] == changes
    assert right_redis.keys() == ["bw:tenants"]
    seen = account.seen()
    assert (seen["paid_submissions"], seen["requests"]) == (0, {"balance": 1})


def test_a_person_reads_a_line_for_each_finding_and_what_comes_next(doctor: Doctor) -> None:
    """First that nothing is changed, then the lines, then the count and the next step; the exit code says the rest."""
    doctor.set()
    right = invoke("check")
    assert right.exit_code == 0
    assert right.stdout.startswith("Reads only: nothing is changed")
    assert right.stdout.endswith("0 problems, 0 warnings.\nNext: breakwater serve and breakwater worker.\n")
    doctor.set(BREAKWATER_DRAIN_S="10")
    warned, strictly = invoke("check"), invoke("check", "--strict")
    assert (warned.exit_code, strictly.exit_code) == (0, 1)
    [line] = [line for line in warned.stdout.splitlines() if line.startswith("warning")]
    assert "drain-short" in line
    assert "To do: set BREAKWATER_DRAIN_S" in line
    doctor.set(BREAKWATER_ENCRYPTION_KEY=None)
    broken = invoke("check")
    assert broken.exit_code == 1
    assert "1 problems" in broken.stdout
    assert "Next: mend what is named above" in broken.stdout


def test_secrets_are_not_shown(doctor: Doctor) -> None:
    """Neither key nor token nor password is in a report, whatever is wrong with it."""
    secret = "s3cret-s3cret"
    doctor.set(
        BREAKWATER_REDIS_URL=f"redis://:{secret}@127.0.0.1:1/0",
        BREAKWATER_ENCRYPTION_KEY=secret,
        BREAKWATER_SIGNING_KEY=f"{secret},x",
        BREAKWATER_ADMIN_TOKEN=f"{secret} {secret}",
        WAVESPEED_API_KEY=secret,
    )
    for arguments in ((), ("--json",)):
        result = invoke("check", *arguments)
        assert result.exit_code == 1
        assert secret not in result.output


def test_a_callback_attempt_takes_as_long_as_is_assumed() -> None:
    """The worker's own bound, which the service cannot import."""
    assert CALLBACK_ATTEMPT_S == TOTAL_S
