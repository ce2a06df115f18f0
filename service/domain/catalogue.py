"""The model catalogue: what may be submitted, what a valid input is, what it costs, how it is polled."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from typing import Any, Final

from jsonschema_rs import Draft202012Validator, ValidationErrorKind
from jsonschema_rs import ValidationError as SchemaError

from service.domain.errors import FieldError, InvalidInput, ModelDenied, ModelRetired, NotFound
from service.domain.polling import PollProfile
from service.domain.pricing import Price
from service.domain.tenants import Tenant

MAX_REPORTED: Final = 20
"""How many wrong fields one answer names."""

UNLISTED: Final = "unlisted"
"""What metrics call every model that is not in the catalogue."""

_SEGMENT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""One segment of a model id: ids become part of URLs."""

MAX_ID: Final = 200
"""Longest id of a model, in characters."""

RESERVED: Final = frozenset(
    {"account", "balance", "billings", "media", "model", "models", "predictions", "user", "webhook"}
)
"""What WaveSpeed has beside models. A path that begins so is no model, whoever lists it: sent on with the company's
key it would lead into the company's own account."""

_USUAL_POLL: Final = PollProfile(usual_s=30, step_s=10, max_step_s=30, deadline_s=1800)
"""How a prediction is polled whose model is not in the catalogue, or no longer: what was accepted is looked after."""

_ANYTHING: Final = Draft202012Validator({"type": "object"})


class ModelState(StrEnum):
    """Whether a model may be submitted to, and for how much longer."""

    ACTIVE = "active"
    DEPRECATED = "deprecated"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class Model:
    """One model callers may submit to. Times in unix ms, 0 for none; `replacement` is another model's id, or ""."""

    id: str
    name: str
    inputs: dict[str, Any]
    price: Price
    poll: PollProfile
    _validator: Draft202012Validator
    type: str = ""
    description: str = ""
    state: ModelState = ModelState.ACTIVE
    deprecated_at_ms: int = 0
    sunset_at_ms: int = 0
    replacement: str = ""
    listed: bool = True

    @property
    def usual_price_micros(self) -> int:
        """What a run costs when no input changes the price, in micro-dollars."""
        return self.price.micros_of({})

    @property
    def label(self) -> str:
        """What metrics call it: a closed set, whatever callers submit to."""
        return self.id if self.listed else UNLISTED

    def require_current(self) -> None:
        """Raise `ModelRetired`, saying what to use instead, for one that is gone."""
        if self.state is ModelState.RETIRED:
            raise ModelRetired(f"model {self.id} has been retired; use {self.replacement} instead")

    def check(self, inputs: Mapping[str, Any]) -> None:
        """Raise `InvalidInput` naming every field that breaks the schema; fields it does not name pass."""
        if self._validator.is_valid(inputs):
            return
        errors = islice(self._validator.iter_errors(inputs), MAX_REPORTED)
        raise InvalidInput([_field_error(error) for error in errors])


def is_model_id(text: str) -> bool:
    """Whether a text can be a model's id: 2 to 4 segments of letters, digits, `.`, `_` and `-`, not one of `RESERVED`
    in front.
    """
    segments = text.split("/")
    well_formed = 2 <= len(segments) <= 4 and all(_SEGMENT.fullmatch(segment) for segment in segments)
    return well_formed and len(text) <= MAX_ID and segments[0] not in RESERVED


def _field_error(error: SchemaError) -> FieldError:
    """Name the field a schema error is about; a missing field is named itself, not its parent."""
    path = [str(part) for part in error.instance_path]
    if isinstance(error.kind, ValidationErrorKind.Required):
        return FieldError(".".join([*path, error.kind.property]), "is required")
    return FieldError(".".join(path), error.message.removeprefix("value "))


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All models by id, read once at start.

    With `unlisted` any other model passes as well, at that price; `usual_poll` is how those are looked at.
    """

    models: Mapping[str, Model]
    unlisted: Price | None = None
    usual_poll: PollProfile = field(default=_USUAL_POLL)

    def __iter__(self) -> Iterator[Model]:
        """Iterate over the models in order of id."""
        return iter(sorted(self.models.values(), key=lambda model: model.id))

    def get(self, model_id: str) -> Model:
        """The model of this id. Raises `NotFound`, naming what there is."""
        model = self.models.get(model_id)
        if model is not None:
            return model
        if self.unlisted is not None and is_model_id(model_id):
            return Model(model_id, model_id, {}, self.unlisted, self.usual_poll, _ANYTHING, listed=False)
        known = ", ".join(model.id for model in self if model.state is not ModelState.RETIRED)
        raise NotFound(f"unknown model {model_id[:100]!r}; available: {known}")

    def seen_by(self, tenant: Tenant) -> list[Model]:
        """The models a tenant's list names, in order of id, whatever their state."""
        return [model for model in self if tenant.may_use(model.id)]

    def find_for(self, tenant: Tenant, model_id: str) -> Model:
        """A model a tenant may use. Raises `NotFound` or `ModelDenied`."""
        model = self.get(model_id)
        if not tenant.may_use(model.id):
            raise ModelDenied(f"tenant {tenant.id} may not use model {model.id}")
        return model

    def poll(self, model_id: str) -> PollProfile:
        """How predictions of a model are looked at, also of one that has left the catalogue."""
        model = self.models.get(model_id)
        return model.poll if model else self.usual_poll

    def label(self, model_id: str) -> str:
        """What metrics call a model, also one that has left the catalogue."""
        return model_id if model_id in self.models else UNLISTED
