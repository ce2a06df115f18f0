"""A run's life, computed from the clock: nothing ticks. Pure, but for the clock passed in."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, Literal

from simulator.faults import Directives

MAX_TASKS: Final = 50_000
"""Most runs remembered. The oldest that has ended leaves first; if all still go, the oldest."""

MAX_REQUEST_BYTES: Final = 67_108_864
"""Most bytes of request that all remembered runs may have had together."""

End = Literal["completed", "failed"]


def rfc3339(at_s: float) -> str:
    """A time as WaveSpeed writes it."""
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(slots=True, kw_only=True)
class Task:
    """One run. Times are unix seconds, the price dollars; `request_bytes` is what remembering it costs."""

    id: str
    model: str
    inputs: dict[str, Any]
    created_at_s: float
    duration_s: float
    asked: Directives
    webhook: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    query: str = ""
    price: Decimal = Decimal(0)
    base64: bool = False
    extension: str = "mp4"
    request_bytes: int = 0
    reads: int = 0
    ended_early: tuple[float, End] | None = None
    deleted: bool = False

    def end_s(self) -> float:
        """When it ends; never, for a stuck one."""
        if self.ended_early:
            return self.ended_early[0]
        return float("inf") if "stuck" in self.asked.flags else self.created_at_s + self.duration_s

    def ended(self, now_s: float) -> bool:
        """Whether it has ended."""
        return now_s >= self.end_s()

    def status(self, now_s: float) -> str:
        """Its status at a time; some runs go backwards or use words nobody knows."""
        if self.ended(now_s):
            if self.ended_early:
                return self.ended_early[1]
            return "failed" if self.asked.flags & {"fail", "nsfw"} else "completed"
        share = (now_s - self.created_at_s) / self.duration_s if self.duration_s else 0.0
        if "unknown-status" in self.asked.flags and share >= 0.3:
            return "queued_by_magic"
        if "backwards" in self.asked.flags and 0.4 <= share < 0.7:
            return "created"
        return "processing" if share >= 0.1 else "created"

    def output_name(self) -> str:
        """The file name of its output."""
        return f"{self.id}.{self.extension}"

    def view(self, base_url: str, now_s: float, encoded: str = "") -> dict[str, Any]:
        """The run as answers show it. `encoded` takes the place of the URL where base64 was asked for."""
        status = self.status(now_s)
        ended = self.ended(now_s)
        nsfw = "nsfw" in self.asked.flags and status == "failed"
        outputs = [encoded if self.base64 else f"{base_url}/outputs/{self.output_name()}"]
        error = ""
        if status == "failed":
            error = "content flagged as potentially sensitive" if nsfw else "model execution failed"
        elapsed_ms = int((self.end_s() - self.created_at_s) * 1000) if ended else 0
        return {
            "id": self.id,
            "model": self.model,
            "outputs": outputs if status == "completed" and "empty-outputs" not in self.asked.flags else [],
            "urls": {"get": f"{base_url}/api/v3/predictions/{self.id}/result"},
            "has_nsfw_contents": [nsfw] if ended else [],
            "status": status,
            "created_at": rfc3339(self.created_at_s),
            "error": error,
            "executionTime": elapsed_ms,
            "timings": {"inference": elapsed_ms},
            **({"code": 1200 if nsfw else 1403} if status == "failed" else {}),
        }


class Tasks:
    """Every run, by id. The same seed and the same order of submissions give the same ids and durations."""

    def __init__(
        self,
        seed: int,
        clock: Callable[[], float],
        max_tasks: int = MAX_TASKS,
        max_request_bytes: int = MAX_REQUEST_BYTES,
    ) -> None:
        self._seed = seed
        self._clock = clock
        self._max_tasks = max_tasks
        self._max_request_bytes = max_request_bytes
        self._tasks: OrderedDict[str, Task] = OrderedDict()
        self._going: dict[str, Task] = {}
        self._request_bytes = 0
        self.accepted = 0

    def accept(self, model: str, inputs: dict[str, Any], usual_s: float, asked: Directives, **facts: Any) -> Task:
        """Start a run that takes `usual_s` seconds, give or take a tenth, unless its prompt asks for another time."""
        digest = hashlib.sha256(f"{self._seed}:{self.accepted}".encode()).digest()
        self.accepted += 1
        spread = 0.9 + 0.2 * digest[16] / 255
        task = Task(
            id=digest[:16].hex(),
            model=model,
            inputs=inputs,
            created_at_s=self._clock(),
            duration_s=usual_s * spread if asked.duration_s is None else asked.duration_s,
            asked=asked,
            **facts,
        )
        self._tasks[task.id] = task
        self._going[task.id] = task
        self._request_bytes += task.request_bytes
        while len(self._tasks) > 1 and (
            len(self._tasks) > self._max_tasks or self._request_bytes > self._max_request_bytes
        ):
            self._forget_one()
        return task

    def _forget_one(self) -> None:
        """Forget the oldest run that has ended; if all still go, the oldest."""
        self._drop_ended()
        oldest = next((task_id for task_id in self._tasks if task_id not in self._going), next(iter(self._tasks)))
        self._request_bytes -= self._tasks.pop(oldest).request_bytes
        self._going.pop(oldest, None)

    def get(self, task_id: str) -> Task | None:
        """One run, unless it was deleted."""
        task = self._tasks.get(task_id)
        return None if task is None or task.deleted else task

    def __iter__(self) -> Iterator[Task]:
        """Every run that was not deleted, newest first."""
        return (task for task in reversed(self._tasks.values()) if not task.deleted)

    def everything(self) -> list[Task]:
        """Every run, deleted ones too, oldest first."""
        return list(self._tasks.values())

    def running(self) -> int:
        """How many have not ended. Deleting a run does not stop it."""
        self._drop_ended()
        return len(self._going)

    def _drop_ended(self) -> None:
        """Look only at what still went when last looked at: submissions ask this each time."""
        now_s = self._clock()
        for task_id in [task_id for task_id, task in self._going.items() if task.ended(now_s)]:
            del self._going[task_id]
