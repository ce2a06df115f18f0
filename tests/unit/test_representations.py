"""What callers and their callbacks read: WaveSpeed's shape to the letter, and our own."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic_core import from_json

from service.domain.answers import initial_answer
from service.domain.json_forms import json_bytes
from service.domain.moves import confirmed, ended_by_gateway, observed
from service.domain.predictions import EVENT_OF, Observation, Prediction, State
from service.domain.representations import (
    MAX_EVENT_BYTES,
    event_body,
    native_prediction,
    result_url,
    wavespeed_callback_body,
    wavespeed_prediction,
)
from service.domain.timestamps import rfc3339

BASE_URL = "https://video.acme.test"
OURS = "0198c5a2f3b47c11a9d2e4f60718293a"
THEIRS = "d5f3c1b2a4e64f0f9a1b2c3d4e5f6071"
NOW_MS = 1_700_000_000_123
VIDEO = "https://cdn.wavespeed.test/video.mp4"
RESULT_URL = f"{BASE_URL}/api/v3/predictions/{OURS}/result"
INPUT = {"prompt": "waves", "aspect_ratio": "16:9"}
WAVESPEED_FIELDS = {
    "id",
    "model",
    "outputs",
    "urls",
    "has_nsfw_contents",
    "status",
    "created_at",
    "error",
    "executionTime",
    "timings",
}
NATIVE_FIELDS = {
    "id",
    "model",
    "status",
    "input",
    "metadata",
    "outputs",
    "has_nsfw_contents",
    "error",
    "timings",
    "created_at",
    "started_at",
    "ended_at",
    "output_expires_at",
    "sequence",
    "urls",
}


def submitted(inputs: Any = INPUT) -> Prediction:
    """A prediction as it is admitted."""
    body = json_bytes(inputs)
    return Prediction(
        id=OURS,
        tenant="acme",
        model="openai/sora-2",
        state=State.SUBMITTING,
        created_at_ms=NOW_MS,
        input=body,
        input_bytes=len(body),
        answer=initial_answer(OURS, "openai/sora-2", NOW_MS),
    )


def running(inputs: Any = INPUT) -> Prediction:
    """The same, started upstream a second later."""
    change = confirmed(submitted(inputs), THEIRS, NOW_MS + 1_000)
    assert change is not None
    return change.after


def ended(verdict: str, before: Prediction | None = None, **data: Any) -> Prediction:
    """The same, a minute later and seen to have ended upstream."""
    seen = Observation(verdict, verdict, {"id": THEIRS, "status": verdict, **data}, str(data.get("error", "")))  # type: ignore[arg-type]
    change = observed(before or running(), seen, NOW_MS + 61_000)
    assert change is not None
    return change.after


def expired(before: Prediction | None = None, reason: str = "expired: no result within 1800 s") -> Prediction:
    """The same, ended by the gateway's deadline."""
    change = ended_by_gateway(before or running(), State.EXPIRED, reason, NOW_MS + 1_801_000)
    assert change is not None
    return change.after


LIFE = [
    submitted(),
    running(),
    ended("completed", outputs=[VIDEO]),
    ended("failed", error="moderation"),
    expired(),
]


@pytest.mark.parametrize("prediction", LIFE, ids=lambda p: p.state.value)
class TestBothFaces:
    """What holds at every point of a prediction's life."""

    def test_wavespeed_shape_has_every_field_its_clients_read(self, prediction: Prediction) -> None:
        """All fields of WaveSpeed's `data` are there at every moment, of the types its clients insist on."""
        data = from_json(json_bytes(wavespeed_prediction(prediction, BASE_URL)))
        assert set(data) == WAVESPEED_FIELDS | ({"output_expires_at"} if data["outputs"] else set())
        assert isinstance(data["outputs"], list)
        assert isinstance(data["error"], str)
        assert all(isinstance(seconds, int | float) for seconds in data["timings"].values())
        assert data["status"] in ("created", "processing", "completed", "failed")
        assert datetime.fromisoformat(data["created_at"]).utcoffset() == timedelta(0)

    def test_native_shape_never_changes_its_fields(self, prediction: Prediction) -> None:
        """The native shape has the same fields at every moment; what is not known yet is null."""
        assert set(native_prediction(prediction, BASE_URL)) == NATIVE_FIELDS

    def test_the_result_is_read_at_the_gateway(self, prediction: Prediction) -> None:
        """`urls.get` is ours in every shape: an upstream URL there would carry callers' keys to the upstream."""
        bodies = [wavespeed_prediction(prediction, BASE_URL), native_prediction(prediction, BASE_URL)]
        bodies += [from_json(wavespeed_callback_body(prediction, BASE_URL))]
        assert [body["urls"] for body in bodies] == [{"get": RESULT_URL}] * 3
        assert [body["id"] for body in bodies] == [OURS] * 3

    def test_the_upstream_id_is_shown_nowhere(self, prediction: Prediction) -> None:
        """The upstream's id of the task is in no answer and no callback."""
        shown = [wavespeed_prediction(prediction, BASE_URL), native_prediction(prediction, BASE_URL)]
        assert THEIRS.encode() not in json_bytes(shown) + wavespeed_callback_body(prediction, BASE_URL)

    def test_an_event_carries_what_get_answers(self, prediction: Prediction) -> None:
        """A webhook's `data` is the native shape itself, `sequence` included, under type and timestamp."""
        event = EVENT_OF.get(prediction.state, "prediction.processing")
        body = from_json(event_body(event, prediction, BASE_URL, NOW_MS + 62_000))
        assert list(body) == ["type", "timestamp", "data"]
        assert (body["type"], body["timestamp"]) == (event, rfc3339(NOW_MS + 62_000))
        assert body["data"] == from_json(json_bytes(native_prediction(prediction, BASE_URL)))


def test_result_url_is_the_form_real_clients_use() -> None:
    """The path is WaveSpeed's own, below the gateway's address: clients that keep only the path work too."""
    assert result_url("http://127.0.0.1:8080", OURS) == f"http://127.0.0.1:8080/api/v3/predictions/{OURS}/result"


def test_unknown_fields_of_the_upstream_are_passed_on() -> None:
    """WaveSpeed's shape carries what a newer WaveSpeed adds."""
    data = wavespeed_prediction(ended("completed", outputs=[VIDEO], code=0, seed=12), BASE_URL)
    assert set(data) == WAVESPEED_FIELDS | {"code", "seed", "output_expires_at"}


def test_a_failure_is_told_inside_data() -> None:
    """A failed run reads `failed` with its reason; the gateway's own ends do too."""
    assert wavespeed_prediction(ended("failed", error="moderation"), BASE_URL)["error"] == "moderation"
    gateway_made = wavespeed_prediction(expired(), BASE_URL)
    assert (gateway_made["status"], gateway_made["error"]) == ("failed", "expired: no result within 1800 s")


class TestNative:
    """The native shape."""

    def test_tells_a_run_that_succeeded(self) -> None:
        """Every time, the input as sent, the outputs, and until when they can be fetched: seven days."""
        assert native_prediction(ended("completed", outputs=[VIDEO], timings={"inference": 41.5}), BASE_URL) == {
            "id": OURS,
            "model": "openai/sora-2",
            "status": "completed",
            "input": INPUT,
            "metadata": {},
            "outputs": [VIDEO],
            "has_nsfw_contents": [],
            "error": None,
            "timings": {"inference": 41.5},
            "created_at": "2023-11-14T22:13:20.123Z",
            "started_at": "2023-11-14T22:13:21.123Z",
            "ended_at": "2023-11-14T22:14:21.123Z",
            "output_expires_at": "2023-11-21T22:14:21.123Z",
            "sequence": 1,
            "urls": {"get": RESULT_URL},
        }

    def test_names_the_ends_that_wavespeed_has_no_word_for(self) -> None:
        """An expired run reads `expired` here and `failed` on WaveSpeed's face."""
        shown = native_prediction(expired(), BASE_URL)
        assert (shown["status"], shown["error"]) == ("expired", "expired: no result within 1800 s")
        assert shown["output_expires_at"] is None

    def test_says_nothing_of_what_has_not_happened(self) -> None:
        """Before the start there are no times but that of admission, no error and no outputs."""
        shown = native_prediction(submitted(), BASE_URL)
        assert (shown["started_at"], shown["ended_at"], shown["output_expires_at"]) == (None, None, None)
        assert (shown["status"], shown["error"], shown["outputs"]) == ("created", None, [])

    def test_a_dropped_input_reads_null(self) -> None:
        """A large input, gone since the upstream has it, is null and not an empty object."""
        assert native_prediction(running({"prompt": "x" * 9_000}), BASE_URL)["input"] is None


class TestWaveSpeedCallback:
    """The body of a per-request callback: what WaveSpeed itself would send."""

    def test_is_the_bare_prediction_with_its_input(self) -> None:
        """No envelope: the prediction itself, with the input as sent, outputs and no error."""
        body = from_json(wavespeed_callback_body(ended("completed", outputs=[VIDEO]), BASE_URL))
        assert set(body) == (WAVESPEED_FIELDS - {"error"}) | {"input", "output_expires_at"}
        assert (body["status"], body["input"], body["outputs"]) == ("completed", INPUT, [VIDEO])

    @pytest.mark.parametrize("prediction", [ended("failed", error="moderation"), expired()], ids=["failed", "expired"])
    def test_has_no_outputs_when_there_was_no_success(self, prediction: Prediction) -> None:
        """A failed run, whoever ended it, is sent as `failed` with its reason and without outputs."""
        body = from_json(wavespeed_callback_body(prediction, BASE_URL))
        assert set(body) == (WAVESPEED_FIELDS - {"outputs"}) | {"input"}
        assert body["status"] == "failed"
        assert body["error"] == prediction.answer["error"]

    def test_says_when_the_input_is_not_there(self) -> None:
        """An input too large to keep is left out and named, so that its absence is no riddle."""
        large = ended("completed", running({"prompt": "x" * 9_000}), outputs=[VIDEO])
        body = from_json(wavespeed_callback_body(large, BASE_URL))
        assert "input" not in body
        assert body["omitted"] == ["input"]
        assert body["outputs"] == [VIDEO]


texts = st.builds(
    lambda piece, times: piece * times, st.sampled_from(["x", "é", "\0", '"', "🌊"]), st.integers(0, 12_000)
)
inputs = st.dictionaries(st.sampled_from(["prompt", "image", "negative_prompt"]), texts, max_size=3)
outputs = st.lists(texts | st.builds(lambda url: {"url": url}, texts), max_size=4)
short_errors = st.builds(lambda piece: piece * 500, st.sampled_from(["", "x", "\0", "🌊"]))
bounded = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.data_too_large])


class TestSize:
    """A callback body fits whatever a prediction holds."""

    @bounded
    @given(inputs, outputs, texts, st.booleans())
    @example({"prompt": "x" * 50_000}, [], "", True)
    @example({}, ["x" * 50_000], "", True)
    @example({}, [], "x" * 50_000, False)
    def test_every_body_stays_within_its_bound(
        self, sent: dict[str, str], made: list[Any], error: str, success: bool
    ) -> None:
        """At most 20,000 bytes, whatever was sent in, made or said, and what it is about can always be told."""
        before = running()._replace(input=json_bytes(sent))
        prediction = ended("completed" if success else "failed", before, outputs=made, error=error)
        callback = wavespeed_callback_body(prediction, BASE_URL)
        event = event_body("prediction.completed", prediction, BASE_URL, NOW_MS)
        assert max(len(callback), len(event)) <= MAX_EVENT_BYTES == 20_000
        for shown in (from_json(callback), from_json(event)["data"]):
            assert (shown["id"], shown["status"]) == (OURS, "completed" if success else "failed")
            assert shown["urls"] == {"get": RESULT_URL}

    @bounded
    @given(inputs, outputs, short_errors, st.booleans(), st.booleans())
    def test_what_is_missing_is_named_and_nothing_else(
        self, sent: dict[str, str], made: list[Any], error: str, success: bool, dropped: bool
    ) -> None:
        """`omitted` lists exactly the fields that were left out, and is absent when none was."""
        before = running()._replace(input=b"" if dropped else json_bytes(sent))
        prediction = ended("completed" if success else "failed", before, outputs=made, error=error)
        event = from_json(event_body("prediction.completed", prediction, BASE_URL, NOW_MS))["data"]
        callback = from_json(wavespeed_callback_body(prediction, BASE_URL))
        wanted = (WAVESPEED_FIELDS | {"input"}) - (set() if success else {"outputs"}) - (set() if error else {"error"})
        for shown, full in ((event, NATIVE_FIELDS), (callback, wanted)):
            left_out = set(shown.pop("omitted", []))
            assert left_out == full - set(shown)
            assert not left_out or left_out <= {"input", "outputs"}
            assert shown.get("input", sent) == sent
            assert shown.get("outputs", made) == made

    def test_the_input_leaves_first(self) -> None:
        """What the caller has anyway makes room for the outputs, which it wants."""
        before = running()._replace(input=json_bytes({"prompt": "x" * 19_000}))
        prediction = ended("completed", before, outputs=["https://cdn.wavespeed.test/" + "y" * 2_000])
        for shown in (
            from_json(wavespeed_callback_body(prediction, BASE_URL)),
            from_json(event_body("prediction.completed", prediction, BASE_URL, NOW_MS))["data"],
        ):
            assert shown["omitted"] == ["input"]
            assert len(shown["outputs"]) == 1

    @pytest.mark.parametrize("field", ["logs", "timings", "has_nsfw_contents"])
    def test_no_field_of_the_upstream_can_make_a_body_too_large(self, field: str) -> None:
        """A field of whatever size, known or not, is left out and named rather than sent beyond the bound."""
        large: Any = {"timings": {"x" * 30_000: 1}, "has_nsfw_contents": [False] * 6_000}.get(field, "y" * 30_000)
        prediction = ended("completed", outputs=[VIDEO], **{field: large})
        for shown in (
            wavespeed_callback_body(prediction, BASE_URL),
            event_body("prediction.completed", prediction, BASE_URL, NOW_MS) if field != "logs" else None,
        ):
            assert shown is None or len(shown) <= MAX_EVENT_BYTES
            assert shown is None or field in json_bytes(from_json(shown)).decode()
