"""When to look at a running prediction next. Pure: elapsed time and a random number come in, a delay comes out."""

from dataclasses import dataclass

GROWTH = 0.15
"""The step between looks grows with the age of the run: at 200 s a look every 30 s is as prompt as 5 s is at 33 s."""

JITTER = 0.2
"""Looks are spread over up to 20 % more than their delay, so that predictions started together do not stay together;
never over less, since a model's shortest step is a promise to the upstream."""

MAX_BACKOFF_STEPS = 12
"""Longest wait after failed looks, in steps of the profile: a minute for the usual 5 s."""

MAX_RETRY_AFTER_S = 300.0
"""An upstream that asks for more patience than this is asked again anyway."""


SAFETY_NET = 3.0
"""Where the upstream calls back, looks come this many times later: only for callbacks that got lost."""


@dataclass(frozen=True, slots=True)
class PollProfile:
    """How a model's runs usually go; all in seconds."""

    usual_s: float
    step_s: float
    max_step_s: float
    deadline_s: float

    def scaled(self, factor: float) -> "PollProfile":
        """The same profile with every time multiplied: faster for tests and demos."""
        return PollProfile(
            self.usual_s * factor, self.step_s * factor, self.max_step_s * factor, self.deadline_s * factor
        )

    def as_safety_net(self) -> "PollProfile":
        """The same profile for runs whose end the upstream announces; the deadline stays."""
        usual_s = min(self.usual_s * SAFETY_NET, self.deadline_s)
        step_s = self.max_step_s * SAFETY_NET
        return PollProfile(usual_s, step_s, step_s, self.deadline_s)


@dataclass(frozen=True, slots=True)
class Running:
    """What a look has to know of a prediction that is `processing`, as long as it learns nothing new."""

    upstream_id: str
    model: str
    started_at_ms: int
    poll_failures: int


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the upstream is waited for where no model's profile says so; all in seconds.

    give_up_s     from admission, until a submission nobody confirms is declared failed
    close_s       from the end, until a canceled or expired prediction counts as paid
    close_step_s  longest time between looks at one of those, or at an unconfirmed one
    unseen_s      past the deadline, until one expires whose upstream gives no verdict: it may have finished, and be
                  paid for, so an outage must not end it
    overdue_s     past the deadline, until a prediction that did not move counts as stuck
    """

    give_up_s: float = 1_800.0
    close_s: float = 86_400.0
    close_step_s: float = 3_600.0
    unseen_s: float = 86_400.0
    overdue_s: float = 300.0

    def scaled(self, factor: float, least_give_up_s: float) -> "Patience":
        """The same patience with every time multiplied; a submission is not given up within `least_give_up_s`."""
        return Patience(
            max(self.give_up_s * factor, least_give_up_s),
            self.close_s * factor,
            self.close_step_s * factor,
            self.unseen_s * factor,
            self.overdue_s * factor,
        )


def _jittered(delay_s: float, roll: float) -> float:
    """Spread a delay; `roll` is a random number in [0, 1)."""
    return delay_s * (1 + JITTER * roll)


def first_look_s(profile: PollProfile, roll: float) -> float:
    """Seconds from the start of a run to the first look at it."""
    return _jittered(profile.usual_s, roll)


def next_look_s(profile: PollProfile, elapsed_s: float, roll: float) -> float:
    """Seconds to the next look at a run that has been going for `elapsed_s`."""
    step_s = min(profile.max_step_s, max(profile.step_s, elapsed_s * GROWTH))
    return _jittered(step_s, roll)


def after_failure_s(profile: PollProfile, failures: int, retry_after_s: float | None, roll: float) -> float:
    """Seconds to the next look after `failures` (≥ 1) looks in a row that gave no verdict."""
    backoff_s = profile.step_s * min(MAX_BACKOFF_STEPS, 2 ** min(failures - 1, 10))
    wished_s = min(retry_after_s or 0.0, MAX_RETRY_AFTER_S)
    return _jittered(max(backoff_s, wished_s), roll)


def next_rare_look_s(profile: PollProfile, patience: Patience, since_s: float, roll: float) -> float:
    """Seconds to the next look at what is in no hurry: the unconfirmed, and what ended `since_s` ago for its tenant."""
    return _jittered(min(patience.close_step_s, max(profile.max_step_s, since_s * GROWTH)), roll)
