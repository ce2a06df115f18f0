"""The settings as far as they can be read: one that cannot does not keep the others from being checked."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from service.checks.findings import Finding, fine, promised
from service.settings import Settings, unknown_variables, unreadable_settings, variable_of

_OWN_NAMES: Final = {
    "encryption_key": "encryption-key-malformed",
    "admin_token": "admin-token-malformed",
    "public_url": "public-url-malformed",
}
"""Settings whose bad values have a finding of their own."""

CALLBACK_ATTEMPT_S: Final = 15.0
"""How long one attempt at a callback may take; a worker's test holds that it is so."""

_KILLED_AFTER_S: Final = 30.0
"""After how long Kubernetes kills what it has told to end, unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Given:
    """The settings, and which of their fields are defaults only because what was set cannot be read."""

    settings: Settings
    unreadable: Mapping[str, str]

    def lacks(self, *fields: str) -> str:
        """Name the variable among those of `fields` that cannot be read; "" when all can."""
        return next((variable_of(field) for field in fields if field in self.unreadable), "")


def read_given() -> Given:
    """Read the environment, with the default in place of what cannot be read."""
    unreadable = unreadable_settings()
    return Given(Settings(**{field: Settings.model_fields[field].default for field in unreadable}), unreadable)


def check_variables(given: Given, environment: Mapping[str, str]) -> Iterator[Finding]:
    """Whether each variable can be read, and is one at all."""
    for field, why in given.unreadable.items():
        yield promised(_OWN_NAMES.get(field, "setting-unreadable"), f"{variable_of(field)} {why}")
    for name in unknown_variables(environment):
        yield promised("setting-unknown", name)
    if not given.unreadable:
        known = {variable_of(field) for field in Settings.model_fields}
        yield fine(
            "settings",
            f"{len(known & {name for name, value in environment.items() if value})} are set, all can be read",
        )


def check_scales(given: Given) -> Iterator[Finding]:
    """Whether anything goes at another pace than production's."""
    for field in ("poll_scale", "retry_scale"):
        if (scale := getattr(given.settings, field)) != 1:
            yield promised("scale-not-one", f"{variable_of(field)}={scale:g}")


def check_ending(given: Given) -> Iterator[Finding]:
    """Whether grace and drain let a rollout pass unnoticed."""
    grace_s, drain_s = given.settings.shutdown_grace_s, given.settings.drain_s
    found = []
    if drain_s <= CALLBACK_ATTEMPT_S:
        found.append(promised("drain-short", f"{drain_s:g} s"))
    if grace_s == 0:
        found.append(promised("grace-none"))
    if grace_s + drain_s > _KILLED_AFTER_S:
        found.append(promised("ending-long", f"{grace_s:g} and {drain_s:g} s"))
    yield from found or [fine("ending", f"{grace_s:g} s of grace, then at most {drain_s:g} s of drain")]
