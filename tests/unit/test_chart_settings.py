"""The chart can set every setting of the service, and no other."""

import json
from pathlib import Path
from typing import Any, Final

from service.settings import Settings, variable_of

CHART: Final = Path(__file__).parents[2] / "deploy/helm/breakwater"
SCHEMA: Final = json.loads((CHART / "values.schema.json").read_text())

OWN_VALUES: Final = {
    "BREAKWATER_REDIS_URL": "redis.url",
    "BREAKWATER_REDIS_SENTINELS": "redis.sentinels",
    "BREAKWATER_REDIS_MASTER": "redis.master",
    "WAVESPEED_API_KEY": "existingSecret.keys.upstreamKey",
    "BREAKWATER_UPSTREAM_KEY_FILE": "existingSecret.keys.upstreamKey",
    "BREAKWATER_ENCRYPTION_KEY": "existingSecret.keys.encryptionKey",
    "BREAKWATER_SIGNING_KEY": "existingSecret.keys.signingKey",
    "BREAKWATER_ADMIN_TOKEN": "existingSecret.keys.adminToken",
    "BREAKWATER_TENANTS_FILE": "tenants.content",
    "BREAKWATER_MODELS_FILE": "models.content",
}
"""Settings that are secret or follow from other values, and the values that set them instead of the map."""

_BOUNDS: Final = ("enum", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")


def _form(field: dict[str, Any]) -> dict[str, Any]:
    """What the chart's schema says of one setting, from what the service's own says."""
    kinds = [kind for kind in field.get("anyOf", [field]) if kind.get("type") != "null"]
    types = sorted({str(kind["type"]) for kind in kinds})
    bounds = {name: kind[name] for kind in kinds for name in _BOUNDS if name in kind}
    return {"description": field["description"], "type": types[0] if len(types) == 1 else types, **bounds}


def expected_settings() -> dict[str, Any]:
    """The part of values.schema.json that follows from service/settings.py."""
    fields = Settings.model_json_schema(by_alias=False)["properties"]
    names = {variable_of(name): field for name, field in fields.items()}
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {name: _form(field) for name, field in names.items() if name not in OWN_VALUES},
    }


def test_the_chart_s_settings_are_the_service_s() -> None:
    """The schema knows each setting with its meaning, kind and bounds, and refuses every other name."""
    written = SCHEMA["properties"]["settings"]
    assert written == expected_settings(), (
        f"put this into values.schema.json as properties.settings:\n\n{json.dumps(expected_settings(), indent=2)}"
    )


def test_every_other_setting_has_values_of_its_own() -> None:
    """What is not in the map is a setting of the service all the same, and the value that sets it exists."""
    assert set(OWN_VALUES) <= {variable_of(name) for name in Settings.model_fields}
    for path in OWN_VALUES.values():
        place = SCHEMA
        for part in path.split("."):
            place = place["properties"][part]
            place = {"properties": {}} | place


def test_no_secret_is_set_in_the_open() -> None:
    """The map goes into a ConfigMap: a setting that the service hides cannot stand in it."""
    hidden = {
        variable_of(name) for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)
    }
    assert hidden >= {"WAVESPEED_API_KEY", "BREAKWATER_ENCRYPTION_KEY", "BREAKWATER_ADMIN_TOKEN"}
    assert not hidden & set(SCHEMA["properties"]["settings"]["properties"])


def _open_objects(schema: Any, path: str) -> list[str]:
    """Where a schema says of an object neither what it may hold nor that it is passed on."""
    if isinstance(schema, list):
        return [found for number, item in enumerate(schema) for found in _open_objects(item, f"{path}[{number}]")]
    if not isinstance(schema, dict):
        return []
    found = [place for key, item in schema.items() for place in _open_objects(item, f"{path}.{key}")]
    is_open = schema.get("type") == "object" and "additionalProperties" not in schema and "$comment" not in schema
    return [path, *found] if is_open else found


def test_a_misspelt_value_is_refused_everywhere() -> None:
    """Every object of the values says what it may hold; only pieces of Kubernetes objects are passed on as they are."""
    assert _open_objects(SCHEMA, "values") == []
    passed_on = {name for name, schema in SCHEMA["$defs"].items() if "$comment" in schema}
    assert passed_on == {"kubernetes"}
