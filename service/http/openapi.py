"""`/openapi.json` and `/docs`: the API described, for machines and for people. Built at the first request for it.

What describes it is imported only then: that takes longer than anything else a gateway does before it can serve.
"""

import asyncio
from collections.abc import Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response

from service.domain.catalogue import Catalogue
from service.domain.json_forms import json_bytes
from service.http.authentication import Endpoint
from service.http.docs import PAGE_HEADERS, page


def openapi_document(catalogue: Catalogue, *, admin: bool, callbacks: bool = False) -> Endpoint:
    """The endpoint that answers the OpenAPI document; `admin` and `callbacks` say which faces there are beside."""

    def build() -> bytes:
        from service.http.description.document import describe

        return json_bytes(describe(catalogue, admin=admin, callbacks=callbacks))

    return _built_once(build, "application/json", {})


def docs_page(catalogue: Catalogue, *, admin: bool, callbacks: bool = False) -> Endpoint:
    """The endpoint that answers the document as a page to read, which loads nothing else and runs nothing."""

    def build() -> bytes:
        from service.http.description.document import describe

        return page(describe(catalogue, admin=admin, callbacks=callbacks), catalogue).encode()

    return _built_once(build, "text/html", PAGE_HEADERS)


def _built_once(build: Callable[[], bytes], media_type: str, headers: Mapping[str, str]) -> Endpoint:
    """An endpoint that answers what `build` returns; it is called once, in a thread, so that nobody else waits."""
    building = asyncio.Lock()
    body = b""

    async def endpoint(_request: Request) -> Response:
        nonlocal body
        async with building:
            if not body:
                body = await asyncio.to_thread(build)
        return Response(body, headers=dict(headers), media_type=media_type)

    return endpoint
