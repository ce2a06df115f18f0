"""The model catalogue: what may be submitted, what a valid input is, what it costs, how it is polled."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from importlib.resources import files
from itertools import islice
from typing import Annotated, Any

from jsonschema_rs import Draft202012Validator, ValidationErrorKind
from jsonschema_rs import ValidationError as SchemaError
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from service.domain.errors import BreakwaterError, FieldError, InvalidInput, NotFound
from service.domain.polling import PollProfile
from service.domain.pricing import MAX_SECONDS, Price

MAX_REPORTED = 20
"""How many wrong fields one answer names."""


MAX_DEADLINE_S = 604_800.0
"""Longest time in a poll profile, in seconds: a week, as long as the upstream keeps results."""

_SEGMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""One segment of a model id: ids become part of URLs."""


class BadCatalogue(BreakwaterError):
    """A catalogue file cannot be used; the text names the model and the field."""


_Usd = Annotated[str, Field(pattern=r"^\d{1,6}(\.\d{1,6})?$")]


class _Price(BaseModel):
    model_config = ConfigDict(extra="forbid")
    run_usd: _Usd | None = None
    second_usd: _Usd | None = None
    seconds_input: str = Field("duration", min_length=1)
    default_s: int | None = Field(None, ge=1, le=MAX_SECONDS)
    size_input: str = Field("size", min_length=1)
    size_factors: dict[str, _Usd] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _says_what_it_costs(self) -> "_Price":
        if self.run_usd is None and self.second_usd is None:
            raise ValueError("needs run_usd, second_usd or both")
        if self.second_usd is not None and self.default_s is None:
            raise ValueError("second_usd needs default_s, the length of a video nobody gave a length")
        return self

    def price(self) -> Price:
        """The formula."""
        return Price(
            Decimal(self.run_usd or 0),
            Decimal(self.second_usd or 0),
            self.seconds_input,
            self.default_s or 0,
            self.size_input,
            {size: Decimal(factor) for size, factor in self.size_factors.items()},
        )


class _Poll(BaseModel):
    model_config = ConfigDict(extra="forbid")
    usual_s: float = Field(gt=0, le=MAX_DEADLINE_S)
    step_s: float = Field(gt=0, le=MAX_DEADLINE_S)
    max_step_s: float = Field(gt=0, le=MAX_DEADLINE_S)
    deadline_s: float = Field(gt=0, le=MAX_DEADLINE_S)

    @model_validator(mode="after")
    def _steps_grow(self) -> "_Poll":
        if self.step_s > self.max_step_s:
            raise ValueError("step_s must not be longer than max_step_s")
        return self


class _Entry(BaseModel):
    """One table of a catalogue file, as written."""

    model_config = ConfigDict(extra="forbid")
    name: str = Field(min_length=1)
    inputs: dict[str, Any]
    price: _Price
    poll: _Poll


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")
    models: dict[str, _Entry]


@dataclass(frozen=True, slots=True)
class Model:
    """One model callers may submit to."""

    id: str
    name: str
    inputs: dict[str, Any]
    price: Price
    poll: PollProfile
    _validator: Draft202012Validator

    @property
    def usual_price_micros(self) -> int:
        """What a run costs when no input changes the price, in micro-dollars."""
        return self.price.micros_of({})

    def check(self, inputs: Mapping[str, Any]) -> None:
        """Raise `InvalidInput` naming every field that breaks the schema; fields it does not name pass."""
        if self._validator.is_valid(inputs):
            return
        errors = islice(self._validator.iter_errors(inputs), MAX_REPORTED)
        raise InvalidInput([_field_error(error) for error in errors])


def _field_error(error: SchemaError) -> FieldError:
    """Name the field a schema error is about; a missing field is named itself, not its parent."""
    path = [str(part) for part in error.instance_path]
    if isinstance(error.kind, ValidationErrorKind.Required):
        return FieldError(".".join([*path, error.kind.property]), "is required")
    return FieldError(".".join(path), error.message.removeprefix("value "))


class Catalogue:
    """All models by id, read once at start."""

    def __init__(self, models: Mapping[str, Model]) -> None:
        self._models = dict(models)

    def __iter__(self) -> Iterator[Model]:
        """Iterate over the models in order of id."""
        return iter(sorted(self._models.values(), key=lambda model: model.id))

    def get(self, model_id: str) -> Model:
        """The model of this id. Raises `NotFound`, naming what there is."""
        model = self._models.get(model_id)
        if model is None:
            raise NotFound(f"unknown model {model_id[:100]!r}; available: {', '.join(sorted(self._models))}")
        return model


def read_catalogue(extra_toml: str = "", *, poll_scale: float = 1.0) -> Catalogue:
    """Build the catalogue from the built-in file and an operator's; raises `BadCatalogue` naming what is wrong."""
    models: dict[str, Model] = {}
    for origin, text in (
        ("built-in", files("service").joinpath("models.toml").read_text("utf-8")),
        ("file", extra_toml),
    ):
        models.update(_parse(origin, text, poll_scale) if text else {})
    return Catalogue(models)


def _parse(origin: str, text: str, poll_scale: float) -> dict[str, Model]:
    """Parse one catalogue file."""
    try:
        parsed = _File.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise BadCatalogue(f"{origin} catalogue is not TOML: {error}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadCatalogue(f"{origin} catalogue: {where}: {first['msg']}") from None
    return {model_id: _model(model_id, entry, poll_scale) for model_id, entry in parsed.models.items()}


def _refuse_reference(uri: str) -> Any:
    """Fetch nothing: reading a catalogue is no I/O."""
    raise ValueError(f"references another document: {uri}")


def _model(model_id: str, entry: _Entry, poll_scale: float) -> Model:
    """Turn one entry into a `Model` with its schema compiled."""
    segments = model_id.split("/")
    if not 2 <= len(segments) <= 4 or not all(_SEGMENT.fullmatch(segment) for segment in segments):
        raise BadCatalogue(f"models.{model_id}: a model id has 2 to 4 segments of letters, digits, '.', '_' and '-'")
    try:
        # The mask keeps prompts out of error texts, and so out of logs. A reference is resolved within the schema only.
        validator = Draft202012Validator(entry.inputs, mask="value", retriever=_refuse_reference)
    except ValueError as error:
        reason = str(error).partition("\n")[0]
        raise BadCatalogue(f"models.{model_id}.inputs: not a JSON schema: {reason}") from None
    poll = entry.poll
    profile = PollProfile(poll.usual_s, poll.step_s, poll.max_step_s, poll.deadline_s).scaled(poll_scale)
    return Model(model_id, entry.name, entry.inputs, entry.price.price(), profile, validator)
