"""The whole API as one OpenAPI 3.1 document: each face describes its own paths in a file of its own."""

from importlib.metadata import version
from typing import Any, Final

from openapi_pydantic import Components, Info, License, OpenAPI, PathItem, Response, SecurityScheme, Server, Tag
from openapi_pydantic.util import construct_open_api_with_schema_class
from prometheus_client import CONTENT_TYPE_LATEST

from service.domain.catalogue import Catalogue
from service.http.description import (
    account,
    dead_letters,
    deliveries,
    endpoints,
    history,
    media,
    models,
    predictions,
    quota,
    streams,
    submissions,
    upstream_callbacks,
    wavespeed,
)
from service.http.description import admin as operators
from service.http.description.inputs import input_schemas
from service.http.description.operations import HEADERS, PARAMETERS, operation, text_answer

GATEWAY_TAG: Final = "The gateway itself"

_INTRODUCTION: Final = (
    "Breakwater stands between your services and WaveSpeed. Call it as you would call WaveSpeed, with this base "
    "URL and a key of your team's own: submit to a model, then read `urls.get` until the status is `completed` or "
    "`failed`. Or be called back: for one submission with `?webhook=`, for all by registering an endpoint. `/v1` does "
    "the same in the gateway's own form.\n\n"
    "Your team may have limits of its own: answers to submissions say in `RateLimit` where they stand. One that would "
    "be passed refuses a submission with 429, a budget with 402. Send an `Idempotency-Key` with a submission, and you "
    "may safely send it again when its answer got lost: no second run is started or paid for.\n\n"
    'Errors under `/api/` have WaveSpeed\'s form, `{"code", "message"}`. All others are '
    "`application/problem+json` (RFC 9457): `code` names the kind of error, `retryable` says whether the same "
    "request may succeed later. `Retry-After` stands on answers for which waiting helps, `X-Request-Id` on every "
    "answer: name it when you report a problem."
)

_OPERATOR_TAG: Final = Tag(
    name=operators.TAG, description="Tenants, their keys, what they used, and what was done. For operators alone."
)

_CALLBACK_TAG: Final = Tag(name=upstream_callbacks.TAG, description="What WaveSpeed calls; nobody else can.")

_TAGS: Final = (
    Tag(name=wavespeed.TAG, description="Submit to a model and read the result, in WaveSpeed's own form."),
    Tag(name=media.TAG, description="Files for models to work on."),
    Tag(
        name=predictions.TAG, description="The same in the gateway's own form, with plain statuses and problem details."
    ),
    Tag(name=models.TAG, description="What may be submitted to, what it takes and what it costs."),
    Tag(name=quota.TAG, description="What your team may use, and what it has used."),
    Tag(name=endpoints.TAG, description="Where your team wants events sent."),
    Tag(name=deliveries.TAG, description="What was sent there, what came of it, and what happened in order."),
)

_GATEWAY: Final = Tag(name=GATEWAY_TAG, description="Health, metrics and this description. No key needed.")

_BEARER: Final = SecurityScheme(
    type="http",
    scheme="bearer",
    description="Your team's API key, as `Authorization: Bearer bw_...`. Operators make one with "
    "`breakwater key create TENANT`; it is shown once.",
)

_OPERATOR: Final = SecurityScheme(
    type="http",
    scheme="bearer",
    description="For `/admin/v1` alone: the operators' token, which is the gateway's setting `BREAKWATER_ADMIN_TOKEN`. "
    "No team's key is good for that, nor this token for anything else.",
)


def describe(catalogue: Catalogue, *, admin: bool, callbacks: bool = False) -> dict[str, Any]:
    """The document, ready to be written as JSON.

    `admin` says whether this gateway has the operators' face, `callbacks` whether WaveSpeed may call it back.
    """
    faces = submissions.paths(catalogue) | wavespeed.paths() | history.paths() | media.paths() | models.paths(catalogue)
    faces |= predictions.paths() | streams.paths() | quota.paths() | endpoints.paths() | deliveries.paths()
    for_operators = operators.paths() | dead_letters.paths(operators.TAG)
    for_operators |= models.operator_paths(catalogue, operators.TAG) | account.paths(operators.TAG)
    faces |= for_operators if admin else {}
    faces |= upstream_callbacks.paths() if callbacks else {}
    document = OpenAPI(
        openapi="3.1.1",
        info=Info(
            title="Breakwater",
            version=version("breakwater"),
            description=_INTRODUCTION,
            license=License(name="MIT", identifier="MIT"),
        ),
        servers=[Server(url="/", description="The gateway this was read from.")],
        security=[{"bearer": []}],
        tags=[*_TAGS, *([_OPERATOR_TAG] if admin else []), *([_CALLBACK_TAG] if callbacks else []), _GATEWAY],
        paths=faces | _gateway_paths(),
        components=Components(
            headers=dict(HEADERS),
            parameters=dict(PARAMETERS),
            securitySchemes={"bearer": _BEARER, **({"operator": _OPERATOR} if admin else {})},
        ),
    )
    described: dict[str, Any] = construct_open_api_with_schema_class(document).model_dump(
        mode="json", by_alias=True, exclude_none=True, exclude_unset=True
    )
    # Operators' schemas are data and go in as they are: a typed reading would lose what it does not know.
    described["components"]["schemas"] |= input_schemas(catalogue)
    return described


def _gateway_paths() -> dict[str, PathItem]:
    """Probes, metrics and the description itself."""
    livez = text_answer("The process runs.", "ok\n")
    ready = text_answer("It should get traffic.", "ready\n")
    not_ready = text_answer("Redis has not answered yet, or the gateway is stopping.", "not ready\n")
    metrics = text_answer("All of them.", "# HELP ...\n", CONTENT_TYPE_LATEST)
    document = text_answer("The document.", '{"openapi": "3.1.1", ...}', "application/json")
    page = text_answer("The page.", "<!doctype html>...", "text/html; charset=utf-8")
    return {
        "/livez": _public("livez", "Liveness", "Never looks at Redis: a restart mends no store.", {"200": livez}),
        "/readyz": _public("readyz", "Readiness", "Whether to send traffic.", {"200": ready, "503": not_ready}),
        "/metrics": _public("metrics", "Metrics", "Those of this process, for Prometheus.", {"200": metrics}),
        "/openapi.json": _public("openapi", "This description", "OpenAPI 3.1, for machines.", {"200": document}),
        "/docs": _public("docs", "This page", "The description to read; it loads nothing else.", {"200": page}),
    }


def _public(operation_id: str, summary: str, description: str, answers: dict[str, Response]) -> PathItem:
    """A path that is read without a key."""
    return PathItem(get=operation(GATEWAY_TAG, operation_id, summary, description, answers=answers, security=()))
