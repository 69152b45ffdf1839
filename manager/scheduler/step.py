"""One decision of the scheduler while it is made: what came of it so far, and how much it may still
do, so that it never holds the event loop for long.
"""

from api.times import timestamp
from manager.scheduler.recorder import Recorder
from manager.state.changes import Batch
from manager.state.store import View

MAX_TASKS = 150
"""Tasks per decision, so that a step stays under 20 ms."""

LOOK = 1
"""Looking at a node, the unit of what is spent: some 3 µs."""
GIVE_UP = 1
LOAD = 8
ASSIGN = 16
EXPLAIN = 16


class Step:
    """`left` units may still be spent; whoever does more than that begins the next step late."""

    def __init__(self, view: View, now: float) -> None:
        self.view = view
        self.now = now
        self.at = timestamp(now)
        self.left = MAX_TASKS * ASSIGN
        self.batches: list[Batch] = []
        self.recorder = Recorder(now)

    def spend(self, units: int) -> None:
        """So much was done."""
        self.left -= units
