"""The whole API as one OpenAPI 3.1 document. Each face describes its own paths; a new route goes beside its like."""

from importlib.metadata import version
from typing import Any, Final

from openapi_pydantic import Components, Info, OpenAPI, PathItem, SecurityScheme, Server, Tag
from openapi_pydantic.util import construct_open_api_with_schema_class
from prometheus_client import CONTENT_TYPE_LATEST

from service.domain.catalogue import Catalogue
from service.http.description import native, wavespeed
from service.http.description.operations import HEADERS, PARAMETERS, operation, text_answer

GATEWAY_TAG: Final = "The gateway itself"

_INTRODUCTION: Final = """\
Breakwater stands between your services and WaveSpeed. Call it as you would call WaveSpeed, with this base URL and a key \
of your team's own: submit to a model, then read `urls.get` until the status is `completed` or `failed`, or be called back: \
once by `?webhook=` on the submission, or for every prediction at a registered endpoint.

Errors under `/api/` have WaveSpeed's form, `{"code", "message"}`. All others are `application/problem+json` (RFC 9457): \
`code` names the kind of error, `retryable` says whether the same request may succeed later. `Retry-After` stands on \
answers for which waiting helps, `X-Request-Id` on every answer: name it when you report a problem."""

_TAGS: Final = (
    Tag(name=wavespeed.TAG, description="Submit to a model and read the result, in WaveSpeed's own form."),
    Tag(name=native.TAG, description="Where your team wants events sent."),
    Tag(name=GATEWAY_TAG, description="Health, metrics and this description. No key needed."),
)


def describe(catalogue: Catalogue) -> dict[str, Any]:
    """The document, ready to be written as JSON."""
    document = OpenAPI(
        openapi="3.1.1",
        info=Info(title="Breakwater", version=version("breakwater"), description=_INTRODUCTION),
        servers=[Server(url="/", description="The gateway this was read from.")],
        security=[{"bearer": []}],
        tags=list(_TAGS),
        paths=wavespeed.paths(catalogue) | native.paths() | _gateway_paths(),
        components=Components(
            headers=dict(HEADERS),
            parameters=dict(PARAMETERS),
            securitySchemes={
                "bearer": SecurityScheme(
                    type="http",
                    scheme="bearer",
                    description="Your team's API key, as `Authorization: Bearer bw_...`. Operators make one with "
                    "`breakwater key create TENANT`; it is shown once.",
                )
            },
        ),
    )
    described: dict[str, Any] = construct_open_api_with_schema_class(document).model_dump(
        mode="json", by_alias=True, exclude_none=True, exclude_unset=True
    )
    # An operator's schema is data and goes in as it is: read as a typed one it would lose what that type cannot hold.
    described["components"]["schemas"] |= wavespeed.input_schemas(catalogue)
    return described


def _gateway_paths() -> dict[str, PathItem]:
    """Probes, metrics and the description."""
    health = text_answer("The process runs.", "ok\n")
    metrics = text_answer("All of them.", "# HELP ...\n", CONTENT_TYPE_LATEST)
    document = text_answer("The document.", '{"openapi": "3.1.1", ...}', "application/json")
    page = text_answer("The page.", "<!doctype html>...", "text/html; charset=utf-8")
    ready = {
        "200": text_answer("It should get traffic.", "ready\n"),
        "503": text_answer("Redis has not answered yet, or the gateway is stopping.", "not ready\n"),
    }
    return {
        path: PathItem(get=operation(GATEWAY_TAG, name, summary, description, answers=answers, public=True))
        for path, name, summary, description, answers in (
            ("/livez", "livez", "Liveness", "Never looks at Redis: restarting a gateway mends no store.", {"200": health}),
            ("/readyz", "readyz", "Readiness", "Whether this process should get traffic now.", ready),
            ("/metrics", "metrics", "Metrics", "Every metric of this process, for Prometheus.", {"200": metrics}),
            ("/openapi.json", "openapi", "This description", "OpenAPI 3.1, for machines.", {"200": document}),
            ("/docs", "docs", "This description, to read", "One page; it loads nothing else.", {"200": page}),
        )
    }
