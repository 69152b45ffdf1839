"""The one shape of everything that a manager decides by itself: observe, decide, propose, again.

A Loop is a core: it holds only what it has yet to look at, and no clock, socket or task. The runner
in manager/loops.py feeds it and proposes what it decides.
"""

from dataclasses import dataclass, field
from typing import Protocol

from manager.state.changes import Batch, Event, StoredObject
from manager.state.store import View


@dataclass(frozen=True, slots=True)
class Decision:
    """Batches to propose, and the wall time at which to decide again even if nothing happens.

    `more` says that the loop stopped early to keep its step short: decide again at once.
    """

    batches: list[Batch] = field(default_factory=list)
    wake_at: float | None = None
    more: bool = False


class Loop(Protocol):
    """One of the manager's standing duties."""

    name: str
    debounce: float
    """Seconds to wait for further events before deciding; the runner caps the sum."""

    @property
    def kinds(self) -> tuple[type[StoredObject], ...]:
        """Of objects that `observe` is told of; nothing else wakes the loop."""

    def reset(self, view: View) -> None:
        """Forgets everything and takes the whole state as unseen: a new leader, or a resync."""

    def observe(self, event: Event) -> bool:
        """Takes note of what the event makes worth a look; says whether to decide."""

    def decide(self, view: View, now: float) -> Decision:
        """What to change. `now`: SwarmClock, seconds since the epoch. At most 20 ms of work."""

    def refused(self, batch: Batch) -> None:
        """A proposed batch did not apply: what it was about is to be looked at again."""
