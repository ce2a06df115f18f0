"""Who was served, held against who should have been."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal, NamedTuple

from tests.simulation.fluid import Fluid, jain

STRETCHES: Final = (1_000, 2_500, 6_000)
"""Lengths, in starts, of the stretches into which a busy window is cut."""

LEAST_SHARE: Final = 10.0
"""A tenant's share of a stretch from which on it counts alone: submissions cannot be halved, so what is served differs
from a share by a submission or two, which is a tenth of ten. Those with less count as one, together; of each of them
the lag is held to its bound."""


What = Literal["join", "start", "leave"]
"""A submission joins the queue, is taken out to be sent, or is canceled in it."""


class Moment(NamedTuple):
    """Something happens in a queue to a tenant's submission."""

    what: What
    tenant: str


@dataclass
class Verdict:
    """What became of a day: how many busy windows and stretches, the worst of Jain's indices, and the worst lags.

    A lag is how many submissions a tenant is behind or ahead of its fluid share, less what `Fluid.slack` allows it.
    """

    windows: int = 0
    stretches: int = 0
    worst_jain: float = 1.0
    worst_behind: float = 0.0
    worst_ahead: float = 0.0


def busy_windows(log: list[Moment]) -> Iterator[list[Moment]]:
    """Cut a log into the maximal stretches of time in which somebody waits."""
    waiting = 0
    window: list[Moment] = []
    for moment in log:
        waiting += 1 if moment.what == "join" else -1
        window.append(moment)
        if not waiting:
            yield window
            window = []
    assert not window, "at the end nobody waits"


def judge(log: list[Moment], weights: Mapping[str, int]) -> Verdict:
    """Hold a log against the fluid reference: over its busy windows whole, and cut into stretches of many lengths.

    At the end of a busy window everybody has been served all they wanted, whatever the order was. So what is judged is
    every stretch of it: from those who wait at its beginning, with all that comes meanwhile.
    """
    verdict = Verdict()
    for window in busy_windows(log):
        verdict.windows += 1
        _judge_lags(window, weights, verdict)
        for length in STRETCHES:
            _judge_stretches(window, length, weights, verdict)
    return verdict


def _judge_lags(window: list[Moment], weights: Mapping[str, int], verdict: Verdict) -> None:
    """The lag of whoever joins or is served, at every moment of a window."""
    fluid, served = Fluid(weights, {}), Counter[str]()
    for moment in window:
        if moment.what == "start":
            served[moment.tenant] += 1
        _pour(fluid, moment)
        ahead = served[moment.tenant] - fluid.served(moment.tenant)
        allowed = 1 + weights[moment.tenant] * fluid.slack
        verdict.worst_behind = max(verdict.worst_behind, -ahead - allowed)
        verdict.worst_ahead = max(verdict.worst_ahead, ahead - allowed)


def _judge_stretches(window: list[Moment], length: int, weights: Mapping[str, int], verdict: Verdict) -> None:
    """Jain's index of what was served by what should have been, in every stretch of so many starts."""
    starts = [at for at, moment in enumerate(window) if moment.what == "start"]
    waiting = Counter[str]()
    for first, last in pairwise([0, *(at + 1 for at in starts[length - 1 :: length])]):
        fluid, served = Fluid(weights, waiting), Counter[str]()
        for moment in window[first:last]:
            _pour(fluid, moment)
            waiting[moment.tenant] += 1 if moment.what == "join" else -1
            served[moment.tenant] += moment.what == "start"
        shares = {tenant: fluid.served(tenant) for tenant in weights}
        small = [tenant for tenant, share in shares.items() if share < LEAST_SHARE]
        ratios = [served[tenant] / share for tenant, share in shares.items() if share >= LEAST_SHARE]
        together = sum(shares[tenant] for tenant in small)
        if together >= LEAST_SHARE:
            ratios.append(sum(served[tenant] for tenant in small) / together)
        verdict.stretches += 1
        verdict.worst_jain = min(verdict.worst_jain, jain(ratios))


def _pour(fluid: Fluid, moment: Moment) -> None:
    """Let the reference live through the same moment."""
    match moment.what:
        case "join":
            fluid.come(moment.tenant)
        case "start":
            fluid.serve()
        case "leave":
            fluid.leave(moment.tenant)
