"""WaveSpeed's success envelope described, around whatever is in it."""

from functools import cache
from typing import Any, Literal

from openapi_pydantic import Response
from pydantic import BaseModel, create_model

from service.http.description.operations import Headers, Links, json_answer


class Envelope(BaseModel):
    """WaveSpeed's success envelope."""

    code: Literal[200]
    message: str


@cache
def _envelope_of_list(item: type[BaseModel]) -> type[Envelope]:
    """The envelope with a list of such things in it."""
    items: Any = list[item]  # type: ignore[valid-type]  # made at run time, for the schema
    return create_model(f"{item.__name__}ListEnvelope", __base__=Envelope, __doc__=Envelope.__doc__, data=(items, ...))


@cache
def envelope_of(data: type[BaseModel]) -> type[Envelope]:
    """The envelope with such a thing in it, named after that."""
    return create_model(f"{data.__name__}Envelope", __base__=Envelope, __doc__=Envelope.__doc__, data=(data, ...))


def enveloped_answer(
    description: str,
    data: type[BaseModel],
    examples: dict[str, Any],
    headers: Headers | None = None,
    links: Links | None = None,
) -> Response:
    """An answer 200 in the envelope; `examples` of what is in it, by name."""
    return json_answer(description, envelope_of(data), _enveloped(examples), headers, links)


def enveloped_list(description: str, item: type[BaseModel], examples: dict[str, Any]) -> Response:
    """An answer 200 with a list in the envelope; `examples` of the list, by name."""
    return json_answer(description, _envelope_of_list(item), _enveloped(examples))


def _enveloped(examples: dict[str, Any]) -> dict[str, Any]:
    """Examples with the envelope around each."""
    return {name: {"code": 200, "message": "success", "data": example} for name, example in examples.items()}
