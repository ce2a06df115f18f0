"""Set the gauges of what Redis holds and how it is set."""

from dataclasses import dataclass

from service.metrics import Metrics
from service.stores.holdings import Holdings


@dataclass(frozen=True, slots=True)
class MeasureStore:
    """The use case of the worker's crons. Raises `StoreUnavailable`."""

    holdings: Holdings
    metrics: Metrics

    async def __call__(self) -> None:
        """What is cheap to know, for every sweep: how Redis is set, and the dead letters."""
        setting = await self.holdings.setting()
        self.metrics.redis_append_only.set(setting.append_only)
        self.metrics.redis_noeviction.set(setting.noeviction)
        self.metrics.redis_memory_used.set(setting.memory_used)
        self.metrics.dead_letters.set(await self.holdings.dead_letters())

    async def endpoints(self) -> None:
        """What takes a look at every tenant, for once a minute: endpoints by state."""
        enabled, disabled = await self.holdings.endpoints()
        self.metrics.endpoints.labels("enabled").set(enabled)
        self.metrics.endpoints.labels("disabled").set(disabled)
