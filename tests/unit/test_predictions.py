"""A prediction's life: which moves are legal, and what each of them changes."""

from collections.abc import Callable, Mapping
from datetime import datetime
from itertools import product
from typing import Any, Literal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic_core import from_json, to_json

from service.domain.answers import initial_answer
from service.domain.json_forms import fingerprint, json_bytes
from service.domain.moves import (
    INPUT_KEPT_BYTES,
    confirmed,
    dispossessed,
    ended_by_gateway,
    gone,
    never_started,
    observed,
    orphaned,
    outcome_unknown,
    output_expiring,
    put_back,
)
from service.domain.predictions import EVENT_OF, LEGAL_MOVES, RETENTION_MS, Change, Observation, Prediction, State
from service.domain.timestamps import rfc3339

OURS = "0198c5a2f3b47c11a9d2e4f60718293a"
THEIRS = "d5f3c1b2a4e64f0f9a1b2c3d4e5f6071"
NOW_MS = 1_700_000_000_123
VIDEO = "https://cdn.wavespeed.test/video.mp4"

RUNNING = {"created", "processing"}
LEGAL_FROM: dict[str, set[str]] = {
    "confirmed": {"submitting", "unconfirmed"},
    "outcome unknown": {"submitting"},
    "dispossessed": RUNNING,
    "seen processing": {"created"},
    "seen completed": RUNNING,
    "seen failed": RUNNING,
    "put back": {"submitting"},
    "never started": {"queued", "submitting", "unconfirmed"},
    "failed by the gateway": {"queued", "submitting", "unconfirmed"} | RUNNING,
    "canceled": {"queued", "submitting", "unconfirmed"} | RUNNING,
    "expired": {"queued"} | RUNNING,
}
"""From which states each thing that can happen changes the state."""


def prediction(state: State = State.CREATED, **known: Any) -> Prediction:
    """A prediction in the middle of its life; one that was confirmed has its upstream id."""
    unconfirmed = state in (State.QUEUED, State.SUBMITTING, State.UNCONFIRMED)
    fields: dict[str, Any] = {
        "id": OURS,
        "tenant": "acme",
        "model": "openai/sora-2",
        "state": state,
        "created_at_ms": NOW_MS,
        "rev": 7,
        "input": b'{"prompt":"waves"}',
        "input_bytes": 18,
        "upstream_id": "" if unconfirmed else THEIRS,
        "evidence": "" if unconfirmed else "list",
        "started_at_ms": 0 if unconfirmed else NOW_MS + 900,
        "sequence": 3,
        "answer": initial_answer(OURS, "openai/sora-2", NOW_MS),
    }
    return Prediction(**fields | known)


def said(status: str, **data: Any) -> Observation:
    """What the upstream says of a task in its own words."""
    verdict = status if status in ("completed", "failed") else "running"
    return Observation(verdict, status, {"id": THEIRS, "status": status, **data}, str(data.get("error", "")))  # type: ignore[arg-type]


Happening = Callable[[Prediction], Change | None]
HAPPENINGS: dict[str, tuple[State, Happening]] = {
    "confirmed": (State.CREATED, lambda p: confirmed(p, THEIRS, NOW_MS + 1_000)),
    "outcome unknown": (State.UNCONFIRMED, outcome_unknown),
    "seen processing": (State.PROCESSING, lambda p: observed(p, said("processing"), NOW_MS + 2_000)),
    "seen completed": (State.COMPLETED, lambda p: observed(p, said("completed", outputs=[VIDEO]), NOW_MS + 3_000)),
    "seen failed": (State.FAILED, lambda p: observed(p, said("failed", error="moderation"), NOW_MS + 3_000)),
    "dispossessed": (State.UNCONFIRMED, lambda p: dispossessed(p, "callback")),
    "put back": (State.QUEUED, lambda p: put_back(p, NOW_MS + 1_000)),
    "never started": (State.FAILED, lambda p: never_started(p, "given up", NOW_MS + 3_000)),
    "failed by the gateway": (State.FAILED, lambda p: ended_by_gateway(p, State.FAILED, "no", NOW_MS + 3_000)),
    "canceled": (State.CANCELED, lambda p: ended_by_gateway(p, State.CANCELED, "canceled", NOW_MS + 3_000)),
    "expired": (State.EXPIRED, lambda p: ended_by_gateway(p, State.EXPIRED, "too late", NOW_MS + 3_000)),
}
"""Everything that can happen to a prediction, with the state it leads to."""


def test_the_table_holds_every_move_that_can_happen_and_no_other() -> None:
    """Each legal move is made by something that can happen, and whatever happens is a legal move."""
    made = {(state, HAPPENINGS[name][0].value) for name, states in LEGAL_FROM.items() for state in states}
    made.add(("queued", "submitting"))  # by the script that takes submissions out of the queue
    assert made == {(state.value, to.value) for state, following in LEGAL_MOVES.items() for to in following}
    assert set(LEGAL_MOVES) == set(State)


@pytest.mark.parametrize("happening", HAPPENINGS)
def test_legal_moves_are_made_and_all_others_change_nothing(happening: str) -> None:
    """Whatever happens in whatever state: a legal move leads where it says, any other is None."""
    to, happens = HAPPENINGS[happening]
    for state in State:
        change = happens(prediction(state))
        reached = change.after.state if change else None
        assert reached == (to if state.value in LEGAL_FROM[happening] else None), f"{happening} while {state}"


def test_final_states_are_those_without_a_way_out() -> None:
    """A state has ended exactly when nothing may follow it."""
    assert {state for state in State if state.ended} == {state for state, to in LEGAL_MOVES.items() if not to}


def test_callers_never_see_how_a_submission_is_confirmed() -> None:
    """Until WaveSpeed has confirmed it, and after, a submission reads `created`; other states read as they are."""
    shown = {state.value: state.public for state in State}
    assert shown.pop("submitting") == shown.pop("unconfirmed") == "created"
    assert all(name == public for name, public in shown.items())


@pytest.mark.parametrize(("state", "ends"), [(State.CANCELED, "canceled"), (State.EXPIRED, "expired")])
def test_what_ends_while_it_waits_costs_nothing(state: State, ends: str) -> None:
    """Its money is released at once, and nothing is left to be found out; one that runs is held until it is closed."""
    waiting = HAPPENINGS[ends][1](prediction(State.QUEUED, money="held"))
    assert waiting is not None
    assert (waiting.after.state, waiting.after.money, waiting.after.closed) == (state, "released", "unsent")
    assert not waiting.after.watched
    running = HAPPENINGS[ends][1](prediction(State.PROCESSING, money="held"))
    assert running is not None
    assert (running.after.money, running.after.closed, running.after.watched) == ("held", "", True)


def test_what_is_put_back_keeps_all_it_needs_to_be_sent() -> None:
    """However large its input is; once it is sent, a large one is dropped, and so are its headers."""
    large = b'{"prompt":"%s"}' % (b"x" * 20_000)
    before = prediction(State.SUBMITTING, input=large, headers={"x-client-name": "sdk"}, submitted_at_ms=NOW_MS)
    back = put_back(before, NOW_MS)
    assert back is not None
    assert (back.after.input, back.after.headers, back.after.submitted_at_ms) == (large, before.headers, 0)
    sent = confirmed(before, THEIRS, NOW_MS)
    assert sent is not None
    assert (sent.after.input, dict(sent.after.headers)) == (b"", {})


@settings(max_examples=80, deadline=None)
@given(st.lists(st.sampled_from(list(HAPPENINGS)), max_size=12))
@example(["outcome unknown", "confirmed", "seen processing", "seen completed", "seen failed"])
@example(["confirmed", "seen completed", "seen processing", "confirmed", "canceled"])
def test_any_order_of_happenings_leaves_a_consistent_record(order: list[str]) -> None:
    """`rev` counts writes, `sequence` counts events, the end is set once and what has ended stays as it is."""
    now = start = prediction(State.SUBMITTING, rev=0, sequence=0)
    events = 0
    for writes, change in enumerate(filter(None, (HAPPENINGS[name][1](now) for name in order)), start=1):
        assert not now.state.ended
        events += change.event is not None
        assert change.event == EVENT_OF.get(change.after.state)
        assert (change.after.rev, change.after.sequence) == (writes, events)
        assert bool(change.after.ended_at_ms) == change.after.state.ended
        assert change.after.answer["id"] == OURS
        assert (change.after.id, change.after.tenant, change.after.created_at_ms) == (OURS, "acme", NOW_MS)
        now = change.after
    assert start.rev == 0, "a change never touches the prediction it was computed from"


@pytest.mark.parametrize("state", list(State))
def test_an_event_tells_of_every_step_a_caller_can_see(state: State) -> None:
    """Processing and every end are told under their own name; what happens before is nobody's business."""
    told = {"processing", "completed", "failed", "canceled", "expired"}
    assert EVENT_OF.get(state) == (f"prediction.{state}" if state in told else None)


class TestConfirmation:
    """The upstream has the task."""

    def test_starts_the_run(self) -> None:
        """The upstream's id and the start are set; callers still read `created`, and no event is written."""
        change = confirmed(prediction(State.SUBMITTING), THEIRS, NOW_MS + 5)
        assert change is not None
        assert change.event is None
        assert (change.after.upstream_id, change.after.started_at_ms) == (THEIRS, NOW_MS + 5)
        assert change.after.answer["status"] == "created"

    @pytest.mark.parametrize("size", [0, 1, INPUT_KEPT_BYTES])
    def test_keeps_inputs_up_to_the_bound(self, size: int) -> None:
        """An input of up to 8 kB stays with the record, to the last byte, however late the confirmation."""
        for state in (State.SUBMITTING, State.UNCONFIRMED):
            change = confirmed(prediction(state, input=b"x" * size), THEIRS, NOW_MS)
            assert change is not None
            assert change.after.input == b"x" * size

    @pytest.mark.parametrize("size", [INPUT_KEPT_BYTES + 1, 1_048_576])
    def test_drops_larger_inputs_but_not_what_identifies_them(self, size: int) -> None:
        """A larger input is let go of, while its size and hash stay."""
        before = prediction(State.SUBMITTING, input=b"x" * size, input_bytes=size, input_sha256="ab" * 32)
        change = confirmed(before, THEIRS, NOW_MS)
        assert change is not None
        assert change.after.input == b""
        assert (change.after.input_bytes, change.after.input_sha256) == (size, "ab" * 32)

    def test_never_replaces_an_upstream_id(self) -> None:
        """A second confirmation, under whatever id, changes nothing."""
        for state in set(State) - {State.SUBMITTING, State.UNCONFIRMED}:
            assert confirmed(prediction(state), "another", NOW_MS) is None

    def test_a_large_input_is_dropped_in_doubt_too(self) -> None:
        """While the outcome is unknown the fingerprint is what the task is found again by."""
        change = outcome_unknown(prediction(State.SUBMITTING, input=b"x" * 100_000, input_sha256="ab" * 32))
        assert change is not None
        assert (change.after.input, change.after.input_sha256) == (b"", "ab" * 32)


def test_inputs_that_mean_the_same_have_one_fingerprint() -> None:
    """The order of fields says nothing; every value does."""
    assert fingerprint({"prompt": "a", "n": 1}) == fingerprint({"n": 1, "prompt": "a"})
    assert fingerprint({"prompt": "a", "n": 1}) != fingerprint({"prompt": "a", "n": 1.5})
    assert json_bytes({"prompt": "a", "n": 1}) == b'{"prompt":"a","n":1}'


class TestObservation:
    """What the upstream says of a task, seen by a poll or told by a webhook."""

    @pytest.mark.parametrize("status", ["created", "queued", "Processing", "starting", "", "None", "paused"])
    def test_unknown_and_early_words_change_nothing(self, status: str) -> None:
        """A status nobody knows, or one from before, is no news in any state."""
        for state in State:
            assert observed(prediction(state), said(status, outputs=[VIDEO]), NOW_MS) is None

    def test_seeing_the_same_again_changes_nothing(self) -> None:
        """A second look at a running task writes nothing, nor does a second look at an ended one."""
        for status in ("processing", "completed", "failed"):
            first = observed(prediction(), said(status), NOW_MS)
            assert first is not None
            assert observed(first.after, said(status), NOW_MS + 1) is None

    def test_an_end_cannot_be_taken_back(self) -> None:
        """After an end, no other end and no return to running is believed."""
        for end, later in product(("completed", "failed"), ("processing", "completed", "failed")):
            ended = observed(prediction(State.PROCESSING), said(end), NOW_MS)
            assert ended is not None
            assert observed(ended.after, said(later), NOW_MS + 1) is None

    def test_completion_brings_the_outputs(self) -> None:
        """Outputs, time of the end and the upstream's own figures are kept; failed looks are forgotten."""
        seen = said("completed", outputs=[VIDEO], executionTime=41_000, has_nsfw_contents=[False])
        change = observed(prediction(State.PROCESSING, poll_failures=4), seen, NOW_MS + 9)
        assert change is not None
        after = change.after
        assert (after.ended_at_ms, after.poll_failures) == (NOW_MS + 9, 0)
        assert after.answer["outputs"] == [VIDEO]
        assert (after.answer["executionTime"], after.answer["has_nsfw_contents"]) == (41_000, [False])
        assert (after.answer["status"], after.answer["error"]) == ("completed", "")

    def test_failure_brings_the_reason(self) -> None:
        """A failed task reads `failed` with the upstream's own text, whatever word the upstream used for it."""
        seen = Observation("failed", "cancelled", {"status": "cancelled"}, "the upstream ended the task as cancelled")
        change = observed(prediction(), seen, NOW_MS)
        assert change is not None
        assert change.after.answer["status"] == "failed"
        assert change.after.answer["error"] == "the upstream ended the task as cancelled"
        assert change.after.answer["outputs"] == []

    @pytest.mark.parametrize("outputs", [None, [], ()])
    def test_no_outputs_are_an_empty_list(self, outputs: object) -> None:
        """Clients iterate over `outputs`, so it is a list even when the upstream says null."""
        change = observed(prediction(), said("completed", outputs=outputs), NOW_MS)
        assert change is not None
        assert change.after.answer["outputs"] == []

    def test_outputs_may_be_objects(self) -> None:
        """An output that is an object, as some models give, is passed on as it is."""
        outputs = [{"url": VIDEO, "mask": None}, VIDEO]
        change = observed(prediction(), said("completed", outputs=outputs), NOW_MS)
        assert change is not None
        assert change.after.answer["outputs"] == outputs

    def test_fields_nobody_knows_are_kept(self) -> None:
        """What a newer upstream adds reaches callers, also when a later look does not mention it again."""
        first = observed(prediction(), said("processing", progress={"percent": 40}, code=0), NOW_MS)
        assert first is not None
        second = observed(first.after, said("completed", outputs=[VIDEO], seed=12), NOW_MS)
        assert second is not None
        assert second.after.answer["progress"] == {"percent": 40}
        assert (second.after.answer["code"], second.after.answer["seed"]) == (0, 12)

    def test_names_and_times_stay_ours(self) -> None:
        """The id, the model asked for and the time of admission are ours, whatever the upstream calls them."""
        seen = said("completed", model="openai/sora-2-turbo", created_at="2001-01-01T00:00:00Z")
        change = observed(prediction(), seen, NOW_MS)
        assert change is not None
        answer = change.after.answer
        assert (answer["id"], answer["model"], answer["created_at"]) == (OURS, "openai/sora-2", rfc3339(NOW_MS))

    def test_the_upstream_is_never_an_address_to_poll(self) -> None:
        """`urls` is left out: a client that followed it would send its key to the upstream."""
        seen = said("completed", urls={"get": f"https://api.wavespeed.ai/api/v3/predictions/{THEIRS}/result"})
        change = observed(prediction(), seen, NOW_MS)
        assert change is not None
        assert "urls" not in change.after.answer
        assert THEIRS.encode() not in json_bytes(change.after.answer)

    def test_the_upstream_id_is_ours_in_error_texts(self) -> None:
        """A reason that names the task names it as callers know it."""
        change = observed(prediction(), said("failed", error=f"task {THEIRS} was moderated"), NOW_MS)
        assert change is not None
        assert change.after.answer["error"] == f"task {OURS} was moderated"

    def test_output_addresses_are_passed_on_untouched(self) -> None:
        """An output URL works only as the upstream wrote it, its id included."""
        url = f"https://cdn.wavespeed.test/{THEIRS}/1.mp4"
        change = observed(prediction(), said("completed", outputs=[url]), NOW_MS)
        assert change is not None
        assert change.after.answer["outputs"] == [url]

    @pytest.mark.parametrize(
        "field",
        [{"task_id": THEIRS}, {"logs": [f"{THEIRS} started"]}, {"meta": {THEIRS: 1}}, {"timings": {THEIRS: 1}}],
    )
    def test_the_upstream_id_stays_inside(self, field: dict[str, Any]) -> None:
        """No field of an answer names the upstream's task, also not one that nobody knows; output URLs may."""
        change = observed(prediction(), said("completed", outputs=[VIDEO], **field), NOW_MS)
        assert change is not None
        assert THEIRS.encode() not in json_bytes(change.after.answer)


class TestEndedByGateway:
    """Ends that the upstream did not announce."""

    @pytest.mark.parametrize("state", [State.FAILED, State.CANCELED, State.EXPIRED])
    def test_reads_as_failed_with_text(self, state: Literal[State.FAILED, State.CANCELED, State.EXPIRED]) -> None:
        """Clients stop only at `failed` and `completed`: any other end reads `failed` and says why."""
        change = ended_by_gateway(prediction(State.CREATED), state, "no result within 1800 s", NOW_MS + 4)
        assert change is not None
        assert change.event == f"prediction.{state}"
        assert change.after.ended_at_ms == NOW_MS + 4
        assert change.after.answer["status"] == "failed"
        assert change.after.answer["error"] == "no result within 1800 s"

    def test_keeps_what_was_known(self) -> None:
        """What the upstream said while it ran stays in the answer."""
        running = observed(prediction(), said("processing", progress=40), NOW_MS)
        assert running is not None
        change = ended_by_gateway(running.after, State.EXPIRED, "too late", NOW_MS)
        assert change is not None
        assert change.after.answer["progress"] == 40


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text('ab"\\é🌊\0', max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("xyz", max_size=3), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.text("abcdeiloprstuw_", max_size=9), json_values, max_size=6), st.sampled_from(list(State)))
def test_no_answer_of_the_upstream_can_break_a_record(data: Mapping[str, Any], state: State) -> None:
    """Whatever JSON object the upstream describes a task with, the answer stays whole, ours and storable."""
    change = observed(prediction(state), Observation("completed", "completed", data), NOW_MS)
    if change is None:
        return
    answer = from_json(json_bytes(change.after.answer))
    assert (answer["id"], answer["status"], answer["error"]) == (OURS, "completed", "")
    assert "urls" not in answer
    assert set(data) - {"urls"} <= set(answer)


@settings(max_examples=50, deadline=None)
@given(json_values)
def test_stored_json_is_compact_stable_and_valid(value: Any) -> None:
    """Read and written again it is the same to the byte, and no reader can stumble over NaN."""
    written = json_bytes(value)
    again = from_json(written, allow_inf_nan=False)
    assert json_bytes(again) == written
    assert to_json(again) == written


@settings(max_examples=60, deadline=None)
@given(st.integers(min_value=0, max_value=4_102_444_800_000))
@example(0)
@example(NOW_MS)
def test_times_are_rfc_3339_to_the_millisecond(at_ms: int) -> None:
    """A time is written in UTC with three decimals, and no millisecond is lost."""
    text = rfc3339(at_ms)
    assert text.endswith("Z")
    assert len(text) == len("2023-11-14T22:13:20.123Z")
    assert round(datetime.fromisoformat(text).timestamp() * 1000) == at_ms


def test_the_first_answer_is_complete() -> None:
    """Before the upstream has said anything, callers already read every field they know."""
    assert initial_answer(OURS, "openai/sora-2", NOW_MS) == {
        "id": OURS,
        "model": "openai/sora-2",
        "outputs": [],
        "has_nsfw_contents": [],
        "status": "created",
        "created_at": "2023-11-14T22:13:20.123Z",
        "error": "",
        "executionTime": 0,
        "timings": {"inference": 0},
    }


def test_a_record_never_changes_under_its_reader() -> None:
    """A change is a new record: the one it came from can be compared with what is stored."""
    before = prediction(State.CREATED)
    copy = before._replace(answer=dict(before.answer))
    assert observed(before, said("completed", outputs=[VIDEO]), NOW_MS) is not None
    assert ended_by_gateway(before, State.EXPIRED, "too late", NOW_MS) is not None
    assert before == copy


def ended_early(state: State = State.CANCELED, **known: Any) -> Prediction:
    """A prediction that has ended for its tenant, with its money still held."""
    error = {"status": "failed", "error": "canceled by its tenant"}
    fields: dict[str, Any] = {
        "money": "held",
        "ended_at_ms": NOW_MS + 5_000,
        "answer": initial_answer(OURS, "openai/sora-2", NOW_MS) | error,
    }
    return prediction(state, **fields | known)


@pytest.mark.parametrize("state", [State.CANCELED, State.EXPIRED])
class TestClosing:
    """What becomes of a prediction that ended for its tenant before it ended upstream."""

    def test_a_video_that_came_after_all_is_paid_for_and_given_out(self, state: State) -> None:
        """Settled, its outputs are added; state, reason and time of the end stay, and no event is written."""
        change = observed(ended_early(state), said("completed", outputs=[VIDEO]), NOW_MS + 60_000)
        assert change is not None
        after = change.after
        assert (after.state, after.money, after.closed, after.closed_at_ms) == (
            state,
            "settled",
            "completed",
            NOW_MS + 60_000,
        )
        assert (after.ended_at_ms, change.event, after.sequence) == (NOW_MS + 5_000, None, 3)
        assert (after.answer["status"], after.answer["error"]) == ("failed", "canceled by its tenant")
        assert after.answer["outputs"] == [VIDEO]
        assert after.answer["output_expires_at"] == rfc3339(NOW_MS + 5_000 + RETENTION_MS)

    def test_one_that_failed_costs_nothing(self, state: State) -> None:
        """Released, and the answer stays as it was."""
        before = ended_early(state)
        change = observed(before, said("failed", error="moderation"), NOW_MS + 60_000)
        assert change is not None
        assert (change.after.state, change.after.money, change.after.closed) == (state, "released", "failed")
        assert change.after.answer == before.answer

    def test_one_that_never_started_costs_nothing(self, state: State) -> None:
        """Released; but not when it was found upstream in the meantime."""
        change = never_started(ended_early(state, upstream_id=""), "not started", NOW_MS + 9)
        assert change is not None
        assert (change.after.state, change.after.money, change.after.closed) == (state, "released", "never_started")
        assert never_started(ended_early(state), "not started", NOW_MS + 9) is None

    def test_one_the_account_had_no_room_for_costs_nothing(self, state: State) -> None:
        """What would have waited again is closed and released; one that was found in the meantime is left alone."""
        change = put_back(ended_early(state, upstream_id=""), NOW_MS + 9)
        assert change is not None
        assert (change.after.state, change.after.money, change.after.closed) == (state, "released", "never_started")
        assert put_back(ended_early(state), NOW_MS + 9) is None

    def test_one_that_is_gone_costs_nothing(self, state: State) -> None:
        """Released; one that still runs for its tenant is never closed so."""
        change = gone(ended_early(state), NOW_MS + 9)
        assert change is not None
        assert (change.after.money, change.after.closed) == ("released", "gone")
        assert gone(prediction(), NOW_MS + 9) is None

    def test_silence_is_paid_for(self, state: State) -> None:
        """Of one nobody ever said anything about the worst is assumed, once."""
        change = orphaned(ended_early(state), NOW_MS + 9)
        assert change is not None
        assert (change.after.money, change.after.closed) == ("settled", "orphaned")
        assert orphaned(change.after, NOW_MS + 10) is None

    def test_it_is_watched_until_it_is_closed(self, state: State) -> None:
        """Closing is looked at like running; a closed one is looked at no more, and no verdict changes it."""
        before = ended_early(state)
        assert (before.closing, before.watched) == (True, True)
        change = observed(before, said("completed"), NOW_MS)
        assert change is not None
        assert (change.after.closing, change.after.watched) == (False, False)
        for seen in (said("completed"), said("failed"), said("processing")):
            assert observed(change.after, seen, NOW_MS + 1) is None

    def test_a_late_confirmation_only_says_where_to_look(self, state: State) -> None:
        """The upstream's id is kept with what is known of it; the end stays an end."""
        change = confirmed(ended_early(state, upstream_id="", evidence=""), THEIRS, NOW_MS + 7, "callback", NOW_MS + 2)
        assert change is not None
        after = change.after
        assert (after.state, after.upstream_id, after.evidence, after.started_at_ms) == (
            state,
            THEIRS,
            "callback",
            NOW_MS + 2,
        )
        assert change.event is None

    def test_a_run_that_goes_on_changes_nothing(self, state: State) -> None:
        """Still running is no news of one that has ended."""
        assert observed(ended_early(state), said("processing"), NOW_MS) is None


def test_only_a_task_found_in_a_list_can_be_lost_to_better_evidence() -> None:
    """An answer or a callback of its own is never doubted, and one list entry no better than another."""
    for evidence in ("answer", "callback"):
        assert dispossessed(prediction(evidence=evidence), "answer") is None
    assert dispossessed(prediction(), "list") is None
    change = dispossessed(prediction(State.PROCESSING), "callback")
    assert change is not None
    assert (change.after.upstream_id, change.after.evidence, change.after.started_at_ms) == ("", "", 0)
    assert change.after.answer["status"] == "created"


class TestOutputs:
    """How long outputs last."""

    def test_every_answer_with_outputs_says_until_when(self) -> None:
        """Seven days after the end; without outputs there is nothing to expire."""
        change = observed(prediction(), said("completed", outputs=[VIDEO]), NOW_MS)
        assert change is not None
        assert change.after.answer["output_expires_at"] == rfc3339(NOW_MS + RETENTION_MS)
        assert change.after.output_expires_at_ms == NOW_MS + RETENTION_MS
        empty = observed(prediction(), said("completed", outputs=[]), NOW_MS)
        assert empty is not None
        assert "output_expires_at" not in empty.after.answer
        assert empty.after.output_expires_at_ms == 0

    def test_their_end_is_told_once(self) -> None:
        """An event with the next sequence, no move; not told twice, and not of what has no outputs."""
        change = observed(prediction(), said("completed", outputs=[VIDEO]), NOW_MS)
        assert change is not None
        told = output_expiring(change.after)
        assert told is not None
        assert (told.event, told.after.sequence, told.after.state) == ("prediction.output_expiring", 5, State.COMPLETED)
        assert output_expiring(told.after) is None
        assert output_expiring(prediction()) is None
