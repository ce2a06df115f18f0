"""Balance, models, prices, the webhook secret."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from simulator.bodies import read_object
from simulator.models import MODELS, Model
from simulator.predictions import success
from simulator.state import State
from simulator.wire import answer, error


class AccountRoutes:
    """The handlers."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def balance(self, request: Request) -> Response:
        """What is left."""
        self._state.account.requests["balance"] += 1
        healthy = success({"balance": self._state.account.balance})
        return await answer(request, self._state.faults.take("balance"), healthy)

    async def models(self, request: Request) -> Response:
        """Every model with its schema and price."""
        self._state.account.requests["models"] += 1
        return success([_listed(model) for model in MODELS.values()])

    async def price(self, request: Request) -> Response:
        """What a run with these inputs costs."""
        priced = await self._priced(request)
        if isinstance(priced, Response):
            return priced
        model, inputs = priced
        price = model.cost(inputs)
        return success({"price": price, "discounted_price": price, "discount_rate": 100, "currency": "USD"})

    async def pricing(self, request: Request) -> Response:
        """The older form: a price without inputs."""
        priced = await self._priced(request)
        if isinstance(priced, Response):
            return priced
        return success({"model_id": priced[0].id, "unit_price": priced[0].cost({}), "currency": "USD"})

    async def _priced(self, request: Request) -> tuple[Model, dict[str, Any]] | Response:
        """The model and inputs a price is asked for, or the error that answers it."""
        body = await read_object(request)
        if isinstance(body, Response):
            return body
        model = MODELS.get(str(body.get("model_id", "")))
        inputs = body.get("inputs", {})
        if model is None:
            return error(404, "model not found")
        return (model, inputs) if isinstance(inputs, dict) else error(400, "inputs: must be an object")

    async def webhook_secret(self, request: Request) -> Response:
        """The secret upstream webhooks are signed with."""
        healthy = success({"secret": self._state.webhooks.secret})
        return await answer(request, self._state.faults.take("secret"), healthy)


def _listed(model: Model) -> dict[str, Any]:
    """A model in the shape of `/models`."""
    return {
        "model_id": model.id,
        "name": model.name,
        "type": model.kind,
        "base_price": model.cost({}),
        "formula": f"duration * {model.price}" if model.per_second else str(model.price),
        "description": f"{model.name}, simulated",
        "api_schema": {"api_schemas": [{"type": "model_run", "request_schema": model.schema()}]},
    }
