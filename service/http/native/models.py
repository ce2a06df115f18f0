"""`/v1/models` and `/admin/v1/models`: the catalogue in the gateway's own form."""

from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from service.domain.catalogue import Catalogue, Model, ModelState
from service.domain.money import dollars
from service.domain.tenants import Tenant
from service.domain.timestamps import rfc3339_or_none
from service.http.deprecation import deprecation_headers
from service.http.queries import one_of

STATES: Final = tuple(state.value for state in ModelState)
"""What lists can be asked for."""


class PriceShown(BaseModel):
    """What a run costs. Amounts are dollars as text."""

    usual_usd: str = Field(description="What a run costs that leaves out all that may change the price.")
    formula: str = Field(description="How the price is computed, in words.")
    run_usd: str = Field(description="For each run.")
    second_usd: str = Field(description="For each second of video.")
    seconds_input: str | None = Field(description="The input that says how many seconds; none: they do not count.")
    default_s: int | None = Field(description="Seconds of a run that leaves that input out.")
    size_input: str | None = Field(description="The input that decides the factor; none: there is none.")
    size_factors: dict[str, str] = Field(description="What each size multiplies the price of the seconds by.")


class PollShown(BaseModel):
    """When a running prediction is looked at. Seconds."""

    usual_s: float = Field(description="When a run is usually done, and first looked at.")
    step_s: float = Field(description="Shortest time between looks after that.")
    max_step_s: float = Field(description="Longest time between looks.")
    deadline_s: float = Field(description="A run still going this long after its start counts as expired.")


class ModelShown(BaseModel):
    """One model of the catalogue."""

    id: str
    name: str
    type: str = Field(description="What it makes of what.")
    description: str
    state: ModelState = Field(description="`deprecated`: still there, but not for long; `retired`: refused with 410.")
    deprecated_at: str | None
    sunset_at: str | None = Field(description="When a deprecated one will be gone, if that is known.")
    replacement: str | None = Field(description="The model to use instead.")
    listed: bool = Field(description="Whether it is in the catalogue; any other is passed on where operators allow it.")
    inputs: dict[str, Any] = Field(description="JSON schema of its input; fields it does not name pass.")
    price: PriceShown
    poll: PollShown

    @classmethod
    def of(cls, model: Model) -> "ModelShown":
        """Show a model."""
        price, poll = model.price, model.poll
        by_second, by_size = bool(price.second_usd), bool(price.second_usd and price.size_factors)
        return cls(
            id=model.id,
            name=model.name,
            type=model.type,
            description=model.description,
            state=model.state,
            deprecated_at=rfc3339_or_none(model.deprecated_at_ms),
            sunset_at=rfc3339_or_none(model.sunset_at_ms),
            replacement=model.replacement or None,
            listed=model.listed,
            inputs=dict(model.inputs),
            price=PriceShown(
                usual_usd=dollars(model.usual_price_micros),
                formula=price.formula,
                run_usd=f"{price.run_usd:f}",
                second_usd=f"{price.second_usd:f}",
                seconds_input=price.seconds_input if by_second else None,
                default_s=price.default_s if by_second else None,
                size_input=price.size_input if by_size else None,
                size_factors={size: f"{factor:f}" for size, factor in price.size_factors.items()} if by_size else {},
            ),
            poll=PollShown(
                usual_s=poll.usual_s, step_s=poll.step_s, max_step_s=poll.max_step_s, deadline_s=poll.deadline_s
            ),
        )


class ModelList(BaseModel):
    """Models in order of id."""

    data: list[ModelShown]


@dataclass(frozen=True, slots=True)
class CatalogueHandlers:
    """List and show, to tenants what they may use and to operators everything."""

    catalogue: Catalogue

    async def list(self, request: Request, tenant: Tenant) -> Response:
        """Answer what the tenant may use, `?state=` of it."""
        return _answer_list(request, self.catalogue.seen_by(tenant))

    async def get(self, request: Request, tenant: Tenant) -> Response:
        """Answer one model; 404 for an unknown one, 403 for one the tenant may not use."""
        return _answer(self.catalogue.find_for(tenant, request.path_params["model"]))

    async def list_all(self, request: Request) -> Response:
        """Answer the whole catalogue, `?state=` of it."""
        return _answer_list(request, list(self.catalogue))

    async def get_any(self, request: Request) -> Response:
        """Answer one model; 404 for an unknown one."""
        return _answer(self.catalogue.get(request.path_params["model"]))


def _answer_list(request: Request, models: list[Model]) -> Response:
    """Models of the state asked for."""
    state = one_of(request, "state", STATES)
    shown = ModelList(data=[ModelShown.of(model) for model in models if state in (None, model.state.value)])
    return Response(shown.model_dump_json(), media_type="application/json")


def _answer(model: Model) -> Response:
    """One model."""
    body = ModelShown.of(model).model_dump_json()
    return Response(body, headers=deprecation_headers(model), media_type="application/json")
