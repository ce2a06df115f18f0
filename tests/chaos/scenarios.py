"""Every way a submission can go in the runs that crash, and what no submission passes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from service.domain.predictions import State


@dataclass(frozen=True)
class Scenario:
    """One way a prediction can go.

    `ends` are the states it may reach once the upstream was paid, `unpaid` those if it never was. `then` is what
    happens besides, `again` what happens once more after the crash, since whoever did it got no answer. `faults` is
    what the upstream is armed with, `settings` what is set otherwise, `switch` what of WaveSpeed's own the submission
    switches on (see `Run`). A first run dies at the hit `after_death_at`, and the run that follows is the one to crash.
    `told` is False where receivers need not hear of the end. One is crashed where no scenario before it passed, and
    in every module whose name begins as one of `thorough` does.
    """

    name: str
    prompt: str = "a wave"
    ends: frozenset[State] = frozenset({State.COMPLETED})
    then: str = ""
    again: str = ""
    refuse_callbacks: int = 0
    refuse_with: int = 500
    faults: tuple[dict[str, Any], ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    switch: str = ""
    answer_within_s: float = 5.5
    after_death_at: str = ""
    told: bool = True
    unpaid: frozenset[State] = frozenset({State.FAILED, State.CANCELED})
    thorough: tuple[str, ...] = ()


_CANCELED: Final = frozenset({State.CANCELED, State.COMPLETED})
_NOTHING: Final[frozenset[State]] = frozenset()
_LATE_422: Final = {"operation": "submit", "fault": "late_status", "status": 422, "seconds": 0.4}
_LATE_401: Final = {"operation": "submit", "fault": "late_status", "status": 401, "seconds": 0.4}
_ONE_401: Final = {"operation": "submit", "fault": "status", "status": 401}
_ONE_429: Final = {"operation": "submit", "fault": "status", "status": 429}
_LATE_429: Final = {"operation": "submit", "fault": "late_status", "status": 429, "seconds": 0.4}
_NO_BALANCE: Final = {"operation": "balance", "fault": "status", "status": 500}
_FIVE_500: Final = {"operation": "list", "fault": "status", "status": 500, "times": 5}
_HASTY: Final = {"poll_scale": 0.002}
"""Deadlines of seconds, and a day's silence of minutes; a submission is still looked for as long as it must be."""

_AFTER_ITS_WAIT: Final = (
    "service.usecases.start",
    "service.usecases.submit",
    "service.usecases.transition",
    "service.stores.prediction_store",
    "service.upstream.client",
    "service.upstream.connection",
    "worker.work_pool",
)
_IMPATIENT: Final = {"max_queue_wait_s": 8.0}
"""A submission waits for seconds only."""

SCENARIOS: Final = (
    Scenario("completes", thorough=("",)),
    Scenario("answer lost", "[sim:submit=lost] a wave"),
    Scenario("refused", "[sim:submit=422] a wave", _NOTHING),
    Scenario("never arrives", "[sim:submit=503] a wave", _NOTHING),
    Scenario("looks fail", "[sim:poll=500x2][sim:poll=cut] a wave"),
    Scenario("fails", "[sim:fail] a wave", frozenset({State.FAILED})),
    Scenario("receiver fails", refuse_callbacks=3),
    Scenario("its receivers want no more", refuse_callbacks=99, refuse_with=410, told=False),
    Scenario("asked twice", then="again"),
    Scenario("canceled", then="cancel", ends=_CANCELED),
    Scenario("canceled, then looks fail", "[sim:poll=500x2] a wave", then="cancel", ends=_CANCELED),
    Scenario("canceled, then gone", "[sim:poll=404x9] a wave", then="cancel", ends=_CANCELED),
    Scenario("canceled while unconfirmed", "[sim:submit=lost] a wave", then="cancel", ends=_CANCELED),
    Scenario("canceled before its answer", "[sim:delay=0.4] a wave", _CANCELED, "cancel", answer_within_s=0.05),
    Scenario("canceled, then refused", ends=_NOTHING, then="cancel", faults=(_LATE_422,), answer_within_s=0.05),
    Scenario("canceled by an operator, then refused", ends=_NOTHING, then="operator cancels", faults=(_LATE_422,)),
    Scenario("refused late", ends=_NOTHING, faults=(_LATE_422,), answer_within_s=0.05),
    Scenario(
        "canceled, and silence", "[sim:stuck] a wave", frozenset(State) - {State.FAILED}, "cancel", settings=_HASTY
    ),
    Scenario("expires, then completes", "[sim:duration=120] a wave", frozenset({State.EXPIRED, State.COMPLETED})),
    Scenario("expires unseen", "[sim:poll=500x9999] a wave", frozenset({State.EXPIRED}), settings=_HASTY),
    Scenario("called back", "[sim:submit=lost] a wave", then="callback", again="callback"),
    Scenario(
        "a callback corrects the list",
        "[sim:submit=lost] a wave",
        then="callback corrects",
        again="callback",
        told=False,
    ),
    Scenario("a callback takes from another", "[sim:submit=lost] a wave", then="callback takes", again="callback"),
    Scenario("answered with another's task", then="foreign owner", ends=frozenset({State.FAILED})),
    Scenario("the breaker opens", then="breaker", settings={"poll_scale": 1.0}, faults=(_FIVE_500,)),
    Scenario(
        "the breaker opens once it is canceled",
        then="cancel, then breaker",
        ends=_CANCELED,
        settings={"poll_scale": 1.0},
        faults=(_FIVE_500,),
    ),
    Scenario("Redis hangs up", then="cut"),
    Scenario("Redis hangs on admission", then="pause"),
    Scenario("its admission was not heard of", then="unheard", ends=frozenset({State.COMPLETED, State.FAILED})),
    Scenario("Redis hangs on confirmation", "[sim:delay=0.4] a wave", then="pause later", answer_within_s=0.05),
    Scenario("its endpoint is deleted", then="endpoint deleted", told=False),
    Scenario("every attempt was used up", then="attempts used up", told=False),
    Scenario("records are gone", then="delivery gone"),
    Scenario("held until its end", switch="enable_sync_mode"),
    Scenario("held, and answered with the video itself", switch="enable_base64_output"),
    Scenario("waits, then sent", then="waits", again="resumed", thorough=_AFTER_ITS_WAIT),
    Scenario("waits, then canceled", then="waits, then canceled", again="canceled where it waits", ends=_CANCELED),
    Scenario(
        "waits, and is canceled when taken out",
        then="waits, and is canceled when taken out",
        again="canceled where it waits",
        ends=_CANCELED,
    ),
    Scenario("waits, and is taken out too early", then="waits, and is taken out too early", again="resumed"),
    Scenario("waits, then refused", "[sim:submit=422] a wave", _NOTHING, "waits", "resumed"),
    Scenario("waits, and its answer is lost", "[sim:submit=lost] a wave", then="waits", again="resumed"),
    Scenario("waits in vain", then="waits for ever", unpaid=frozenset({State.EXPIRED}), settings=_IMPATIENT),
    Scenario("waits, and finds no capacity", then="waits", again="resumed", faults=(_ONE_429,)),
    Scenario("waits, and reaches nobody", then="waits, and reaches nobody", again="resumed"),
    Scenario(
        "waits, and the account is refused", then="waits, and the bill is paid", again="bill paid", faults=(_ONE_401,)
    ),
    Scenario(
        "waits, and its model is refused",
        then="waits, and the bill is paid",
        again="bill paid",
        faults=({**_ONE_401, "times": 2},),
    ),
    Scenario("finds no capacity", faults=(_ONE_429,)),
    Scenario("finds no capacity, late", faults=(_LATE_429,), answer_within_s=0.05),
    Scenario(
        "canceled, and finds no capacity", ends=_CANCELED, then="cancel", faults=(_LATE_429,), answer_within_s=0.05
    ),
    Scenario("reaches nobody, late", then="reaches nobody", answer_within_s=0.0),
    Scenario("the balance is not to be had", then="refused long ago", again="bill paid", faults=(_NO_BALANCE,)),
    Scenario("the account is refused", then="bill paid", again="bill paid", faults=(_ONE_401,)),
    Scenario(
        "the account is refused, late", then="bill paid", again="bill paid", faults=(_LATE_401,), answer_within_s=0.05
    ),
    Scenario("a gateway died on it", after_death_at="service.upstream.client:WaveSpeed.call#2 before"),
)

OFF_THE_WAY: Final = {
    # What no submission passes, with the reason; everything else must be passed by a scenario.
    "service.http.authentication:operators_only": "the operators' face",
    "service.http.bodies:read_json_object_or_nothing": "lists and deletion",
    "service.http.bodies:read_model": "the native face",
    "service.stores.commands:Commands.aclose": "shutting down",
    "service.stores.commands:Commands._send#5": "a primary that became a replica: the failover test",
    "service.stores.delivery_log:DeliveryLog.load": "reading deliveries",
    "service.stores.delivery_log:DeliveryLog.attempts": "reading deliveries",
    "service.stores.delivery_log:DeliveryLog.next_attempt_at_ms": "reading deliveries",
    "service.stores.delivery_log:DeliveryLog.page": "reading deliveries",
    "service.stores.delivery_log:DeliveryLog.of_prediction": "reading deliveries",
    "service.stores.delivery_log:DeliveryLog.owe": "testing an endpoint",
    "service.stores.delivery_log:DeliveryLog.resend": "sending again by hand",
    "service.stores.delivery_log:DeliveryLog.dead_since": "sending again by hand",
    "service.stores.delivery_log:DeliveryLog.hold": "a secret that does not decrypt: its delivery is held for ever",
    "service.stores.insisting:insist#3": "a Redis that is away for longer than a restart takes",
    "service.stores.prediction_store:PredictionStore.read_answer": "reading a result",
    "service.stores.prediction_store:PredictionStore.events#1": "an event stream",
    "service.stores.prediction_store:PredictionStore.event_body": "sending again by hand",
    "service.stores.prediction_store:PredictionStore.stuck": "the operators' list",
    "service.stores.prediction_store:PredictionStore.count_stuck": "a metric",
    "service.stores.prediction_store:PredictionStore.newest_orphaned": "the operators' list",
    "service.stores.prediction_store:PredictionStore.purge": "retention",
    "service.stores.quota_ledger:QuotaLedger.ledger": "reading the books",
    "service.stores.quota_ledger:QuotaLedger.usage": "reading the books",
    "service.stores.quota_ledger:QuotaLedger.standing": "reading the books",
    "service.stores.submission_queue:SubmissionQueue.tell_limits": "a metric",
    "service.stores.submission_queue:SubmissionQueue.before": "reading a place in the queue",
    "service.stores.submission_queue:SubmissionQueue.account": "reading a place in the queue",
    "service.stores.work_schedule:WorkSchedule.ensure": "the sweep",
    "service.stores.work_schedule:WorkSchedule.owed": "a metric",
    "service.stores.work_schedule:WorkSchedule.aclose": "shutting down",
    "service.stores.work_schedule:WorkSchedule.lanes_owed": "a metric",
    "service.upstream.client:WaveSpeed.webhook_secret": "verifying a callback",
    "service.upstream.client:connect_upstream": "shutting down",
    "service.upstream.connection:open_connections": "shutting down",
    "service.usecases.change_endpoint:ChangeEndpoint.update": "a team's own change",
    "service.usecases.change_endpoint:ChangeEndpoint.rotate_secret": "a team's own change",
    "service.usecases.change_endpoint:ChangeEndpoint.delete": "a team's own change",
    "service.usecases.watch_account:WatchAccount.measure": "a metric",
    "service.usecases.submit:Submit.drain": "shutting down",
    "worker.deliver_due:Deliver.__call__#4": "a secret that does not decrypt: its delivery is held for ever",
    "worker.deliver_due:Deliver._hold": "a secret that does not decrypt: its delivery is held for ever",
    "worker.webhook_sender:WebhookSender.__aexit__": "shutting down",
    "worker.webhook_sender:WebhookSender._attempt#3": "making room among many policies",
    "worker.webhook_sender:WebhookSender._make_room": "making room among many policies",
    "worker.work_pool:WorkPool.drain": "shutting down",
}
