"""`/api/v3/models`, `/model/price` and `/model/pricing`: a tenant's catalogue and its prices in WaveSpeed's form."""

from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from service.domain.catalogue import MAX_ID, Catalogue, Model, ModelState
from service.domain.errors import FieldError, InvalidInput
from service.domain.money import MICROS_PER_DOLLAR
from service.domain.tenants import Tenant
from service.http.bodies import read_model
from service.http.deprecation import deprecation_headers
from service.http.wavespeed.envelope import success

FULL_PRICE: Final = 100
"""What `discount_rate` says where nothing is taken off: the gateway grants no discounts of its own."""


class RunSchema(BaseModel):
    """How a model is run."""

    type: Literal["model_run"] = "model_run"
    method: Literal["POST"] = "POST"
    api_path: str = Field(description="Where it is submitted to, at this gateway.")
    request_schema: dict[str, Any] = Field(description="JSON schema of its input.")


class ApiSchema(BaseModel):
    """Where and how a model is called."""

    server: str = Field(description="The gateway.")
    api_schemas: list[RunSchema]


class ListedModel(BaseModel):
    """A model in WaveSpeed's form. Prices are numbers of dollars."""

    model_id: str
    name: str
    type: str
    base_price: float = Field(ge=0, description="What a run costs that leaves out all that may change the price.")
    formula: str = Field(description="How the price is computed, in words.")
    description: str
    api_schema: ApiSchema


class ModelPrice(BaseModel):
    """What a run with given inputs costs, in dollars."""

    price: float = Field(ge=0)
    discounted_price: float = Field(ge=0)
    discount_rate: int = Field(description=f"Percent of the price that is paid: always {FULL_PRICE}.")
    currency: Literal["USD"]


class UnitPrice(BaseModel):
    """What a run costs, in dollars, as older clients ask for it."""

    model_id: str
    unit_price: float = Field(ge=0)
    currency: Literal["USD"]


class PriceQuestion(BaseModel):
    """Body of both questions for a price. Fields it does not name are passed over, as WaveSpeed does."""

    model_config = ConfigDict(strict=True)

    model_id: str = Field(min_length=1, max_length=MAX_ID, description="A model of the catalogue.")
    inputs: dict[str, Any] = Field(default_factory=dict, description="What it would be given; only the price counts.")


@dataclass(frozen=True, slots=True)
class ModelHandlers:
    """List and price."""

    catalogue: Catalogue
    base_url: str
    max_body_bytes: int

    async def list(self, request: Request, tenant: Tenant) -> Response:
        """Answer what the tenant may submit to; what has been retired is not offered."""
        offered = [model for model in self.catalogue.seen_by(tenant) if model.state is not ModelState.RETIRED]
        return success([self.listed(model, self.base_url).model_dump() for model in offered])

    async def price(self, request: Request, tenant: Tenant) -> Response:
        """Answer what a run with these inputs would hold of the tenant's budget."""
        model, usd = await self._priced(request, tenant)
        answer = ModelPrice(price=usd, discounted_price=usd, discount_rate=FULL_PRICE, currency="USD")
        return success(answer.model_dump(), deprecation_headers(model))

    async def pricing(self, request: Request, tenant: Tenant) -> Response:
        """Answer the same in the form older clients know."""
        model, usd = await self._priced(request, tenant)
        answer = UnitPrice(model_id=model.id, unit_price=usd, currency="USD")
        return success(answer.model_dump(), deprecation_headers(model))

    async def _priced(self, request: Request, tenant: Tenant) -> tuple[Model, float]:
        """The model asked for and the price in dollars.

        Raises `NotFound`, `ModelDenied`, `ModelRetired` or `InvalidInput`.
        """
        question = await read_model(request, PriceQuestion, self.max_body_bytes)
        model = self.catalogue.find_for(tenant, question.model_id)
        model.require_current()
        try:
            return model, model.price.micros_of(question.inputs) / MICROS_PER_DOLLAR
        except InvalidInput as wrong:
            raise InvalidInput([FieldError(f"inputs.{one.field}", one.message) for one in wrong.errors]) from None

    @staticmethod
    def listed(model: Model, base_url: str) -> ListedModel:
        """A model in WaveSpeed's form; callers are sent nowhere but here."""
        run = RunSchema(api_path=f"/api/v3/{model.id}", request_schema=dict(model.inputs))
        return ListedModel(
            model_id=model.id,
            name=model.name,
            type=model.type,
            base_price=model.usual_price_micros / MICROS_PER_DOLLAR,
            formula=model.price.formula,
            description=model.description,
            api_schema=ApiSchema(server=base_url, api_schemas=[run]),
        )
