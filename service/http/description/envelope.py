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
    shown = {name: {"code": 200, "message": "success", "data": example} for name, example in examples.items()}
    return json_answer(description, envelope_of(data), shown, headers, links)
