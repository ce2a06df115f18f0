"""Make the tenants in Redis what a tenants file says: the same file again changes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from service.domain.errors import AlreadyExists, Conflict
from service.domain.tenant_spec import FieldChange, TenantSpec, difference
from service.domain.tenants import Tenant, TenantState
from service.domain.tenants_file import WrittenTenant, check_callbacks
from service.usecases.administer import MANAGED_KEY_PREFIX, Administer, key_id_of


@dataclass(frozen=True, slots=True)
class TenantChange:
    """What a file means for one tenant. `orphan` is one that a file made and this one does not name any more."""

    tenant: str
    kind: Literal["create", "update", "unchanged", "delete", "orphan"]
    fields: tuple[FieldChange, ...] = ()
    keys_added: tuple[str, ...] = ()
    keys_revoked: tuple[str, ...] = ()
    problem: str = ""

    def lines(self) -> list[str]:
        """The change as a diff to read: `+` added, `-` taken away, `~` changed."""
        mark = {"create": "+", "update": "~", "unchanged": " ", "delete": "-", "orphan": "?"}[self.kind]
        lines = [f"{mark} {self.tenant}" + (": not in the file; --prune deletes it" if self.kind == "orphan" else "")]
        lines += [f"    {change.field}: {_shown(change.before)} -> {_shown(change.after)}" for change in self.fields]
        lines += [f"    + key {name}" for name in self.keys_added]
        lines += [f"    - key {name}" for name in self.keys_revoked]
        return lines + ([f"    ! {self.problem}"] if self.problem else [])


def _shown(value: Any) -> str:
    """A value in a diff."""
    return "unset" if value is None else str(value)


@dataclass(frozen=True, slots=True)
class ApplyTenants:
    """The use case. Raises `StoreUnavailable`; what was applied until then stays, and applying again goes on."""

    administer: Administer

    async def __call__(
        self, written: Sequence[WrittenTenant], *, prune: bool = False, dry_run: bool = False
    ) -> list[TenantChange]:
        """Apply the file; return what changed, or with `dry_run` what would. `prune` deletes what only a file made.

        What is taken away goes first, so that a key can move from one tenant to another. Raises `BadTenantsFile`
        before anything is done, for a callback list that cannot be used.
        """
        check_callbacks(written, self.administer.callbacks)
        existing = {tenant.id: tenant for tenant in await self.administer.tenants.list()}
        named = {each.id for each in written}
        orphans = [tenant for tenant in existing.values() if tenant.managed and tenant.id not in named]
        pruned = [await self._orphan(tenant, prune, dry_run) for tenant in orphans]
        revoked = {each.id: await self._revoke(each, dry_run) for each in written if each.id in existing}
        applied = [
            await self._apply(each, existing.get(each.id), revoked.get(each.id, ()), dry_run) for each in written
        ]
        return applied + pruned

    async def _apply(
        self, written: WrittenTenant, current: Tenant | None, revoked: tuple[str, ...], dry_run: bool
    ) -> TenantChange:
        """Create or update one tenant and let in its listed keys."""
        spec = written.spec_over(current)
        # A tenant of which the file names no field is still the file's: `name` marks it.
        managed = frozenset(written.fields) | {"name"}
        before = current or Tenant(written.id, written.id, TenantState.ACTIVE, 0)
        if dry_run:
            after = spec.applied_to(before)
        else:
            after = await self._write(written.id, current, spec, managed)
        added = await self._let_in(written, current is not None, dry_run)
        fields = tuple(difference(before, after))
        changed = bool(fields or added or revoked or managed != before.managed)
        kind: Literal["create", "update", "unchanged"] = "update" if changed else "unchanged"
        return TenantChange(written.id, "create" if current is None else kind, fields, added, revoked)

    async def _write(self, tenant_id: str, current: Tenant | None, spec: TenantSpec, managed: frozenset[str]) -> Tenant:
        """Create the tenant or change it; one that another process has just created is changed."""
        if current is None:
            try:
                return await self.administer.create_tenant(tenant_id, spec, managed)
            except AlreadyExists:
                current = await self.administer.tenants.get(tenant_id)
        return await self.administer.update_tenant(current, spec, managed, force=True)

    async def _listed(self, tenant_id: str) -> dict[str, str]:
        """The keys of a tenant that a file listed: id → name. Keys issued otherwise are left alone."""
        keys = await self.administer.keys.list(tenant_id)
        return {key.id: key.name for key in keys if key.id.startswith(MANAGED_KEY_PREFIX)}

    async def _revoke(self, written: WrittenTenant, dry_run: bool) -> tuple[str, ...]:
        """Revoke what a file listed once and this one does not; the names."""
        wanted = {key_id_of(name, digest) for name, digest in written.keys.items()}
        gone = {key_id: name for key_id, name in (await self._listed(written.id)).items() if key_id not in wanted}
        if not dry_run:
            for key_id in gone:
                await self.administer.revoke_key(written.id, key_id)
        return tuple(gone.values())

    async def _let_in(self, written: WrittenTenant, exists: bool, dry_run: bool) -> tuple[str, ...]:
        """Let in what is listed and not there yet; the names."""
        known = await self._listed(written.id) if exists else {}
        new = {name: digest for name, digest in written.keys.items() if key_id_of(name, digest) not in known}
        if not dry_run:
            for name, digest in new.items():
                await self.administer.add_key_by_digest(written.id, name, digest)
        return tuple(new)

    async def _orphan(self, tenant: Tenant, prune: bool, dry_run: bool) -> TenantChange:
        """A tenant that a file made and this file does not name: reported, and with `prune` deleted."""
        if not prune:
            return TenantChange(tenant.id, "orphan")
        if not dry_run:
            try:
                await self.administer.delete_tenant(tenant.id)
            except Conflict as busy:
                return TenantChange(tenant.id, "orphan", problem=str(busy))
        return TenantChange(tenant.id, "delete")
