"""The ideal of fairness: capacity that flows to all who wait at once, each by its weight."""

from collections.abc import Iterable, Mapping
from heapq import heapify, heappop, heappush


class Fluid:
    """Generalised processor sharing: weighted max-min shares of every bit of service, by water filling.

    A flow that is served for one unit of `level` gets as many units of service as its weight. Each flow is filled up
    to `full`, the level at which nothing of it would wait any more.
    """

    def __init__(self, weights: Mapping[str, int], waiting: Mapping[str, int]) -> None:
        self._weights = weights
        self._level = 0.0
        self._came = {flow: count for flow, count in waiting.items() if count}
        self._full = {flow: count / weights[flow] for flow, count in self._came.items()}
        self._order = [(full, flow) for flow, full in self._full.items()]
        heapify(self._order)
        self._active = sum(weights[flow] for flow in self._full)

    def come(self, flow: str) -> None:
        """One more submission waits."""
        if flow not in self._full:
            self._full[flow] = self._level
            self._active += self._weights[flow]
        self._came[flow] = self._came.get(flow, 0) + 1
        self._fill(flow, 1)

    def leave(self, flow: str) -> None:
        """One that waited is canceled; what of it was served is lost."""
        if flow in self._full:
            self._came[flow] -= 1
            self._fill(flow, -1)

    def _fill(self, flow: str, count: int) -> None:
        self._full[flow] += count / self._weights[flow]
        heappush(self._order, (self._full[flow], flow))

    def serve(self) -> None:
        """Capacity for one submission flows."""
        left = 1.0
        while self._order and left > 0:
            full, flow = self._order[0]
            if self._full.get(flow) != full:  # it has grown since
                heappop(self._order)
                continue
            until_full = max(0.0, full - self._level) * self._active
            if until_full > left:
                self._level += left / self._active
                return
            left -= until_full
            self._level = max(self._level, full)
            heappop(self._order)
            del self._full[flow]
            self._active -= self._weights[flow]

    def served(self, flow: str) -> float:
        """How much a flow has got."""
        waiting = max(0.0, self._full[flow] - self._level) * self._weights[flow] if flow in self._full else 0.0
        return self._came.get(flow, 0) - waiting

    @property
    def slack(self) -> float:
        """The mean of what one submission weighs, over the flows that wait: how much a turn may move the level."""
        return len(self._full) / self._active if self._full else 0.0


def jain(values: Iterable[float]) -> float:
    """Jain's index of fairness: 1 when all are equal, 1/n when one has everything."""
    numbers = list(values)
    squares = sum(number * number for number in numbers)
    return sum(numbers) ** 2 / (len(numbers) * squares) if squares else 1.0
