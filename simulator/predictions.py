"""Submit, result, list, delete: what a gateway lives on."""

import asyncio
from datetime import UTC, datetime
from typing import Any, Final

from pydantic import AwareDatetime, BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from simulator.bodies import read_model, read_object
from simulator.faults import BEFORE_ACCEPTING, BadDirective, Directives, Fault, parse_prompt
from simulator.models import MODELS, Model
from simulator.state import State
from simulator.tasks import Task
from simulator.wire import answer, error, json_response

SYNC_WAIT_S: Final = 90.0
"""How long a synchronous submission is held before it is answered with code 5004."""


class ListQuery(BaseModel):
    """Body of `POST /api/v3/predictions`."""

    page: int = Field(1, ge=1)
    page_size: int = Field(20, ge=1, le=100)
    model: str | None = None
    status: str | None = None
    created_after: AwareDatetime | None = None
    created_before: AwareDatetime | None = None
    include_inputs: bool = False


class DeleteBody(BaseModel):
    """Body of `POST /api/v3/predictions/delete`."""

    ids: list[str] = Field(min_length=1, max_length=1000)


def success(data: Any) -> Response:
    """WaveSpeed's success envelope."""
    return json_response({"code": 200, "message": "success", "data": data})


def base_url(request: Request) -> str:
    """Where the simulator is, as the caller sees it."""
    return str(request.base_url).rstrip("/")


class Predictions:
    """The handlers."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def submit(self, request: Request) -> Response:
        """Accept a run and charge for it, unless a fault or the account is in the way."""
        self._state.account.requests["submit"] += 1
        model = MODELS.get(request.path_params["model"])
        if model is None:
            return error(404, f"model not found: {request.path_params['model'][:100]}")
        inputs = await read_object(request)
        if isinstance(inputs, Response):
            return inputs
        missing = [name for name in model.required if not isinstance(inputs.get(name), str) or not inputs[name]]
        if missing:
            return error(400, f"missing required parameter: {', '.join(missing)}")
        try:
            asked = parse_prompt(str(inputs.get("prompt", "")))
        except BadDirective as bad:
            return error(400, str(bad))
        fault = self._state.faults.take("submit") or asked.submit
        if fault is not None and fault.name in BEFORE_ACCEPTING:
            return await answer(request, fault, Response())
        if self._state.account.over_capacity(self._state.tasks.running()):
            self._state.account.refused["429"] += 1
            return error(429, "You have reached your concurrency limit", {"retry-after": "5"})
        webhook = request.query_params.get("webhook", "")
        if webhook and inputs.get("enable_base64_output"):
            return json_response({"error": "webhook callback does not support base64 output"}, 400)
        task = self._accept(request, model, inputs, webhook, asked)
        return await self._answered(request, task, fault, synchronous=inputs.get("enable_sync_mode") is True)

    def _accept(self, request: Request, model: Model, inputs: dict[str, Any], webhook: str, asked: Directives) -> Task:
        """Start the run and charge for it."""
        state = self._state
        price = model.cost(inputs)
        usual_s = state.options.image_s if model.kind.endswith("image") else state.options.video_s
        task = state.tasks.accept(
            model.id,
            inputs,
            usual_s,
            asked,
            webhook=webhook,
            headers=dict(request.headers.items()),
            query=request.url.query,
            price=price,
            base64=inputs.get("enable_base64_output") is True,
        )
        state.account.pay(price)
        url = base_url(request)
        state.webhooks.owe(task, lambda: state.view(task, url))
        return task

    async def _answered(self, request: Request, task: Task, fault: Fault | None, *, synchronous: bool) -> Response:
        """Answer an accepted submission, after the wait that synchronous mode asks for."""
        state = self._state
        if synchronous:
            wait_s = min(SYNC_WAIT_S, max(0.0, task.end_s() - state.clock()))
            await asyncio.sleep(wait_s)
            view = state.view(task, base_url(request))
            if not task.ended(state.clock()):
                view |= {"status": "processing", "code": 5004}
        else:
            view = state.view(task, base_url(request)) | {"status": "created", "outputs": []}
        return await answer(request, fault, success(view))

    async def result(self, request: Request) -> Response:
        """One run, unless a fault is in the way."""
        state = self._state
        state.account.requests["result"] += 1
        task = state.tasks.get(request.path_params["id"])
        if task is None:
            return error(404, "prediction not found")
        task.reads += 1
        fault = state.faults.take("result") or task.next_poll_fault()
        return await answer(request, fault, success(state.view(task, base_url(request))))

    async def list(self, request: Request) -> Response:
        """Runs, newest first."""
        state = self._state
        state.account.requests["list"] += 1
        query = await read_model(request, ListQuery)
        if isinstance(query, Response):
            return query
        now_s = state.clock()
        found = [task for task in state.tasks if _matches(task, query, now_s)]
        start = (query.page - 1) * query.page_size
        items = []
        for task in found[start : start + query.page_size]:
            item = state.view(task, base_url(request))
            items.append(item | ({"input": task.inputs} if query.include_inputs else {}))
        fault = state.faults.take("list")
        return await answer(request, fault, success({"page": query.page, "total": len(found), "items": items}))

    async def delete_many(self, request: Request) -> Response:
        """Delete several runs; says how many there were."""
        body = await read_model(request, DeleteBody)
        if isinstance(body, Response):
            return body
        deleted = sum(self._delete(task_id) for task_id in dict.fromkeys(body.ids))
        return success({"deleted_count": deleted})

    async def delete_one(self, request: Request) -> Response:
        """Delete one run."""
        task_id = request.path_params["id"]
        if not self._delete(task_id):
            return error(404, "prediction not found")
        return success({"id": task_id, "status": "deleted"})

    def _delete(self, task_id: str) -> bool:
        task = self._state.tasks.get(task_id)
        if task is not None:
            task.deleted = True
        return task is not None


def _matches(task: Task, query: ListQuery, now_s: float) -> bool:
    """Whether a run is among those asked for."""
    created_at = datetime.fromtimestamp(task.created_at_s, UTC)
    return (
        (query.model is None or task.model == query.model)
        and (query.status is None or task.status(now_s) == query.status)
        and (query.created_after is None or created_at >= query.created_after)
        and (query.created_before is None or created_at <= query.created_before)
    )
