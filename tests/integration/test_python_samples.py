"""The Python in docs/webhooks.md does what the page says."""

import sys
import time
from pathlib import Path

import pytest

from service.domain.webhook_signature import new_secret, wavespeed_headers
from tests.samples.receivers import MESSAGE, judge, samples


def test_the_receiver_for_endpoints(tmp_path: Path) -> None:
    """Started as it stands there, it takes real messages once, and refuses forged and old ones."""
    source, _ = samples("python")
    (tmp_path / "receiver.py").write_text(source)
    judge([sys.executable, str(tmp_path / "receiver.py")])


def test_the_check_of_wavespeed_s_form(monkeypatch: pytest.MonkeyPatch) -> None:
    """It accepts what we send, and nothing else."""
    _, source = samples("python")
    secret, now = new_secret(), int(time.time())
    monkeypatch.setenv("WEBHOOK_SECRET", secret)
    sample: dict[str, object] = {}
    exec(source, sample)  # noqa: S102 our own page
    is_ours = sample["is_ours"]
    assert callable(is_ours)
    headers = wavespeed_headers(secret, "p1", now, MESSAGE)
    assert is_ours(headers, MESSAGE)
    assert not is_ours(headers, MESSAGE + b" ")
    assert not is_ours(wavespeed_headers(new_secret(), "p1", now, MESSAGE), MESSAGE)
    assert not is_ours(wavespeed_headers(secret, "p1", now - 301, MESSAGE), MESSAGE)
