"""`/admin/v1/upstream`: where the company's account stands, and pausing it."""

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from service.domain.capacity import AccountState
from service.domain.money import dollars
from service.domain.timestamps import rfc3339_or_none
from service.http.bodies import as_model, read_json_object_or_nothing
from service.usecases.pause_account import MAX_WHY, PauseAccount


class AccountLimit(BaseModel):
    """One limit of the account."""

    name: Literal["concurrency", "videos_per_minute", "images_per_minute"]
    configured: int | None = Field(description="As it is set; null: no limit.")
    now: int | None = Field(description="As it is in force: lower after WaveSpeed refused, one more each clean minute.")
    used: int = Field(description="Tasks that go on, or submissions of the last minute.")


class Account(BaseModel):
    """Where the account stands."""

    limits: list[AccountLimit]
    waiting: int = Field(description="Submissions that wait for the account.")
    oldest_waiting_s: float = Field(description="How long the one has waited that waits longest.")
    waiting_by_tenant: dict[str, int] = Field(description="Whose they are, at most a thousand teams of each class.")
    paused_by: Literal["operator", "account"] | None = Field(
        description="Why nothing is sent: an operator paused it, or WaveSpeed refuses the account."
    )
    paused_at: str | None
    paused_why: str | None
    backing_off_until: str | None = Field(description="Nothing is sent until then: WaveSpeed had no capacity.")
    balance_usd: str | None = Field(description="The account's balance, as it was last read.")
    balance_at: str | None
    balance_low: bool

    @classmethod
    def show(cls, state: AccountState) -> "Account":
        """Show an account."""
        return cls(
            limits=[
                AccountLimit.model_validate(
                    {"name": one.name, "configured": one.configured, "now": one.now, "used": one.used}
                )
                for one in state.limits
            ],
            waiting=state.waiting,
            oldest_waiting_s=state.oldest_waiting_ms / 1000,
            waiting_by_tenant=dict(state.waiting_by_tenant),
            paused_by=state.paused_by or None,
            paused_at=rfc3339_or_none(state.paused_at_ms),
            paused_why=state.paused_why or None,
            backing_off_until=rfc3339_or_none(state.blocked_until_ms),
            balance_usd=None if state.balance_micros is None else dollars(state.balance_micros),
            balance_at=rfc3339_or_none(state.balance_at_ms),
            balance_low=state.balance_low,
        )


class Pause(BaseModel):
    """Body of `POST /admin/v1/upstream/pause`; it may be left out."""

    model_config = ConfigDict(extra="forbid", strict=True)

    why: str = Field("", max_length=MAX_WHY, description="For whoever looks at it later.")


@dataclass(frozen=True, slots=True)
class AccountHandlers:
    """See, pause, resume."""

    account: PauseAccount
    max_body_bytes: int

    async def get(self, request: Request) -> Response:
        """Answer where it stands."""
        return _answer(await self.account.state())

    async def pause(self, request: Request) -> Response:
        """Send nothing more; what comes in waits."""
        wanted = as_model(await read_json_object_or_nothing(request, self.max_body_bytes), Pause)
        return _answer(await self.account.pause(wanted.why))

    async def resume(self, request: Request) -> Response:
        """Go on."""
        return _answer(await self.account.resume())


def _answer(state: AccountState) -> Response:
    """An account in JSON."""
    return Response(Account.show(state).model_dump_json(), media_type="application/json")
