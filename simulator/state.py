"""Everything one simulator remembers, built once and shared by its routes."""

import hashlib
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from simulator.account import Account
from simulator.faults import ArmedFaults
from simulator.tasks import Task, Tasks
from simulator.webhooks import Webhooks


@dataclass(frozen=True, slots=True)
class Options:
    """How a simulator behaves; times in seconds, money in dollars. `per_minute` and `concurrent` replace the tier's."""

    seed: int = 7
    keys: tuple[str, ...] = ("sim-key",)
    video_s: float = 6.0
    image_s: float = 2.0
    tier: str = "ultra"
    balance: float = 1000.0
    per_minute: int | None = None
    concurrent: int | None = None


@dataclass(slots=True)
class State:
    """The simulator's memory. `clock` gives unix seconds."""

    options: Options
    clock: Callable[[], float]
    account: Account = field(init=False)
    tasks: Tasks = field(init=False)
    faults: ArmedFaults = field(init=False)
    webhooks: Webhooks = field(init=False)
    clip: bytes = field(init=False)
    rotations: int = 0

    def __post_init__(self) -> None:
        self.clip = (files("simulator") / "assets" / "clip.mp4").read_bytes()
        self.webhooks = Webhooks(self._secret(0), self.clock)
        self.reset()

    def reset(self) -> None:
        """Begin anew, as if just started."""
        options = self.options
        self.account = Account(
            options.keys, options.tier, options.balance, self.clock, options.per_minute, options.concurrent
        )
        self.tasks = Tasks(options.seed, self.clock)
        self.faults = ArmedFaults()
        self.rotations = 0
        self.webhooks.secret = self._secret(0)

    def rotate_secret(self) -> None:
        """Have another webhook secret: as many as one likes, each known from the seed."""
        self.rotations += 1
        self.webhooks.secret = self._secret(self.rotations)

    def _secret(self, rotations: int) -> str:
        """The webhook secret after so many rotations."""
        digest = hashlib.sha256(f"webhooks {self.options.seed} {rotations or ''}".rstrip().encode()).digest()
        return "whsec_" + b64encode(digest[:24]).decode()

    def view(self, task: Task, base_url: str) -> dict[str, Any]:
        """A run as answers show it now."""
        clip = b64encode(self.clip).decode() if task.base64 else ""
        return task.view(base_url, self.clock(), clip)
