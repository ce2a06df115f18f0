"""Catalogue files: the built-in one and an operator's, TOML with one table a model."""

import tomllib
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib.resources import files
from typing import Annotated, Any, Final

from jsonschema_rs import Draft202012Validator
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from service.domain.catalogue import Catalogue, Model, ModelState, is_model_id
from service.domain.errors import BreakwaterError
from service.domain.polling import PollProfile
from service.domain.pricing import MAX_SECONDS, Price


class BadCatalogue(BreakwaterError):
    """A catalogue file cannot be used; the text names the model and the field."""


MAX_DEADLINE_S: Final = 604_800.0
"""Longest time in a poll profile, in seconds: a week, as long as the upstream keeps results."""

_Usd = Annotated[str, Field(pattern=r"^\d{1,6}(\.\d{1,6})?$")]


class _Price(BaseModel):
    model_config = ConfigDict(extra="forbid")
    run_usd: _Usd | None = None
    second_usd: _Usd | None = None
    seconds_input: str = Field("duration", min_length=1)
    default_s: int | None = Field(None, ge=1, le=MAX_SECONDS)
    size_input: str = Field("size", min_length=1)
    size_factors: dict[str, _Usd] = Field(default_factory=dict)
    default_size: str = ""

    @model_validator(mode="after")
    def _says_what_it_costs(self) -> "_Price":
        if self.run_usd is None and self.second_usd is None:
            raise ValueError("needs run_usd, second_usd or both")
        if self.second_usd is not None and self.default_s is None:
            raise ValueError("second_usd needs default_s, the length of a video nobody gave a length")
        if self.default_size and self.default_size not in self.size_factors:
            raise ValueError("default_size must be one of size_factors")
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
            self.default_size,
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
    type: str = Field("video", pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=40)
    description: str = Field("", max_length=1_000)
    state: ModelState = ModelState.ACTIVE
    deprecated_at: AwareDatetime | None = None
    sunset_at: AwareDatetime | None = None
    replacement: str = ""
    inputs: dict[str, Any]
    price: _Price
    poll: _Poll

    @field_validator("deprecated_at", "sunset_at", mode="before")
    @classmethod
    def _day(cls, given: Any) -> Any:
        """A day is its first moment, UTC."""
        plain = isinstance(given, date) and not isinstance(given, datetime)
        return datetime(given.year, given.month, given.day, tzinfo=UTC) if plain else given

    @model_validator(mode="after")
    def _says_until_when(self) -> "_Entry":
        active, retired = self.state is ModelState.ACTIVE, self.state is ModelState.RETIRED
        if active and (self.deprecated_at or self.sunset_at):
            raise ValueError("deprecated_at and sunset_at are for models whose state is deprecated or retired")
        if self.state is ModelState.DEPRECATED and self.deprecated_at is None:
            raise ValueError("a deprecated model needs deprecated_at")
        if self.deprecated_at and self.sunset_at and self.sunset_at < self.deprecated_at:
            raise ValueError("sunset_at must not be before deprecated_at")
        if retired and not self.replacement:
            raise ValueError("a retired model needs a replacement: callers are told what to use")
        return self


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")
    models: dict[str, _Entry] = Field(min_length=1)


def read_catalogue(extra_toml: str = "", *, poll_scale: float = 1.0, unlisted_usd: Decimal | None = None) -> Catalogue:
    """Build the catalogue from the built-in file and an operator's; raises `BadCatalogue` naming what is wrong.

    `poll_scale` multiplies all times of polling; `unlisted_usd` is what a run of a model costs that neither file lists,
    None where there is no such.
    """
    models: dict[str, Model] = {}
    for origin, text in (
        ("built-in", files("service").joinpath("models.toml").read_text("utf-8")),
        ("file", extra_toml),
    ):
        models.update(_parse(origin, text, poll_scale) if text else {})
    for model in models.values():
        _check_replacement(model, models)
    unlisted = None if unlisted_usd is None else Price(unlisted_usd)
    return Catalogue(models, unlisted, Catalogue(models).usual_poll.scaled(poll_scale))


def _check_replacement(model: Model, models: Mapping[str, Model]) -> None:
    """Callers are sent to a model that is there and stays. Raises `BadCatalogue`."""
    if not model.replacement:
        return
    replacement = models.get(model.replacement)
    if replacement is None:
        raise BadCatalogue(f"models.{model.id}.replacement: {model.replacement} is not in the catalogue")
    if replacement.state is ModelState.RETIRED or replacement.id == model.id:
        raise BadCatalogue(f"models.{model.id}.replacement: {model.replacement} cannot replace it")


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
    if not is_model_id(model_id):
        told = "has 2 to 4 segments of letters, digits, '.', '_' and '-', the first none of WaveSpeed's own paths"
        raise BadCatalogue(f"models.{model_id}: a model id {told}")
    try:
        # The mask keeps prompts out of error texts, and so out of logs. A reference is resolved within the schema only.
        validator = Draft202012Validator(entry.inputs, mask="value", retriever=_refuse_reference)
    except ValueError as error:
        reason = str(error).partition("\n")[0]
        raise BadCatalogue(f"models.{model_id}.inputs: not a JSON schema: {reason}") from None
    poll = entry.poll
    profile = PollProfile(poll.usual_s, poll.step_s, poll.max_step_s, poll.deadline_s).scaled(poll_scale)
    return Model(
        model_id,
        entry.name,
        entry.inputs,
        entry.price.price(),
        profile,
        validator,
        type=entry.type,
        description=entry.description,
        state=entry.state,
        deprecated_at_ms=_ms(entry.deprecated_at),
        sunset_at_ms=_ms(entry.sunset_at),
        replacement=entry.replacement,
    )


def _ms(at: datetime | None) -> int:
    """A moment in unix ms; 0 for none."""
    return int(at.timestamp() * 1000) if at else 0
