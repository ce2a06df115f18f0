"""Submissions in WaveSpeed's form described: one path for each model that may be submitted to."""

from collections.abc import Sequence
from typing import Final

from openapi_pydantic import Operation, PathItem, Response, Schema

from service.domain.callback_url import MAX_URL
from service.domain.catalogue import MAX_ID, Catalogue, Model, ModelState
from service.domain.money import dollars
from service.domain.timestamps import rfc3339
from service.http.description.envelope import enveloped_answer
from service.http.description.inputs import UNLISTED_INPUTS, component_name, example_input
from service.http.description.operations import (
    ACCEPTED_HEADERS,
    component,
    json_body,
    operation,
    parameter,
    prediction_links,
)
from service.http.description.refusals import DELETED_MEANWHILE, MODEL_NOT_FOUND, SUBMISSION, Refusal, refusals
from service.http.description.wavespeed import TAG, WaveSpeedPrediction, example_data
from service.http.wavespeed.submit import TRAVELLING_HEADERS

_UNLISTED: Final = "vendor/model"
"""A model of examples that no catalogue lists."""

_MANNERS: Final = (
    "The answer comes as soon as WaveSpeed has accepted the submission, and within seconds in any case.\n\n"
    "Beside the model's own fields the body may have WaveSpeed's switches. `enable_sync_mode`: the answer is held "
    "until the run has ended, or, after a time that the gateway's operators set, given as it stands, with the task "
    "code 5004. `enable_base64_output`: the outputs are the files themselves; not together with a callback. "
    "`webhook_url` is the same as `?webhook=`.\n\n"
    "Of the request's headers only these go on to WaveSpeed: "
    + ", ".join(f"`{name}`" for name in TRAVELLING_HEADERS.values())
    + "."
)

_PARAMETERS: Final = (
    parameter(
        "webhook",
        "query",
        "A URL to call once, when the prediction has ended. It must be one your team may use.",
        Schema(type="string", schema_format="uri", maxLength=MAX_URL),
        "https://hooks.example.com/videos",
    ),
    component("parameters", "IdempotencyKey"),
)


def paths(catalogue: Catalogue) -> dict[str, PathItem]:
    """A path for each model, but for those that are gone; and one for all others, where they pass."""
    offered = [model for model in catalogue if model.state is not ModelState.RETIRED]
    found = {f"/api/v3/{model.id}": PathItem(post=_submit(model)) for model in offered}
    if catalogue.unlisted is not None:
        found["/api/v3/{model}"] = PathItem(post=_submit_unlisted(catalogue.get(_UNLISTED)))
    return found


def _submit(model: Model) -> Operation:
    """Submit to one model."""
    example = example_input(model)
    required = model.inputs.get("required") or ["input"]
    described = operation(
        TAG,
        f"submit_{component_name(model.id)}",
        f"Submit to {model.name}",
        f"{_price(model)}{_prospects(model)} Input is checked before anything is sent. {_MANNERS}",
        parameters=_PARAMETERS,
        body=json_body(
            component("schemas", component_name(model.id)), {"input": example} if example is not None else {}
        ),
        answers=_answers(model, [Refusal.of_field(str(required[0]), "is required")]),
    )
    return described.model_copy(update={"deprecated": True}) if model.state is ModelState.DEPRECATED else described


def _submit_unlisted(example: Model) -> Operation:
    """Submit to a model that is not in the catalogue."""
    model_id = parameter(
        "model",
        "path",
        "The model's id, of 2 to 4 segments. Its slashes may stand as they are.",
        Schema(type="string", minLength=3, maxLength=MAX_ID),
        example.id,
    )
    return operation(
        TAG,
        "submit_to_any_other_model",
        "Submit to any other model",
        f"{_price(example)} What it takes is not known here, and not checked. {_MANNERS}",
        parameters=[model_id, *_PARAMETERS],
        body=json_body(component("schemas", UNLISTED_INPUTS), {"input": {"prompt": "Waves break over a pier at dawn"}}),
        answers=_answers(example, [Refusal.of_field("enable_sync_mode", "must be true or false"), MODEL_NOT_FOUND]),
    )


def _answers(model: Model, refused: Sequence[Refusal]) -> dict[str, Response]:
    """What a submission may be answered."""
    accepted = enveloped_answer(
        "Accepted: read `data.urls.get` until the status is final.",
        WaveSpeedPrediction,
        {"created": example_data(model.id)},
        ACCEPTED_HEADERS,
        prediction_links("/data/id"),
    )
    return {"200": accepted, **refusals(f"/api/v3/{model.id}", [*refused, DELETED_MEANWHILE, *SUBMISSION])}


def _price(model: Model) -> str:
    """What a run costs, and what decides that."""
    price, usual = model.price, f"${dollars(model.usual_price_micros)}"
    if not price.second_usd:
        return f"One run costs {usual}."
    decisive = f"`{price.seconds_input}`" + (f" and `{price.size_input}`" if price.size_factors else "")
    return f"One run of {price.default_s} s costs {usual}; {decisive} may change that."


def _prospects(model: Model) -> str:
    """What becomes of a deprecated model."""
    if model.state is not ModelState.DEPRECATED:
        return ""
    until = f", gone on {rfc3339(model.sunset_at_ms)[:10]}" if model.sunset_at_ms else ""
    return f" Deprecated{until}" + (f"; use `{model.replacement}` instead." if model.replacement else ".")
