"""The core's logical clock, made out of a monotonic one. Pure.

After a pause only a few of the missed ticks are handed in: a process that was stopped, or a loop
that was held up, has heard from nobody meanwhile, and must not campaign for that alone.
"""

TICK = 0.1
"""Seconds between two ticks."""
MOST_AT_ONCE = 3


class Ticker:
    """Counts the ticks since `now`, seconds of a monotonic clock."""

    def __init__(self, now: float) -> None:
        self._last = now

    def until_next(self, now: float) -> float:
        """Seconds until the next tick is due; 0 if it is."""
        return max(0.0, self._last + TICK - now)

    def due(self, now: float) -> int:
        """Ticks to hand in now."""
        missed = int((now - self._last) / TICK + _ROUNDING)
        if missed > MOST_AT_ONCE:
            self._last = now
            return MOST_AT_ONCE
        self._last += missed * TICK
        return missed


_ROUNDING = 1e-6
"""Of a tick: sums of floating-point seconds fall short of what they stand for."""
