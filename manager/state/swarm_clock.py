"""The time that a swarm's objects are stamped with, and that its loops go by: wall time that is not
set back.

NTP sets clocks back, and the clocks of managers differ. Whoever waits until a stamp is so many
seconds old would wait for as much longer. So where the wall clock shows less than this clock has
shown, or than the manager that led before has stamped, this one goes on from there, slower, until
the wall clock has caught up. Forward it follows at once: nothing waits for what is past.

Not for the dates of certificates, which others compare with clocks of their own.
"""

from collections.abc import Callable

SLOWER = 7 / 8
"""How fast it goes while it is ahead: an hour is made up for in eight, and delays are nearly as
they are meant to be.
"""
FURTHEST = 86400.0
"""Seconds that it may be ahead, more than a wrong time zone. A clock that was further off was never
right: then it is set back too, the loops look at everything anew, and stamps of that clock count as
old (`believed`).
"""


class SteadyTime:
    """Decides what time it is. Pure."""

    def __init__(self) -> None:
        self._shown = 0.0
        self._read_at: float | None = None

    def at(self, wall: float, monotonic: float, newest: float) -> float:
        """The time at this moment of both clocks; `newest`: the last stamp in the state, or 0."""
        went = 0.0 if self._read_at is None else max(0.0, monotonic - self._read_at)
        before = (self._shown + went * SLOWER, newest)
        self._shown = max([wall, *(each for each in before if each <= wall + FURTHEST)])
        self._read_at = monotonic
        return self._shown


class SwarmClock:
    """Reads the clocks of one manager; `newest` gives the last stamp in its state."""

    def __init__(
        self,
        wall: Callable[[], float],
        monotonic: Callable[[], float],
        newest: Callable[[], float],
    ) -> None:
        self._time = SteadyTime()
        self._wall = wall
        self._monotonic = monotonic
        self._newest = newest

    def __call__(self) -> float:
        """Seconds since the epoch."""
        return self._time.at(self._wall(), self._monotonic(), self._newest())


def believed(stamp: float, now: float, *, ahead: float = 0.0) -> float:
    """The stamp, or the beginning of time if no clock that goes with `now` can have given it.

    `ahead`: how far it may lie ahead because it was meant to.
    """
    return stamp if stamp <= now + FURTHEST + ahead else 0.0
