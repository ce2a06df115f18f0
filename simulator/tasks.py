"""A run's life, computed from the clock: nothing ticks. Pure, but for the clock passed in."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal

from simulator.faults import Directives, Fault

MAX_TASKS: Final = 50_000
"""Most runs remembered; the oldest leave first."""

End = Literal["completed", "failed"]


def rfc3339(at_s: float) -> str:
    """A time as WaveSpeed writes it."""
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(slots=True)
class Task:
    """One run."""

    id: str
    model: str
    inputs: dict[str, Any]
    created_at_s: float
    duration_s: float
    asked: Directives
    webhook: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    query: str = ""
    price: float = 0.0
    base64: bool = False
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

    def next_poll_fault(self) -> Fault | None:
        """The fault the next look at this run gets, if its prompt asked for one."""
        return self.asked.polls.pop(0) if self.asked.polls else None

    def view(self, base_url: str, now_s: float, encoded_clip: str = "") -> dict[str, Any]:
        """The run as answers show it. `encoded_clip` takes the place of URLs where base64 was asked for."""
        status = self.status(now_s)
        done = status == "completed"
        nsfw = "nsfw" in self.asked.flags and self.ended(now_s)
        outputs = [encoded_clip if self.base64 else f"{base_url}/outputs/{self.id}.mp4"]
        error = ""
        if status == "failed":
            error = "content flagged as potentially sensitive" if nsfw else "model execution failed"
        elapsed_ms = int((min(now_s, self.end_s()) - self.created_at_s) * 1000) if self.ended(now_s) else 0
        return {
            "id": self.id,
            "model": self.model,
            "outputs": outputs if done and "empty-outputs" not in self.asked.flags else [],
            "urls": {"get": f"{base_url}/api/v3/predictions/{self.id}/result"},
            "has_nsfw_contents": [nsfw] if self.ended(now_s) else [],
            "status": status,
            "created_at": rfc3339(self.created_at_s),
            "error": error,
            "executionTime": elapsed_ms,
            "timings": {"inference": elapsed_ms},
            **({"code": 1200 if nsfw else 1403} if status == "failed" else {}),
        }


class Tasks:
    """Every run, by id. The same seed and the same order of submissions give the same ids and durations."""

    def __init__(self, seed: int, clock: Callable[[], float]) -> None:
        self._seed = seed
        self._clock = clock
        self._tasks: OrderedDict[str, Task] = OrderedDict()
        self.accepted = 0

    def accept(self, model: str, inputs: dict[str, Any], usual_s: float, asked: Directives, **facts: Any) -> Task:
        """Start a run that takes about `usual_s` seconds."""
        digest = self._digest()
        self.accepted += 1
        spread = 0.9 + 0.2 * digest[16] / 255
        duration_s = usual_s * spread if asked.duration_s is None else asked.duration_s
        task = Task(digest[:16].hex(), model, inputs, self._clock(), duration_s, asked, **facts)
        self._tasks[task.id] = task
        while len(self._tasks) > MAX_TASKS:
            self._tasks.popitem(last=False)
        return task

    def get(self, task_id: str) -> Task | None:
        """One run, unless it was deleted."""
        task = self._tasks.get(task_id)
        return None if task is None or task.deleted else task

    def __iter__(self) -> Iterator[Task]:
        """Every run that was not deleted, newest first."""
        return (task for task in reversed(self._tasks.values()) if not task.deleted)

    def _digest(self) -> bytes:
        """What the next run's id and duration are made of."""
        return hashlib.sha256(f"{self._seed}:{self.accepted}".encode()).digest()

    @property
    def next_id(self) -> str:
        """The id that the next run will have."""
        return self._digest()[:16].hex()

    def everything(self) -> list[Task]:
        """Every run, deleted ones too, oldest first."""
        return list(self._tasks.values())

    def running(self) -> int:
        """How many have not ended."""
        now_s = self._clock()
        return sum(not task.ended(now_s) for task in self._tasks.values())
