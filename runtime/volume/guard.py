"""What the guardian of one mount does at which moment. Pure.

Times are seconds of CLOCK_BOOTTIME. A lease lets the mount stand until a moment; some time before
that, its notice, the guardian begins to let go, so that containers are dead and the mount is gone
while the lease still lasts. At the moment itself the kernel kills the guardian, and with it the
server of the mount, whatever state they are in: that is not decided here, only when.
"""

from dataclasses import dataclass

NOTICE = 0.2
"""Of a term, how much of it is kept for letting go."""
SHORTEST_NOTICE = 1.0
PATIENCE = 10.0
"""Seconds for letting go where no lease ends."""
LAPSED = "its lease ran out"


def notice_of(term: float) -> float:
    """Seconds before the end of a lease at which letting go begins."""
    return max(SHORTEST_NOTICE, NOTICE * term)


@dataclass(frozen=True, slots=True)
class Watch:
    """Everything is in order; look again after so many seconds, or None: when something happens."""

    seconds: float | None


@dataclass(frozen=True, slots=True)
class LetGo:
    """Kill the containers, unmount, say so, end. `seconds`: what there is for it."""

    why: str
    seconds: float


class Guard:
    """One mount. `until`: when its lease ends, None: it has none."""

    def __init__(self, until: float | None, notice: float) -> None:
        self.until = until
        self._notice = notice
        self._over = ""

    def renew(self, until: float, now: float) -> bool:
        """The lease lasts until then, if that is later; False once letting go has begun."""
        if self.until is None or isinstance(self.step(now), LetGo):
            return False
        self.until = max(self.until, until)
        return True

    def lose(self, why: str) -> None:
        """The mount is dead, whatever its lease says."""
        self._over = self._over or why

    def step(self, now: float) -> Watch | LetGo:
        """What to do now. What has begun to be let go stays so."""
        if self.until is None:
            return LetGo(self._over, PATIENCE) if self._over else Watch(None)
        left = self.until - now
        if left <= self._notice:
            self.lose(LAPSED)
        if self._over:
            return LetGo(self._over, max(0.0, left))
        return Watch(left - self._notice)
