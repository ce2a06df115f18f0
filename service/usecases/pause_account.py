"""What operators do to the account as a whole: see where it stands, have nothing sent for a while, go on."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from service.domain.capacity import AccountState
from service.domain.timestamps import rfc3339
from service.stores.audit_log import AuditEntry, AuditLog
from service.stores.submission_queue import SubmissionQueue
from service.stores.work_schedule import WorkSchedule

MAX_WHY = 200
"""Longest reason of a pause, in characters."""


@dataclass(frozen=True, slots=True)
class PauseAccount:
    """The use cases, for one `actor` (`cli`, `admin api`). Every one raises `StoreUnavailable`."""

    queue: SubmissionQueue
    schedule: WorkSchedule
    audit: AuditLog
    clock: Callable[[], float]
    actor: str = "cli"

    def by(self, actor: str) -> "PauseAccount":
        """The same use cases for another actor."""
        return replace(self, actor=actor)

    async def state(self) -> AccountState:
        """Where the account stands."""
        return await self.queue.state()

    async def pause(self, why: str) -> AccountState:
        """Have nothing sent until `resume`; what comes in waits."""
        await self.queue.pause(int(self.clock() * 1000), why)
        await self._note("upstream.pause", {"why": why})
        return await self.queue.state()

    async def resume(self) -> AccountState:
        """Go on, whoever began the pause; also what holds submissions back after a refusal is over."""
        if await self.queue.resume():
            await self._note("upstream.resume", {})
        self.schedule.wake("submit", 0.0)
        return await self.queue.state()

    async def _note(self, action: str, detail: dict[str, str]) -> None:
        """Write the audit line of something done."""
        await self.audit.append(AuditEntry(rfc3339(int(self.clock() * 1000)), self.actor, action, "", detail))
