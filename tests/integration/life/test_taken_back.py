"""Admissions whose answer Redis lost: nothing was sent for them, so nothing stays of them, whoever asks meanwhile."""

from dataclasses import replace

import pytest

from service.domain.errors import StoreUnavailable
from service.domain.predictions import Prediction, State
from service.stores.quota_ledger import LIVE_MS, Admission, IdempotencyKey, QuotaLedger
from service.usecases.submit import Submission, Submit
from tests.integration.life.life import PRICE_MICROS, Life
from tests.waiting import wait_until


class Unheard(QuotaLedger):
    """The ledger, but its answer to the first admission is lost, and to as many withdrawals as `deaf` says."""

    def __init__(self, real: QuotaLedger, deaf: int) -> None:
        super().__init__(real._commands, real._scripts, real._now_ms)
        self.deaf = deaf
        self.admitted = ""

    async def admit(
        self,
        intent: Prediction,
        look_within_s: float,
        slot_s: float,
        idempotency: IdempotencyKey | None = None,
        stuck_after_s: float = 3600.0,
    ) -> Admission:
        """Admit; the first time nobody hears of it."""
        admission = await super().admit(intent, look_within_s, slot_s, idempotency, stuck_after_s)
        if not self.admitted:
            self.admitted = intent.id
            raise StoreUnavailable("the answer was lost")
        return admission

    async def withdraw(
        self, intent: Prediction, idempotency: IdempotencyKey | None = None, *, unsent: bool = False
    ) -> bool:
        """Withdraw, once Redis can be reached."""
        if self.deaf:
            self.deaf -= 1
            raise StoreUnavailable("still away")
        return await super().withdraw(intent, idempotency, unsent=unsent)


SUBMISSION = Submission("openai/sora-2", {"prompt": "a wave"}, idempotency_key="once", route="/v1/predictions")


async def unheard_of(life: Life, deaf: int) -> tuple[Submit, Unheard]:
    """A submission that was admitted unheard of; how to submit again, and the ledger in use."""
    ledger = Unheard(life.resources.ledger, deaf)
    submit = replace(life.resources.submit, ledger=ledger)
    with pytest.raises(StoreUnavailable):
        await submit(await life.tenant(), SUBMISSION)
    return submit, ledger


@pytest.mark.parametrize("deaf", [0, 2])
async def test_an_unheard_admission_is_taken_back(life: Life, deaf: int) -> None:
    """The caller is refused at once; as soon as Redis answers, money, slot and idempotency key are free again."""
    submit, ledger = await unheard_of(life, deaf)
    await wait_until(lambda: not submit.running, what="it is taken back")
    assert await life.resources.predictions.load(ledger.admitted) is None
    books = await life.ledger()
    assert (books.held, books.released, books.admitted) == (0, PRICE_MICROS, 0)
    again = await submit(await life.tenant(), SUBMISSION)
    assert not again.replayed
    assert life.paid() == 1


async def test_what_a_copy_was_answered_with_does_not_vanish(life: Life) -> None:
    """A copy that got the id while Redis was away finds its prediction failed, with the reason; nothing is held."""
    submit, ledger = await unheard_of(life, deaf=2)
    life.clock.now_s += LIVE_MS / 1000
    copy = await submit(await life.tenant(), SUBMISSION)
    assert (copy.replayed, copy.prediction.id) == (True, ledger.admitted)
    await wait_until(lambda: not submit.running, what="it is ended")
    prediction = await life.load(ledger.admitted)
    assert (prediction.state, prediction.money) == (State.FAILED, "released")
    assert "not started" in prediction.answer["error"]
    assert (life.paid(), (await life.ledger()).held) == (0, 0)
