"""What an upstream answer means: started, refused or unknown; a verdict, or look again later."""

from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import to_json

from service.domain.errors import (
    AccountFault,
    CapacityReached,
    OutcomeUnknown,
    ReadFailed,
    UpstreamError,
    UpstreamRefused,
)
from service.domain.json_forms import fingerprint
from service.domain.predictions import Observation
from service.upstream.payloads import (
    MAX_MESSAGE,
    Started,
    callback_task,
    list_answer,
    observation,
    result_answer,
    secret_answer,
    submit_answer,
)

TASK = "d5f3c1b2a4e64f0f9a1b2c3d4e5f6071"
VIDEO = "https://cdn.wavespeed.test/video.mp4"
HTML = b"<!doctype html><html><body><h1>502 Bad Gateway</h1></body></html>"
UNREADABLE = {
    "empty": b"",
    "html": HTML,
    "cut": b'{"code":200,"message":"success","data":{"id":"d5f3c1b2',
    "not utf-8": b'{"code":200,"data":{"id":"\xff\xfe"}}',
    "lone surrogate": b'{"code":200,"data":{"id":"\\ud800"}}',
    "array": b'[{"code":200,"data":{"id":"d5f3c1b2"}}]',
    "text": b'"success"',
    "null": b"null",
    "nested too deep": b'{"code":200,"data":' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    "endless number": b'{"code":' + b"9" * 10_000 + b"}",
    "two documents": b'{"code":200,"data":{"id":"d5f3c1b2"}}{"code":400}',
}


def envelope(code: Any = 200, data: Any = None, **more: Any) -> bytes:
    """WaveSpeed's envelope."""
    return to_json({"code": code, "message": "success", "data": {"id": TASK} if data is None else data, **more})


def refusal(code: Any, message: Any = "no", **more: Any) -> bytes:
    """An error as WaveSpeed words it: no data."""
    return to_json({"code": code, "message": message, **more})


def submit_error(status: int, body: bytes, retry_after_s: float | None = None) -> UpstreamError:
    """The error that an answer to a submission comes to."""
    with pytest.raises(UpstreamError) as raised:
        submit_answer(status, body, retry_after_s)
    return raised.value


class TestStarted:
    """The one answer that says a task was started."""

    def test_200_with_code_200_and_an_id(self) -> None:
        """Status, code and id agree: the task is there under this id."""
        captured = (
            b'{"code":200,"message":"success","data":{"id":"d5f3c1b2a4e64f0f9a1b2c3d4e5f6071","model":"openai/sora-2",'
            b'"outputs":[],"urls":{"get":"https://api.wavespeed.ai/api/v3/predictions/'
            b'd5f3c1b2a4e64f0f9a1b2c3d4e5f6071/result"},"has_nsfw_contents":[],"status":"created",'
            b'"created_at":"2025-10-08T07:21:46.948268264Z","error":"","executionTime":0,"timings":{"inference":0}}}'
        )
        assert submit_answer(200, captured, None) == Started(TASK)

    @pytest.mark.parametrize("extra", [{"status": "completed"}, {"outputs": None}, {"anything": {"new": []}}])
    def test_whatever_else_it_says(self, extra: dict[str, Any]) -> None:
        """Fields beside the id do not matter to whether a task was started."""
        assert submit_answer(200, envelope(data={"id": TASK, **extra}, notice="new"), 3.0) == Started(TASK)

    @pytest.mark.parametrize("task", ["a", "d5f3c1b2a4e64f0f9a1b2c3d4", "pred_abc-123", "x" * 200])
    def test_ids_of_other_forms_are_believed(self, task: str) -> None:
        """An id is opaque: shorter and longer ones than today's are taken as they are."""
        assert submit_answer(200, envelope(data={"id": task}), None) == Started(task)


class TestRefused:
    """Answers that say nothing was started, so that nothing is charged."""

    @pytest.mark.parametrize(
        "status", [400, 404, 405, 406, 409, 410, 411, 413, 414, 415, 418, 422, 423, 425, 431, 451, 499]
    )
    def test_4xx_is_a_refusal_whatever_its_body(self, status: int) -> None:
        """A client error never starts a task; its own words are passed on when it has any."""
        for body, words in ((refusal(400, "bad prompt"), "bad prompt"), (HTML, "refused"), (b"", "refused")):
            error = submit_error(status, body)
            assert type(error) is UpstreamRefused
            assert (error.status, error.message) == (status, words)

    @pytest.mark.parametrize("status", [401, 402, 403])
    def test_account_faults_are_their_own_kind(self, status: int) -> None:
        """A key that is refused, an empty purse, a suspended account: nothing a tenant can mend."""
        for error in (submit_error(status, refusal(status)), submit_error(200, refusal(status))):
            assert type(error) is AccountFault
            assert error.status == status

    @pytest.mark.parametrize("retry_after_s", [None, 0.0, 7.5])
    def test_429_is_capacity_with_the_upstreams_wish(self, retry_after_s: float | None) -> None:
        """A used-up rate or concurrency is its own kind and carries the Retry-After, if there was one."""
        words = "You have reached your concurrency limit"
        for status in (429, 200):
            error = submit_error(status, refusal(429, words), retry_after_s)
            assert type(error) is CapacityReached
            assert (error.status, error.message, error.retry_after_s) == (429, words, retry_after_s)

    @pytest.mark.parametrize("code", [400, 404, 422])
    def test_200_with_an_error_code_and_no_id(self, code: int) -> None:
        """An error told inside a 200 is the same refusal as one told by the status."""
        for body in (
            refusal(code, "no such size"),
            refusal(code, "no such size", data={}),
            refusal(code, "no such size", data=None),
        ):
            error = submit_error(200, body)
            assert type(error) is UpstreamRefused
            assert (error.status, error.message) == (code, "no such size")

    @pytest.mark.parametrize(
        ("code", "status"), [(1200, 400), (1401, 400), (0, 502), (408, 502), (500, 502), (5003, 502), (-1, 502)]
    )
    def test_codes_that_are_no_status_are_given_one(self, code: int, status: int) -> None:
        """A task code about the request is the caller's fault, any other the upstream's; either way nothing started."""
        error = submit_error(200, refusal(code, "moderation"))
        assert type(error) is UpstreamRefused
        assert (error.status, error.message) == (status, "moderation")

    def test_words_are_found_where_the_upstream_puts_them(self) -> None:
        """`message` comes first, then `error`; other types are not words."""
        told = "webhook callback does not support base64 output"
        assert str(submit_error(400, to_json({"error": told}))).endswith(told)
        assert str(submit_error(400, refusal(400, "", error=told))).endswith(told)
        for silent in (None, 3, ["a"], {"a": 1}):
            assert str(submit_error(400, refusal(400, silent))).endswith("refused")

    def test_words_are_bounded(self) -> None:
        """An upstream that answers with a novel is quoted with its first page."""
        error = submit_error(400, refusal(400, "x" * 100_000))
        assert isinstance(error, UpstreamRefused)
        assert len(error.message) == MAX_MESSAGE


class TestOutcomeUnknown:
    """Answers after which a task may run and be paid for: never post again."""

    @pytest.mark.parametrize("status", [100, 201, 202, 204, 206, 299, 300, 301, 302, 303, 304, 307, 308, 408])
    def test_statuses_without_a_meaning(self, status: int) -> None:
        """Another 2xx, a redirect and a timeout of the upstream prove nothing, whatever their body says."""
        for body in (envelope(), refusal(400), HTML, b""):
            assert type(submit_error(status, body)) is OutcomeUnknown

    @pytest.mark.parametrize("status", [500, 501, 502, 503, 504, 507, 520, 522, 524, 599])
    def test_5xx(self, status: int) -> None:
        """A server that fails may have started the task first: typical of a front end that gives up waiting."""
        for body in (envelope(), refusal(500), HTML):
            assert type(submit_error(status, body, 5.0)) is OutcomeUnknown

    @pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE.keys())
    def test_200_that_cannot_be_read(self, body: bytes) -> None:
        """An answer that was cut, mangled or replaced on its way says nothing."""
        assert type(submit_error(200, body)) is OutcomeUnknown

    @pytest.mark.parametrize(
        "body",
        [
            envelope(data={}),
            envelope(data=[TASK]),
            envelope(data=TASK),
            envelope(data={"id": None}),
            envelope(data={"id": ""}),
            envelope(data={"id": 17}),
            envelope(data={"id": [TASK]}),
            envelope(data={"id": "x" * 201}),
            envelope(data={"id": "x" * 500_000}),
            envelope(code=None),
            envelope(code="200"),
            envelope(code=[200]),
            envelope(code=500),
            envelope(code=5004),
            envelope(code=429),
            refusal(None),
            refusal("400"),
            refusal({}),
            to_json({"data": {"id": TASK}}),
            to_json({"id": TASK}),
            to_json({"error": "something"}),
            b"{}",
        ],
    )
    def test_200_that_contradicts_itself(self, body: bytes) -> None:
        """A success without a usable id, an error with an id, a code of a wrong type: it may have started."""
        assert type(submit_error(200, body)) is OutcomeUnknown

    @pytest.mark.parametrize("task", [17, "x" * 201, [TASK]])
    def test_an_error_with_an_id_of_whatever_form(self, task: Any) -> None:
        """An id beside an error code is a task that may run, also when the id is of a form nobody knows."""
        assert type(submit_error(200, envelope(code=400, data={"id": task}))) is OutcomeUnknown

    @pytest.mark.parametrize("task", ["../../balance", "a/b", "a?b", "a#b", "a b", "a\r\nb", "\0", "..", "%2e%2e"])
    def test_an_id_that_would_change_the_address_it_is_read_at(self, task: str) -> None:
        """An id becomes part of a URL: one that leads elsewhere, with our key, is no id."""
        assert type(submit_error(200, envelope(data={"id": task}))) is OutcomeUnknown


@settings(max_examples=100, deadline=None)
@given(
    st.integers(min_value=100, max_value=599),
    st.sampled_from([200, 400, 429, 500, None, "200"]),
    st.sampled_from([None, {}, {"id": None}, {"id": TASK}, {"id": 5}, [], "x"]),
    st.booleans(),
)
def test_every_answer_to_a_submission_means_one_thing(status: int, code: Any, data: Any, cut: bool) -> None:
    """Any status with any body is started, refused or unknown; started only for the one right combination."""
    body = to_json({"code": code, "data": data})[: -1 if cut else None]
    try:
        started = submit_answer(status, body, None)
    except UpstreamRefused:
        assert status != 408
        assert status in range(400, 500) or (status == 200 and not cut)
    except OutcomeUnknown:
        assert status == 408 or status not in range(400, 500)
    else:
        assert started == Started(TASK)
        assert (status, code, data, cut) == (200, 200, {"id": TASK}, False)


class TestReading:
    """A look at a task: only a readable answer about it is a verdict."""

    def test_a_running_task(self) -> None:
        """The task is described in the upstream's own words."""
        data = {"id": TASK, "status": "processing", "outputs": [], "progress": 40}
        assert result_answer(TASK, 200, envelope(data=data), None) == Observation("running", "processing", data)

    def test_a_completed_task(self) -> None:
        """Completed is a verdict, and everything the upstream says of it is kept."""
        data = {
            "id": TASK,
            "status": "completed",
            "outputs": [VIDEO],
            "error": "",
            "executionTime": 41_000,
            "code": 0,
        }
        assert result_answer(TASK, 200, envelope(data=data), None) == Observation("completed", "completed", data)

    def test_a_failed_task(self) -> None:
        """A failure is told inside a 200 with code 200, and its reason comes along."""
        data = {"id": TASK, "status": "failed", "error": "Content policy", "code": 1200}
        assert result_answer(TASK, 200, envelope(data=data), None) == Observation(
            "failed", "failed", data, "Content policy"
        )

    @pytest.mark.parametrize("status", [201, 204, 301, 302, 400, 401, 402, 403, 404, 408, 410, 429, 500, 502, 503, 504])
    def test_any_other_status_is_no_verdict(self, status: int) -> None:
        """Not even a 404 ends a prediction: it is looked at again, after the time the upstream wishes."""
        for retry_after_s in (None, 30.0):
            with pytest.raises(ReadFailed, match=str(status)) as failed:
                result_answer(TASK, status, envelope(data={"id": TASK, "status": "completed"}), retry_after_s)
            assert failed.value.retry_after_s == retry_after_s

    @pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE.keys())
    def test_a_body_that_cannot_be_read_is_no_verdict(self, body: bytes) -> None:
        """Pages of a front end and cut answers only mean looking again."""
        with pytest.raises(ReadFailed):
            result_answer(TASK, 200, body, None)

    @pytest.mark.parametrize(
        "body",
        [
            envelope(code=404, data={"status": "failed"}),
            envelope(code="200", data={"status": "failed"}),
            envelope(code=None, data={"status": "completed"}),
            envelope(data=[]),
            envelope(data="completed"),
            refusal(200),
            to_json({"status": "completed", "outputs": [VIDEO]}),
            b"{}",
        ],
    )
    def test_an_envelope_that_is_not_a_success_is_no_verdict(self, body: bytes) -> None:
        """An error code, missing data or data of a wrong type say nothing of the task."""
        with pytest.raises(ReadFailed):
            result_answer(TASK, 200, body, None)

    def test_an_answer_about_another_task_is_no_verdict(self) -> None:
        """A mixed-up answer never gives one prediction another's result."""
        with pytest.raises(ReadFailed, match="another task"):
            result_answer(TASK, 200, envelope(data={"id": "0" * 32, "status": "completed", "outputs": [VIDEO]}), None)

    def test_a_reason_stays_short(self) -> None:
        """What is logged of an odd answer is bounded."""
        with pytest.raises(ReadFailed) as failed:
            result_answer(TASK, 200, envelope(code="x" * 10_000, data={}), None)
        assert len(failed.value.reason) <= 60


class TestStatuses:
    """The upstream's words for the state of a task."""

    @pytest.mark.parametrize(
        ("status", "verdict"),
        [
            ("created", "running"),
            ("processing", "running"),
            ("queued", "running"),
            ("pending", "running"),
            ("starting", "running"),
            ("brand-new-status", "running"),
            ("", "running"),
            ("COMPLETED", "running"),
            ("completed ", "running"),
            ("completed", "completed"),
            ("succeeded", "completed"),
            ("failed", "failed"),
            ("error", "failed"),
            ("cancelled", "failed"),
            ("canceled", "failed"),
            ("timeout", "failed"),
            ("deleted", "failed"),
        ],
    )
    def test_every_known_word_and_any_other(self, status: str, verdict: str) -> None:
        """Each of the documented ends is an end; a word nobody knows means that the task still runs."""
        seen = observation({"status": status})
        assert (seen.verdict, seen.status) == (verdict, status)

    @pytest.mark.parametrize("data", [{}, {"status": None}, {"status": 3}, {"status": ["completed"]}, {"status": True}])
    def test_a_status_of_another_type_is_still_running(self, data: dict[str, Any]) -> None:
        """Nothing but a text is a verdict."""
        assert observation(data).verdict == "running"

    @pytest.mark.parametrize("status", ["failed", "cancelled", "timeout", "deleted"])
    def test_a_failure_always_has_a_reason(self, status: str) -> None:
        """Where the upstream gives no text, the reason is its own word for the end."""
        for error in (None, "", 5, {"message": "x"}, ["x"]):
            assert observation({"status": status, "error": error}).error == f"the upstream ended the task as {status}"

    def test_a_success_has_no_error(self) -> None:
        """A text in `error` beside success is not passed on as one."""
        assert observation({"status": "completed", "error": "warning: slow"}).error == ""

    def test_texts_are_bounded(self) -> None:
        """Neither a status nor a reason can grow a record or a log line."""
        seen = observation({"status": "failed", "error": "x" * 100_000})
        assert len(seen.error) == MAX_MESSAGE
        assert len(observation({"status": "s" * 100_000}).status) == 40


class TestList:
    """The account's tasks."""

    ITEM: Final[dict[str, Any]] = {
        "id": "t1",
        "model": "openai/sora-2",
        "input": {"n": 1, "prompt": "a wave"},
        "created_at": "2027-01-15T08:00:00.948268264Z",
        "status": "completed",
    }

    @staticmethod
    def listed(*items: Any) -> bytes:
        """A page."""
        return to_json({"code": 200, "message": "success", "data": {"page": 1, "items": list(items)}})

    def test_each_task_is_told_by_its_inputs_and_time(self) -> None:
        """Inputs as the fingerprint a submission has, whatever the order of their fields; time to the millisecond."""
        (task,) = list_answer(200, self.listed(self.ITEM), None)
        assert (task.upstream_id, task.model) == ("t1", "openai/sora-2")
        assert task.input_sha256 == fingerprint({"prompt": "a wave", "n": 1})
        assert task.created_at_ms == 1_800_000_000_948

    def test_inputs_may_have_either_name(self) -> None:
        """`inputs` is understood like `input`."""
        item = {name: value for name, value in self.ITEM.items() if name != "input"} | {"inputs": {"prompt": "x"}}
        (task,) = list_answer(200, self.listed(item), None)
        assert task.input_sha256 == fingerprint({"prompt": "x"})

    @pytest.mark.parametrize(
        "change",
        [{"id": 7}, {"id": "../x"}, {"input": None}, {"input": "a wave"}, {"created_at": None}, {"created_at": "soon"}],
    )
    def test_an_entry_that_says_not_what_it_is_spoils_the_list(self, change: dict[str, Any]) -> None:
        """It might be the second task that fits: nothing is concluded from the rest."""
        with pytest.raises(ReadFailed):
            list_answer(200, self.listed(self.ITEM, self.ITEM | change), None)

    def test_a_time_without_a_zone_is_no_time(self) -> None:
        """Hours could lie between what it says and what it means."""
        with pytest.raises(ReadFailed):
            list_answer(200, self.listed(self.ITEM | {"created_at": "2027-01-15T08:00:00"}), None)

    @pytest.mark.parametrize(
        ("status", "body"),
        [
            (500, b""),
            (404, b"{}"),
            (200, b"<html>"),
            (200, b"[]"),
            (200, b'{"code":200,"data":{}}'),
            (200, b'{"code":200,"data":{"items":{}}}'),
            (200, b'{"code":200,"data":{"items":["t1"]}}'),
        ],
    )
    def test_what_is_no_list_is_no_answer(self, status: int, body: bytes) -> None:
        """Never an empty list: that would mean that nothing was found."""
        with pytest.raises(ReadFailed):
            list_answer(status, body, None)

    def test_an_empty_list_is_one(self) -> None:
        """Nothing was made."""
        assert list_answer(200, self.listed(), None) == []


class TestTrouble:
    """What a failed read says of the upstream."""

    @pytest.mark.parametrize(
        ("status", "in_trouble", "absent"),
        [(500, True, False), (503, True, False), (404, False, True), (429, False, False)],
    )
    def test_statuses(self, status: int, in_trouble: bool, absent: bool) -> None:
        """A 5xx means trouble, a 404 that there is no such task; neither is a verdict."""
        with pytest.raises(ReadFailed) as failed:
            result_answer("t1", status, b"", None)
        assert (failed.value.in_trouble, failed.value.absent) == (in_trouble, absent)


def test_the_webhook_secret_is_read() -> None:
    """And what is too short to be one is none."""
    assert secret_answer(200, b'{"code":200,"data":{"secret":"whsec_0123456789abcdef"}}', None).startswith("whsec_")
    for body in (b'{"code":200,"data":{"secret":"short"}}', b'{"code":200,"data":{}}', b"", b'{"code":401}'):
        with pytest.raises(ReadFailed):
            secret_answer(200, body, None)


def test_a_callback_says_which_task_and_since_when() -> None:
    """The bare prediction; a time that cannot be read is none, an id that cannot be one makes it unreadable."""
    called = callback_task(b'{"id":"t1","status":"failed","error":"no","created_at":"2027-01-15T08:00:00Z"}')
    assert called is not None
    assert (called.upstream_id, called.seen.verdict, called.created_at_ms) == ("t1", "failed", 1_800_000_000_000)
    without = callback_task(b'{"id":"t1","status":"completed"}')
    assert without is not None
    assert without.created_at_ms == 0
    for body in (b"", b"[]", b'{"status":"completed"}', b'{"id":"../x"}', b'{"id":1}'):
        assert callback_task(body) is None
