"""Both forms of signature are the ones receivers check, and nothing else passes."""

import base64
import hashlib
import hmac
import time
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from service.domain.webhook_signature import new_secret, standard_headers, verify_wavespeed, wavespeed_headers

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_plJ3nmyCDGBKInavdOK15jsl" + "AAAAAAAA"
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
NOW_S = 1_614_265_330
BODY = '{"type":"prediction.completed","data":{"prompt":"été 🌊 日本"}}'.encode()


def accepted(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    """Whether the official library takes a callback for genuine."""
    try:
        Webhook(secret).verify(body, dict(headers), json_parse=False)
    except (WebhookVerificationError, ValueError):
        return False
    return True


def test_new_secret() -> None:
    """A secret is `whsec_` and 24 bytes in base64, and never the same twice."""
    secrets = {new_secret() for _ in range(50)}
    assert len(secrets) == 50
    for secret in secrets:
        prefix, _, encoded = secret.partition("_")
        assert prefix == "whsec"
        assert len(base64.b64decode(encoded, validate=True)) == 24


def test_standard_vector() -> None:
    """The example every Standard Webhooks library is tested with comes out as published."""
    headers = standard_headers([SECRET], ID, NOW_S, b'{"test": 2432232314}')
    assert headers == {
        "webhook-id": ID,
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


@settings(max_examples=50, deadline=None)
@given(st.text(st.characters(codec="utf-8")))
def test_the_library_accepts_ours(text: str) -> None:
    """The official verifier accepts what is signed here, whatever the body says in whatever script."""
    body = text.encode()
    headers = standard_headers([SECRET], ID, int(time.time()), body)
    assert accepted(SECRET, headers, body)
    assert not accepted(OTHER, headers, body)


def test_rotation() -> None:
    """During a rotation a receiver with either secret accepts, the newest signature comes first, others are refused."""
    old, new = new_secret(), new_secret()
    headers = standard_headers([new, old], ID, int(time.time()), BODY)
    first, second = headers["webhook-signature"].split(" ")
    assert [first] == standard_headers([new], ID, int(headers["webhook-timestamp"]), BODY)["webhook-signature"].split()
    assert first != second
    assert accepted(new, headers, BODY)
    assert accepted(old, headers, BODY)
    assert not accepted(new_secret(), headers, BODY)


def test_every_byte_counts() -> None:
    """No single byte of the body can be changed under either signature."""
    now_s = int(time.time())
    standard = standard_headers([SECRET], ID, now_s, BODY)
    wavespeed = wavespeed_headers(SECRET, ID, now_s, BODY)
    for place in range(len(BODY)):
        changed = BODY[:place] + bytes([BODY[place] ^ 1]) + BODY[place + 1 :]
        assert not accepted(SECRET, standard, changed)
        assert not verify_wavespeed(SECRET, wavespeed, changed, now_s)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_every_header_counts(name: str) -> None:
    """No character of a header can be changed or dropped, and no header left out, under either signature."""
    now_s = int(time.time())
    for headers in (standard_headers([SECRET], ID, now_s, BODY), wavespeed_headers(SECRET, ID, now_s, BODY)):
        value = headers[name]
        forms = [headers | {name: value[:place] + "7" + value[place + 1 :]} for place in range(len(value) - 2)]
        forms = [form for form in forms if form != headers]
        for changed in [*forms, headers | {name: value[:-1]}, {k: v for k, v in headers.items() if k != name}]:
            assert not accepted(SECRET, changed, BODY)
            assert not verify_wavespeed(SECRET, changed, BODY, now_s)


@pytest.mark.parametrize(("secrets", "body"), [([], BODY), (["whsec_a"], BODY), ([SECRET], b"\xff")])
def test_unsignable(secrets: list[str], body: bytes) -> None:
    """Without a usable secret or a UTF-8 body nothing is signed, rather than badly."""
    with pytest.raises(ValueError):  # noqa: PT011  (three kinds of it, one promise)
        standard_headers(secrets, ID, NOW_S, body)


def test_wavespeed_vector() -> None:
    """A pinned example of WaveSpeed's form, and what openssl makes of the same text and key."""
    # printf '%s' 'pred_1.1700000000.{"id":"pred_1","status":"completed"}' |
    #   openssl dgst -sha256 -hmac MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw
    headers = wavespeed_headers(SECRET, "pred_1", 1_700_000_000, b'{"id":"pred_1","status":"completed"}')
    assert headers == {
        "webhook-id": "pred_1",
        "webhook-timestamp": "1700000000",
        "webhook-signature": "v3,138339377159d25442101b2fe01fcbc84ac0dd549716d82d6519c0da2cb1f025",
    }


@settings(max_examples=50, deadline=None)
@given(st.binary(), st.from_regex(r"[A-Za-z0-9_-]{1,40}", fullmatch=True))
def test_wavespeed_form(body: bytes, webhook_id: str) -> None:
    """The key is the secret's text without its prefix, the message id, timestamp and raw body joined by dots."""
    headers = wavespeed_headers(SECRET, webhook_id, NOW_S, body)
    message = b".".join([webhook_id.encode(), b"1614265330", body])
    digest = hmac.digest(b"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", message, hashlib.sha256).hex()
    assert headers["webhook-signature"] == f"v3,{digest}"
    assert verify_wavespeed(SECRET, headers, body, NOW_S)
    assert verify_wavespeed(SECRET.removeprefix("whsec_"), headers, body, NOW_S)
    assert not verify_wavespeed(OTHER, headers, body, NOW_S)


@pytest.mark.parametrize(("age_s", "good"), [(0, True), (300, True), (301, False), (-300, True), (-301, False)])
def test_wavespeed_age(age_s: int, good: bool) -> None:
    """A callback is good for five minutes, by a clock up to five minutes off; the bound can be given."""
    headers = wavespeed_headers(SECRET, ID, NOW_S, BODY)
    assert verify_wavespeed(SECRET, headers, BODY, NOW_S + age_s) is good
    assert verify_wavespeed(SECRET, headers, BODY, NOW_S + age_s, tolerance_s=abs(age_s))


def test_wavespeed_headers_are_found_in_any_case() -> None:
    """Header names may come in capitals; one good signature among several is enough."""
    headers = {name.title(): value for name, value in wavespeed_headers(SECRET, ID, NOW_S, BODY).items()}
    headers["Webhook-Signature"] = "v1,abc v3,00 " + headers["Webhook-Signature"]
    assert verify_wavespeed(SECRET, headers, BODY, NOW_S)


@pytest.mark.parametrize("secret", ["", "whsec_"])
def test_an_empty_secret_verifies_nothing(secret: str) -> None:
    """A secret that was never set does not let in whoever signs with nothing."""
    assert not verify_wavespeed(secret, wavespeed_headers(secret, ID, NOW_S, BODY), BODY, NOW_S)


wild = st.text(max_size=40) | st.sampled_from(["", "v3,", "v3", ",", "v3,é", "\ud800", "-1", "٣", "1e9", "9" * 5000])


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(["webhook-id", "Webhook-Timestamp", "webhook-signature", "x"]), wild))
def test_malformed_headers_are_refused(headers: dict[str, str]) -> None:
    """Whatever stands in the headers, verifying says no and does not raise."""
    timestamped = {"webhook-timestamp": str(NOW_S)} | {k: v for k, v in headers.items() if "T" not in k}
    assert not verify_wavespeed(SECRET, headers, BODY, NOW_S)
    assert not verify_wavespeed(SECRET, timestamped, BODY, NOW_S)
