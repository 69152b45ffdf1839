"""How long to wait before the next try: longer each time, and never in step with others. Pure."""

from typing import Protocol

FIRST = 0.1
LONGEST = 8.0
"""Seconds; SwarmKit's agent (agent/agent.go)."""
_GRAIN = 1000
"""Chance is taken in thousandths of the delay."""


class Chance(Protocol):
    """Where randomness comes from; random.Random is one."""

    def randrange(self, stop: int, /) -> int:
        """A number from 0 to `stop` - 1."""


class Backoff:
    """Delays that double from `first` to `longest` seconds, each cut to its half at most."""

    def __init__(self, chance: Chance, *, first: float = FIRST, longest: float = LONGEST) -> None:
        self._chance = chance
        self._first = first
        self._longest = longest
        self._next = first

    def next(self) -> float:
        """Seconds to wait now; the following wait is about twice as long."""
        delay = self._next
        self._next = min(self._longest, 2 * delay)
        return delay / 2 + delay / 2 * self._chance.randrange(_GRAIN) / _GRAIN

    def reset(self) -> None:
        """After a success: the next wait is a first one again."""
        self._next = self._first
