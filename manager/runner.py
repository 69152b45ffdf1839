"""Runs one Loop: when to decide, what to propose, what to look at again. A core: the shell in
manager/loops.py feeds it events, outcomes and the time, and carries out what it answers.
"""

from collections.abc import Iterable, Sequence

from api.errors import SwarmError
from manager.decision import Loop
from manager.state.changes import Batch, Event, proposals
from manager.state.store import View

MAX_DEBOUNCE = 0.1
"""Seconds after which a steady stream of events no longer delays a decision."""
RETRY_DELAY = 0.5
LONGEST_DELAY = 30.0
"""Seconds to wait after a failure: twice as long after each in a row, whatever happens meanwhile.
"""


class Runner:
    """The state of one loop between its steps. Times are seconds of a SwarmClock, as for the loop.

    Such a clock is set back only after it was wholly wrong: then nothing is due when it was said to
    be, and all is looked at anew.
    """

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._dirty_since: float | None = None
        self._last_event = 0.0
        self._latest = 0.0
        self._wake_at: float | None = None
        self._backlog: list[Batch] = []
        self._held_until = 0.0
        self._delay = RETRY_DELAY
        self._anew = False
        self._complaint = ""

    @property
    def name(self) -> str:
        """The loop's name."""
        return self._loop.name

    @property
    def complaint(self) -> str:
        """What has failed and was not made good since, in a sentence; empty if nothing is wrong."""
        return self._complaint

    def reset(self, now: float) -> None:
        """Takes everything as unseen, from the next step on."""
        self._anew = True
        self._backlog = []
        self._wake_at = now
        self._dirty_since = None

    def observe(self, events: Iterable[Event], now: float) -> None:
        """Takes note of what was applied."""
        if self._anew:
            return  # the reset that comes reads it from the state itself
        wanted = False
        for event in events:
            wanted |= self._loop.observe(event)
        if wanted:
            self._touch(now)

    def due(self) -> float | None:
        """When to call `step` next; None: only after an event."""
        if self._backlog:
            return self._held_until
        moments = [] if self._wake_at is None else [self._wake_at]
        if self._dirty_since is not None:
            quiet = self._last_event + self._loop.debounce
            moments.append(min(quiet, self._dirty_since + MAX_DEBOUNCE))
        return max(self._held_until, min(moments)) if moments else None

    def step(self, view: View, now: float) -> Sequence[Batch]:
        """What to propose now; nothing while nothing is due. Raises what the loop raises."""
        if now < self._latest:
            self.reset(now)
            self._held_until = now
        self._latest = now
        due = self.due()
        if not self._backlog and due is not None and due <= now:
            if self._anew:
                self._loop.reset(view)
                self._anew = False
            self._dirty_since = None
            decision = self._loop.decide(view, now)
            self._wake_at = now if decision.more else decision.wake_at
            self._backlog = decision.batches
            if not self._backlog:
                self._recovered()
        proposal: list[Batch] = next(proposals(self._backlog), [])
        self._backlog = self._backlog[len(proposal) :]
        return proposal

    def settled(
        self, proposal: Sequence[Batch], results: Iterable[SwarmError | None], now: float
    ) -> None:
        """Hears what became of a proposal; batches that were refused are decided anew."""
        for each, refusal in zip(proposal, results, strict=True):
            if refusal is not None:
                self._loop.refused(each)
                self._touch(now)
        self._recovered()

    def failed(self, why: str, now: float) -> None:
        """A step or its whole proposal failed, its outcome is unknown: everything anew, later."""
        self.reset(now)
        self._complaint = f"{self.name} failed: {why}"
        self._held_until = now + self._delay
        self._delay = min(LONGEST_DELAY, 2 * self._delay)

    def _recovered(self) -> None:
        self._complaint = ""
        self._delay = RETRY_DELAY

    def _touch(self, now: float) -> None:
        self._last_event = now
        if self._dirty_since is None:
            self._dirty_since = now
