"""Control routes: arm faults, end runs, see what was done. Without a key: a simulator guards nothing."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from starlette.requests import Request
from starlette.responses import Response

from simulator.bodies import read_model
from simulator.faults import MAX_TIMES, Fault, FaultName, Operation
from simulator.state import State
from simulator.tasks import Task, rfc3339
from simulator.wire import json_response


class FaultBody(BaseModel):
    """Body of `POST /_control/faults`."""

    model_config = ConfigDict(extra="forbid")
    operation: Operation
    fault: FaultName
    status: int = Field(500, ge=300, le=599)
    times: int = Field(1, ge=1, le=MAX_TIMES)
    retry_after: float = Field(1.0, ge=0, le=3600)
    seconds: float = Field(1.0, ge=0, le=3600)


class FinishBody(BaseModel):
    """Body of `POST /_control/finish`."""

    model_config = ConfigDict(extra="forbid")
    id: str | None = None
    all: bool = False
    status: Literal["completed", "failed"] = "completed"

    @model_validator(mode="after")
    def _one_of_both(self) -> "FinishBody":
        if (self.id is None) == (not self.all):
            raise ValueError("give either id or all")
        return self


class TierBody(BaseModel):
    """Body of `PUT /_control/tier`."""

    model_config = ConfigDict(extra="forbid")
    tier: Literal["bronze", "silver", "gold", "ultra"]


class BalanceBody(BaseModel):
    """Body of `PUT /_control/balance`."""

    model_config = ConfigDict(extra="forbid")
    balance: float = Field(ge=-1e9, le=1e9)


class KeysBody(BaseModel):
    """Body of `PUT /_control/keys`."""

    model_config = ConfigDict(extra="forbid")
    keys: list[str] = Field(min_length=1, max_length=10)


class Control:
    """The handlers."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def arm(self, request: Request) -> Response:
        """Arm a fault for the next calls of an operation."""
        body = await read_model(request, FaultBody)
        if isinstance(body, Response):
            return body
        fault = Fault(body.fault, body.status, body.retry_after, body.seconds)
        self._state.faults.arm(body.operation, fault, body.times)
        return json_response({"armed": body.times})

    async def disarm(self, request: Request) -> Response:
        """Disarm every fault."""
        self._state.faults.clear()
        return json_response({"armed": 0})

    async def reset(self, request: Request) -> Response:
        """Begin anew, as if just started."""
        self._state.reset()
        return json_response({"reset": True})

    async def finish(self, request: Request) -> Response:
        """End one run, or all that still go."""
        body = await read_model(request, FinishBody)
        if isinstance(body, Response):
            return body
        now_s = self._state.clock()
        tasks = [t for t in self._state.tasks if not t.ended(now_s) and (body.all or t.id == body.id)]
        for task in tasks:
            task.ended_early = now_s, body.status
        return json_response({"finished": len(tasks)})

    async def tier(self, request: Request) -> Response:
        """Change the account's tier."""
        body = await read_model(request, TierBody)
        if isinstance(body, Response):
            return body
        self._state.account.tier = body.tier
        return json_response({"tier": body.tier})

    async def balance(self, request: Request) -> Response:
        """Give the account so much money."""
        body = await read_model(request, BalanceBody)
        if isinstance(body, Response):
            return body
        self._state.account.balance = body.balance
        return json_response({"balance": body.balance})

    async def keys(self, request: Request) -> Response:
        """Have the account accept these keys from now on, and no others."""
        body = await read_model(request, KeysBody)
        if isinstance(body, Response):
            return body
        self._state.account.keys = frozenset(body.keys)
        return json_response({"accepted": len(body.keys)})

    async def rotate_secret(self, request: Request) -> Response:
        """Sign webhooks with another secret from now on."""
        self._state.rotate_secret()
        return json_response({"rotated": True})

    async def state(self, request: Request) -> Response:
        """What was submitted, paid, asked and refused."""
        account, tasks = self._state.account, self._state.tasks
        return json_response(
            {
                "paid_submissions": account.paid_submissions,
                "spent": account.spent,
                "balance": account.balance,
                "tier": account.tier,
                "running": tasks.running(),
                "next_id": tasks.next_id,
                "requests": dict(account.requests),
                "refused": dict(account.refused),
                "submissions": [_shown(task, self._state.clock()) for task in tasks.everything()],
            }
        )


def _shown(task: Task, now_s: float) -> dict[str, Any]:
    """A run as the operator of the simulator sees it."""
    return {
        "id": task.id,
        "model": task.model,
        "input": task.inputs,
        "webhook": task.webhook,
        "status": task.status(now_s),
        "price": task.price,
        "headers": task.headers,
        "query": task.query,
        "created_at": rfc3339(task.created_at_s),
        "reads": task.reads,
    }
