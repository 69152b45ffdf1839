"""How long a call that any manager takes may wait for a leader."""

from collections.abc import Callable

from api.serving import Context
from manager.ca.behalf import is_forwarded

DEFAULT_SECONDS = 20.0
"""For a call without a deadline."""
MARGIN = 0.2
"""Seconds before the caller's deadline: it gets our answer, not its own impatience."""


class Patience:
    """The rest of one call's time. `forwarded`: another manager waits already, this one need not.

    Its deadline is all that is taken from the call.
    """

    def __init__(self, context: Context, now: Callable[[], float]) -> None:
        self._now = now
        self.forwarded = is_forwarded(context.invocation_metadata())
        remaining = context.time_remaining()
        self.deadline: float | None = None if remaining is None else float(remaining)
        """Seconds that the whole call had when it came; None: as long as it likes."""
        self._end = now() + (DEFAULT_SECONDS if remaining is None else float(remaining) - MARGIN)

    def left(self) -> float:
        """Seconds, 0 once it is over."""
        return max(0.0, self._end - self._now())
