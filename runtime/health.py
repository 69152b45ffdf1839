"""When a container is probed, and what the probes make of its health. Pure.

Docker's rules (moby, daemon/health.go): an interval lies between the end of a probe and the next
one; failures before the first success do not count during the start period, in which the start
interval holds; so many failures in a row make a container unhealthy. Ours: the first probe comes
at a moment of the container's own, so that containers which were started or adopted together are
not probed together. Runs no probe.
"""

import zlib
from dataclasses import dataclass
from typing import Literal

from runtime.health_check import LONGEST, HealthCheck

Health = Literal["starting", "healthy", "unhealthy"]

SPREAD = 0.1
"""So much of its wait, at most, is the first probe of a started container put off."""
NO_CODE = -1
"""In the place of an exit code: the probe took too long, or could not be run."""


@dataclass(frozen=True)
class ProbeResult:
    """One run of a check: when it began, in seconds since the epoch, and what came of it."""

    at: float
    code: int
    output: str

    @property
    def last_words(self) -> str:
        """The last line of the output, or how it ended if there is none."""
        lines = [line.strip() for line in self.output.splitlines() if line.strip()]
        return lines[-1] if lines else f"exit status {self.code}"


@dataclass(frozen=True)
class Verdict:
    """A change of health: the last probes that led to it, oldest first, and why in words."""

    health: Health
    reason: str
    log: tuple[ProbeResult, ...]


class HealthMachine:
    """The health of one container.

    All times are seconds of one clock that never jumps. `known`: its health so far, where another
    daemon probed it before; `phase`, from 0 to 1, is the container's own.
    """

    def __init__(
        self, check: HealthCheck, *, known: Health, started: float, now: float, phase: float
    ) -> None:
        self._check = check
        self._started = started
        self.health = known
        self.failures = 0
        """In a row."""
        wait = self._wait(now)
        first = started + wait * (1 + SPREAD * phase)
        self.due = first if known == "starting" and first > now else now + wait * phase
        """When the next probe is to begin."""

    def probed(self, *, success: bool, began: float, ended: float) -> None:
        """Takes in a probe."""
        if success:
            self.failures = 0
            self.health = "healthy"
        elif self.health != "starting" or not self._in_start_period(began):
            self.failures += 1
            if self.failures >= self._check.retries:
                self.health = "unhealthy"
        self.due = ended + self._wait(ended)

    def _wait(self, now: float) -> float:
        begins = self.health == "starting" and self._in_start_period(now)
        return self._check.start_interval if begins else self._check.interval

    def _in_start_period(self, now: float) -> bool:
        return now - self._started < self._check.start_period


def unproven_at_most(check: HealthCheck) -> float:
    """Seconds after its start for which a container that is probed without pause is `starting`."""
    wait = max(check.interval, check.start_interval) if check.start_period else check.interval
    first_that_counts = wait * (1 + SPREAD)
    if check.start_period:
        # The last one that does not count begins just before the period ends.
        after = max(check.timeout + check.interval, check.start_interval)
        first_that_counts = max(first_that_counts, check.start_period + after)
    counted = check.retries * check.timeout + (check.retries - 1) * check.interval
    return min(LONGEST, first_that_counts + counted)


def reason(failures: int, last: ProbeResult) -> str:
    """Why a container is unhealthy."""
    probes = "1 probe failed" if failures == 1 else f"{failures} probes failed in a row"
    return f"{probes}: {last.last_words}"


def phase(id: str) -> float:
    """From 0 to 1, the same for a container whichever daemon asks, another one for each."""
    return zlib.crc32(id.encode()) / 2**32
