"""Bounded places in one process: how much of something each tenant, and all of them together, may have open at once."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from service.domain.errors import Overloaded, TooManyOpen


@dataclass(slots=True)
class Places:
    """`each` for a tenant, `total` for all; `what` names them in errors ("streams")."""

    what: str
    each: int
    total: int
    taken: Counter[str] = field(default_factory=Counter)
    _open: int = 0

    @contextmanager
    def taken_by(self, tenant_id: str) -> Iterator[None]:
        """Have a place for the time of the block. Raises `TooManyOpen` (its own) or `Overloaded` (the process's)."""
        if self.taken[tenant_id] >= self.each:
            raise TooManyOpen(f"tenant {tenant_id} has {self.each} {self.what} open here already; close some first")
        if len(self) >= self.total:
            raise Overloaded(f"too many {self.what} are open")
        self.taken[tenant_id] += 1
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1
            self.taken[tenant_id] -= 1
            if not self.taken[tenant_id]:
                del self.taken[tenant_id]

    def __len__(self) -> int:
        return self._open
