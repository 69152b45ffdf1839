"""The time that a swarm's objects are stamped with, and that its loops go by: wall time that is not
set back.

NTP sets clocks back, and the clocks of managers differ. Whoever waits until a stamp is so many
seconds old would wait for as much longer. So where the wall clock shows less than this clock has
shown, or than the manager that led before has stamped, this one goes on from there, slower, until
the wall clock has caught up. Forward it follows at once: nothing waits for what is past.

What was skipped on the way was not waited through, though. Who holds the silence of others against
them counts it from `waited_since`: from when this manager began to lead, or from the last leap, as
of a laptop that slept.

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
LEAP = 10.0
"""Seconds by which the wall clock may be set forward, or gone over, without a leap."""


class SteadyTime:
    """Decides what time it is. Pure."""

    def __init__(self) -> None:
        self._shown = 0.0
        self._read_at: float | None = None
        self._waited_since: float | None = None

    @property
    def waited_since(self) -> float:
        """Since when, by this clock, it has gone as time does; 0 before it is read."""
        return self._waited_since or 0.0

    def wait_anew(self) -> None:
        """Counts as waited only what comes from the next reading on."""
        self._waited_since = None

    def at(self, wall: float, monotonic: float, newest: float) -> float:
        """The time at this moment of both clocks; `newest`: the last stamp in the state, or 0."""
        went = 0.0 if self._read_at is None else max(0.0, monotonic - self._read_at)
        before = (self._shown + went * SLOWER, newest)
        shown = max([wall, *(each for each in before if each <= wall + FURTHEST)])
        went_on = self._shown <= shown <= self._shown + went + LEAP
        if self._waited_since is None or not went_on:
            self._waited_since = shown
        self._shown, self._read_at = shown, monotonic
        return shown


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

    def begin_to_lead(self) -> None:
        """What was before, others have waited through, by clocks of their own."""
        self._time.wait_anew()

    def waited_since(self) -> float:
        """Since when, by this clock, this manager has led without a leap of it."""
        self()
        return self._time.waited_since


def believed(stamp: float, now: float, *, ahead: float = 0.0) -> float:
    """The stamp, or the beginning of time if no clock that goes with `now` can have given it.

    `ahead`: how far it may lie ahead because it was meant to.
    """
    return stamp if stamp <= now + FURTHEST + ahead else 0.0
