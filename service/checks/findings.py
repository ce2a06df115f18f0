"""What a check found, and what all of them together come to."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from service.checks.promises import PROMISES, Level


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. `check` is the name of what was found, or of what was looked at and is fine."""

    level: Level
    check: str
    found: str
    remedy: str = ""


def fine(check: str, found: str) -> Finding:
    """Something is as it should be."""
    return Finding(Level.OK, check, found)


def unseen(check: str, why: str) -> Finding:
    """Something could not be looked at, because of what another finding tells."""
    return Finding(Level.NOTE, check, f"not looked at: {why}")


def promised(name: str, seen: str = "") -> Finding:
    """One of the promised findings; `seen` says what exactly was seen, and never repeats a secret."""
    promise = PROMISES[name]
    return Finding(promise.level, name, f"{seen}: {promise.means}" if seen else promise.means, promise.remedy)


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that was found, in order."""

    findings: Sequence[Finding]

    def count(self, level: Level) -> int:
        """How many findings are of a level."""
        return Counter(finding.level for finding in self.findings)[level]

    def passes(self, *, strict: bool) -> bool:
        """Whether nothing must be mended; `strict` counts warnings as well."""
        return not self.count(Level.PROBLEM) and not (strict and self.count(Level.WARNING))

    def shown(self, *, strict: bool) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "ok": self.passes(strict=strict),
            "problems": self.count(Level.PROBLEM),
            "warnings": self.count(Level.WARNING),
            "findings": [
                {"level": one.level, "check": one.check, "found": one.found, "remedy": one.remedy}
                for one in self.findings
            ],
        }
