"""Whether the files that settings name can be used."""

from collections.abc import Iterator

from service.checks.findings import Finding, fine, promised
from service.checks.given_settings import Given
from service.domain.tenants_file import WrittenTenant
from service.resources import read_models, read_tenants
from service.settings import BadSetting


def check_models(given: Given) -> Finding:
    """Whether there is a catalogue."""
    try:
        models = len(read_models(given.settings).models)
    except BadSetting as bad:
        return promised("models-file-broken", str(bad).partition(": ")[2])
    return fine("models", f"{models} in the catalogue")


def read_written(given: Given) -> tuple[list[WrittenTenant], list[Finding]]:
    """The tenants of the file, and what is wrong with them by themselves."""
    if given.settings.tenants_file is None:
        return [], []
    try:
        written = read_tenants(given.settings)
    except BadSetting as bad:
        return [], [promised("tenants-file-broken", str(bad).partition(": ")[2])]
    if not written:
        return [], [promised("tenants-file-empty")]
    findings = [promised("tenant-without-limits", one.id) for one in written if not _has_limits(one)]
    return written, findings or [fine("tenants-file", f"{len(written)} tenants")]


def _has_limits(tenant: WrittenTenant) -> bool:
    """Whether the file limits a tenant in any way."""
    return any(name.startswith("limits.") and value is not None for name, value in tenant.fields.items())


def without_keys(written: list[WrittenTenant], known: frozenset[str]) -> Iterator[Finding]:
    """Tenants that have a key neither in the file nor, as `known` do, in Redis."""
    for tenant in written:
        if not tenant.keys and tenant.id not in known:
            yield promised("tenant-without-key", tenant.id)
