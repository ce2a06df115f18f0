"""`breakwater check` finds what is wrong between us and WaveSpeed: a real account on the simulator."""

from pathlib import Path

import pytest

from tests.integration.check.finding import Doctor, Shown, finds, names
from tests.integration.simulator.running import KEY, Running


@finds("upstream-unreachable")
def test_nobody_there(doctor: Doctor, free_port: int) -> Shown:
    """A port on which nobody listens."""
    return doctor.check(BREAKWATER_UPSTREAM_URL=f"http://127.0.0.1:{free_port}")


@finds("upstream-unreachable")
def test_nobody_answers(doctor: Doctor, account: Running, monkeypatch: pytest.MonkeyPatch) -> Shown:
    """An account that answers nothing keeps the doctor for a bounded time only."""
    monkeypatch.setattr("service.checks.upstream.ANSWER_S", 0.2)
    account.arm("balance", "hang")
    return doctor.check()


@finds("upstream-key-refused")
def test_a_wrong_key(doctor: Doctor) -> Shown:
    """WaveSpeed does not know the key, which is not repeated."""
    shown = doctor.check(WAVESPEED_API_KEY="another-key")
    assert "another-key" not in str(shown)
    return shown


@finds("upstream-key-refused")
def test_a_key_that_is_forbidden(doctor: Doctor, account: Running) -> Shown:
    """Known, but not allowed."""
    account.arm("balance", "status", status=403)
    return doctor.check()


@finds("upstream-key-file-open")
def test_a_key_everybody_may_read(doctor: Doctor, tmp_path: Path) -> Shown:
    """A world-readable file is found; one for its owner and group is right, and its key is the one that is tried."""
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    file.chmod(0o440)
    given = {"BREAKWATER_UPSTREAM_KEY_FILE": str(file), "WAVESPEED_API_KEY": None}
    assert names(doctor.check(**given)) == set()
    file.chmod(0o444)
    return doctor.check(**given)


@finds("upstream-unreadable")
@pytest.mark.parametrize("fault", [{"fault": "status", "status": 500}, {"fault": "html"}, {"fault": "malformed"}])
def test_something_else_answers(doctor: Doctor, account: Running, fault: dict[str, object]) -> Shown:
    """An answer that is not WaveSpeed's says nothing of the key."""
    account.arm("balance", str(fault.pop("fault")), **fault)
    return doctor.check()


@finds("balance-low")
def test_little_money(doctor: Doctor, account: Running) -> Shown:
    """Below the threshold."""
    account.control("PUT", "balance", balance=3.5)
    shown = doctor.check()
    assert "$3.50" in str(shown)
    return shown


@finds("balance-empty")
@pytest.mark.parametrize("balance", [0, -1.25])
def test_no_money(doctor: Doctor, account: Running, balance: float) -> Shown:
    """Nothing left, or less."""
    account.control("PUT", "balance", balance=balance)
    return doctor.check()
