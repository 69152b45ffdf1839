"""One decision of the scheduler while it is made: what came of it so far, and how much it may still
do, so that it never holds the event loop for long.
"""

from functools import cached_property

from api import states
from api.times import timestamp
from api.v1 import objects_pb2
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

    @cached_property
    def assigned(self) -> objects_pb2.TaskStatus:
        """The status of every task that it gives a node."""
        return self._status("scheduler assigned task to node")

    @cached_property
    def confirmed(self) -> objects_pb2.TaskStatus:
        """The same, of a task that had its node before."""
        return self._status("scheduler confirmed task can run on preassigned node")

    def _status(self, message: str) -> objects_pb2.TaskStatus:
        return objects_pb2.TaskStatus(state=states.ASSIGNED, at=self.at, message=message)

    def spend(self, units: int) -> None:
        """So much was done."""
        self.left -= units
