"""Runs one Loop: when to decide, what to propose, what to look at again. A core: the shell in
manager/loops.py feeds it events, outcomes and the time, and carries out what it answers.
"""

from collections.abc import Iterable, Sequence

from api.errors import SwarmError
from manager.decision import Loop
from manager.state.changes import Batch, Event
from manager.state.store import View

MAX_DEBOUNCE = 0.1
"""Seconds after which a steady stream of events no longer delays a decision."""
MAX_BATCHES = 500
"""Batches in one proposal, so that one entry of the log stays well under a megabyte."""
RETRY_DELAY = 0.5
"""Seconds to wait after a proposal that failed as a whole."""


class Runner:
    """The state of one loop between its steps. Times are wall seconds, as for the loop itself."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._dirty_since: float | None = None
        self._last_event = 0.0
        self._wake_at: float | None = None
        self._backlog: list[Batch] = []

    @property
    def name(self) -> str:
        """The loop's name."""
        return self._loop.name

    def reset(self, view: View, now: float) -> None:
        """Takes everything as unseen."""
        self._loop.reset(view)
        self._backlog.clear()
        self._wake_at = now
        self._dirty_since = None

    def observe(self, events: Iterable[Event], now: float) -> None:
        """Takes note of what was applied."""
        wanted = False
        for event in events:
            wanted |= self._loop.observe(event)
        if wanted:
            self._touch(now)

    def due(self) -> float | None:
        """When to call `step` next; None: only after an event."""
        if self._backlog:
            return 0.0
        moments = [] if self._wake_at is None else [self._wake_at]
        if self._dirty_since is not None:
            quiet = self._last_event + self._loop.debounce
            moments.append(min(quiet, self._dirty_since + MAX_DEBOUNCE))
        return min(moments, default=None)

    def step(self, view: View, now: float) -> Sequence[Batch]:
        """What to propose now; nothing while nothing is due."""
        due = self.due()
        if not self._backlog and due is not None and due <= now:
            self._dirty_since = None
            decision = self._loop.decide(view, now)
            self._wake_at = now if decision.more else decision.wake_at
            self._backlog = decision.batches
        proposal, self._backlog = self._backlog[:MAX_BATCHES], self._backlog[MAX_BATCHES:]
        return proposal

    def settled(
        self, proposal: Sequence[Batch], results: Iterable[SwarmError | None], now: float
    ) -> None:
        """Hears what became of a proposal; batches that were refused are decided anew."""
        for each, refusal in zip(proposal, results, strict=True):
            if refusal is not None:
                self._loop.refused(each)
                self._touch(now)

    def failed(self, view: View, now: float) -> None:
        """The whole proposal failed, its outcome is unknown: everything anew, a bit later."""
        self.reset(view, now)
        self._wake_at = now + RETRY_DELAY

    def _touch(self, now: float) -> None:
        self._last_event = now
        if self._dirty_since is None:
            self._dirty_since = now
