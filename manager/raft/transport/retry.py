"""How long to wait before the next try to reach a member. Pure."""

from api.errors import Code
from manager.raft.core.config import Chance

FIRST = 0.1
LONGEST = 2.0
"""Seconds. The longest is an election timeout: a member that is back is found within one."""
SLOW = (5.0, 10.0)
"""Seconds between tries where a member refuses: only its operator can change that."""
REFUSALS = frozenset({Code.REFUSED, Code.DENIED, Code.UNAUTHENTICATED})
_GRAIN = 1000
"""Chance is taken in thousandths of the delay."""


class Retry:
    """Delays that double from FIRST to LONGEST seconds, each cut to its half at most."""

    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        self._next = FIRST

    def delay(self, code: Code, lasted: float, *, opened: bool) -> float:
        """Seconds from the end of a try to the next.

        `lasted` is what the try took, in seconds, and counts as waiting. After a link that was open
        for long the first try follows at once; one that breaks again and again is tried less often.
        """
        if opened and lasted >= LONGEST:
            self._next = FIRST
        if code in REFUSALS:
            return self._between(*SLOW)
        longest, self._next = self._next, min(LONGEST, 2 * self._next)
        return max(0.0, self._between(longest / 2, longest) - lasted)

    def _between(self, low: float, high: float) -> float:
        return low + (high - low) * self._chance.randrange(0, _GRAIN) / _GRAIN
