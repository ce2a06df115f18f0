"""The catalogue described: models and prices in WaveSpeed's form, in the gateway's own, and for operators."""

from typing import Any, Final

from openapi_pydantic import Operation, PathItem, Schema

from service.domain.catalogue import MAX_ID, Catalogue, Model
from service.domain.pricing import MAX_SECONDS
from service.http.description.envelope import enveloped_answer, enveloped_list
from service.http.description.operations import (
    DEPRECATION,
    OPERATORS,
    json_answer,
    json_body,
    operation,
    parameter,
    schema_of,
)
from service.http.description.refusals import (
    MODEL_DENIED,
    MODEL_NOT_FOUND,
    MODEL_RETIRED,
    NO_OPERATOR,
    STORE_UNAVAILABLE,
    TOO_LARGE,
    UNAUTHENTICATED,
    Refusal,
    refusals,
)
from service.http.native.models import STATES, ModelList, ModelShown
from service.http.wavespeed.models import ListedModel, ModelHandlers, ModelPrice, PriceQuestion, UnitPrice

TAG: Final = "Models"

_STATE: Final = parameter(
    "state", "query", "Only models of this state.", Schema(type="string", enum=list(STATES)), "active"
)
_MODEL: Final = parameter(
    "model",
    "path",
    "The model's id. Its slashes may stand as they are.",
    Schema(type="string", minLength=1, maxLength=MAX_ID),
    "openai/sora-2",
)
_WRONG_STATE: Final = Refusal.of_query("state", f"must be one of {', '.join(STATES)}")


def paths(catalogue: Catalogue) -> dict[str, PathItem]:
    """What teams may ask of the catalogue."""
    model = next(iter(catalogue))
    one = "/v1/models/{model}"
    return {
        "/api/v3/models": PathItem(get=_wavespeed_list(model)),
        "/api/v3/model/price": PathItem(post=_price(model)),
        "/api/v3/model/pricing": PathItem(post=_pricing(model)),
        "/v1/models": PathItem(get=_list("/v1/models", "list_models", TAG, model)),
        one: PathItem(get=_show(one, "read_model", TAG, model)),
    }


def operator_paths(catalogue: Catalogue, tag: str) -> dict[str, PathItem]:
    """The same for operators, who see everything."""
    model = next(iter(catalogue))
    every, one = "/admin/v1/models", "/admin/v1/models/{model}"
    return {
        every: PathItem(get=_list(every, "list_all_models", tag, model)),
        one: PathItem(get=_show(one, "read_any_model", tag, model)),
    }


def _wavespeed_list(model: Model) -> Operation:
    """The list in WaveSpeed's form."""
    listed = ModelHandlers.listed(model, "https://breakwater.example.com").model_dump()
    return operation(
        TAG,
        "wavespeed_models",
        "List models, in WaveSpeed's form",
        "Every model your team may submit to, with the schema of its input and its price.",
        answers={
            "200": enveloped_list("The models.", ListedModel, {"models": [listed]}),
            **refusals("/api/v3/models", [UNAUTHENTICATED, STORE_UNAVAILABLE]),
        },
    )


def _price(model: Model) -> Operation:
    """The price of a run."""
    usd = model.usual_price_micros / 1_000_000
    priced = ModelPrice(price=usd, discounted_price=usd, discount_rate=100, currency="USD").model_dump()
    return operation(
        TAG,
        "price_model",
        "Ask what a run would cost",
        "What a submission with these inputs would hold of your team's budget. Nothing is held or started.",
        body=_question(model),
        answers={"200": enveloped_answer("The price.", ModelPrice, {"price": priced}), **_unpriced("price")},
    )


def _pricing(model: Model) -> Operation:
    """The price of a run, as older clients ask for it."""
    priced = UnitPrice(model_id=model.id, unit_price=model.usual_price_micros / 1_000_000, currency="USD").model_dump()
    return operation(
        TAG,
        "price_model_as_before",
        "Ask what a run would cost, in the older form",
        "The same price under the name older clients look for.",
        body=_question(model),
        answers={"200": enveloped_answer("The price.", UnitPrice, {"price": priced}), **_unpriced("pricing")},
    )


def _question(model: Model) -> Any:
    """The body of both questions."""
    return json_body(schema_of(PriceQuestion), {"question": {"model_id": model.id, "inputs": {}}})


def _unpriced(word: str) -> dict[str, Any]:
    """Why there may be no price."""
    told = f"must be a whole number of seconds from 1 to {MAX_SECONDS}: it decides the price"
    wrong = Refusal.of_field("inputs.duration", told)
    denials = [MODEL_NOT_FOUND, MODEL_DENIED, MODEL_RETIRED]
    return refusals(f"/api/v3/model/{word}", [wrong, UNAUTHENTICATED, *denials, TOO_LARGE, STORE_UNAVAILABLE])


def _list(path: str, operation_id: str, tag: str, model: Model) -> Operation:
    """The list in the gateway's own form."""
    for_operators = tag != TAG
    page = ModelList(data=[ModelShown.of(model)]).model_dump(mode="json")
    needed = [NO_OPERATOR] if for_operators else [UNAUTHENTICATED, STORE_UNAVAILABLE]
    return operation(
        tag,
        operation_id,
        "List models",
        "The whole catalogue, in order of id." if for_operators else "What your team may use, in order of id.",
        parameters=[_STATE],
        answers={
            "200": json_answer("The models.", ModelList, {"models": page}),
            **refusals(path, [_WRONG_STATE, *needed]),
        },
        security=OPERATORS if for_operators else None,
    )


def _show(path: str, operation_id: str, tag: str, model: Model) -> Operation:
    """One model in the gateway's own form."""
    for_operators = tag != TAG
    needed = [NO_OPERATOR] if for_operators else [UNAUTHENTICATED, MODEL_DENIED, STORE_UNAVAILABLE]
    shown = ModelShown.of(model).model_dump(mode="json")
    return operation(
        tag,
        operation_id,
        "Read a model",
        "What it takes, what it costs, how it is looked at, and what to use instead if it is on its way out.",
        parameters=[_MODEL],
        answers={
            "200": json_answer("The model.", ModelShown, {"model": shown}, DEPRECATION),
            **refusals(path.replace("{model}", model.id), [MODEL_NOT_FOUND, *needed]),
        },
        security=OPERATORS if for_operators else None,
    )
