"""What a model's path accepts: the model's own schema with the gateway's switches beside it, and an example."""

from collections.abc import Mapping
from typing import Any, Final

from service.domain.callback_url import MAX_URL
from service.domain.catalogue import Catalogue, Model, ModelState
from service.domain.errors import InvalidInput

_SWITCHES: Final[Mapping[str, Any]] = {
    "enable_sync_mode": {
        "type": "boolean",
        "default": False,
        "description": "Hold the answer until the run has ended, as long as the gateway's operators allow.",
    },
    "enable_base64_output": {
        "type": "boolean",
        "default": False,
        "description": "Outputs are the files themselves in base64, not URLs; not together with a callback.",
    },
    "webhook_url": {
        "anyOf": [{"type": "string", "format": "uri", "maxLength": MAX_URL}, {"enum": ["", None]}],
        "description": "The same as `?webhook=`, which wins if both are given; `webhook` is another name for it.",
    },
}
"""Body fields that are for the gateway: taken out before the input is checked and sent on."""

_EXAMPLE_INPUTS: Final = {
    "prompt": "Waves break over a pier at dawn",
    "image": "https://media.example.com/pier.jpg",
    "video": "https://media.example.com/pier.mp4",
    "audio": "https://media.example.com/waves.mp3",
}
"""What examples hold for well-known fields about which the schema says too little."""

_BY_TYPE: Final = {"string": "...", "integer": 1, "number": 1, "boolean": True, "array": [], "object": {}}
"""What they hold for any other required field."""


UNLISTED_INPUTS: Final = "AnyInput"
"""The component of inputs of models that are not in the catalogue; no id of a model is called so."""


def component_name(model_id: str) -> str:
    """The name of a model's input schema: unlike for unlike ids, since a segment never begins with `_`."""
    return model_id.replace("_", "__").replace("/", "_")


def input_schemas(catalogue: Catalogue) -> dict[str, dict[str, Any]]:
    """What each model's path accepts, by component name: its own schema and the gateway's switches."""
    known = {component_name(model.id): _accepted(model) for model in catalogue if model.state is not ModelState.RETIRED}
    others = {"title": "Input of any other model", "type": "object", "properties": dict(_SWITCHES)}
    return known if catalogue.unlisted is None else known | {UNLISTED_INPUTS: others}


def _accepted(model: Model) -> dict[str, Any]:
    """A model's inputs with the switches beside them."""
    inputs = _moved(model.inputs, f"#/components/schemas/{component_name(model.id)}")
    return {"title": model.name, **inputs, "properties": {**inputs.get("properties", {}), **_SWITCHES}}


def _moved(schema: Any, to: str) -> Any:
    """A copy of a schema that stands at `to`, with its references into itself going there."""
    if isinstance(schema, list):
        return [_moved(item, to) for item in schema]
    if not isinstance(schema, dict) or isinstance(schema.get("$id"), str):
        return schema  # what has an id is a document of its own: references in it still mean what they meant
    return {
        name: to + value[1:]
        if name == "$ref" and isinstance(value, str) and (value == "#" or value.startswith("#/"))
        else _moved(value, to)
        for name, value in schema.items()
    }


def example_input(model: Model) -> dict[str, Any] | None:
    """A valid input made from what the schema says of its fields, or None where that is too little for one."""
    fields = model.inputs.get("properties", {})
    required = model.inputs.get("required", [])
    example = {}
    for name in dict.fromkeys([*required, *fields]):
        field = fields.get(name)
        values = _values(name, field if isinstance(field, dict) else {}, name in required)
        if values and name not in _SWITCHES:
            example[name] = values[0]
    try:
        model.check(example)
    except InvalidInput:
        return None
    return example


def _values(name: str, field: Mapping[str, Any], required: bool) -> list[Any]:
    """What a field may hold, best first: what its schema suggests or, if there must be something, what may do."""
    values = [*field.get("examples", []), *([field["default"]] if "default" in field else [])]
    if required:
        kind = field.get("type")
        guess = _EXAMPLE_INPUTS.get(name, _BY_TYPE.get(kind, "...") if isinstance(kind, str) else "...")
        values += [*field.get("enum", []), guess]
    return values
