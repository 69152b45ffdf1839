"""Drains that start first: a task leaves its node only when its successor runs elsewhere.

Where the update config of a service says start-first, draining a node takes no replica away
(moby#34139). At most as many slots as an update would take at once are on the move; a task that
fits nowhere else keeps running where it is, until one does, or the order is changed. Pure.
"""

from api import states
from api.v1 import objects_pb2, specs_pb2
from manager.orchestrator.slots import Slot
from manager.orchestrator.tasks import Fate, Fates, ended_by_itself

_START_FIRST = specs_pb2.UpdateConfig.ORDER_START_FIRST


class Moves:
    """How many slots of a service may still begin to move, in one decision."""

    def __init__(self, service: objects_pb2.Service, fates: Fates) -> None:
        config = service.spec.update
        self.start_first = config.order == _START_FIRST
        self.are_under_way = False
        """Whether any slot that was looked at is on the move, or has to be."""
        self._fates = fates
        parallelism = config.parallelism if config.HasField("parallelism") else 1
        self._free = float(parallelism or "inf")

    def add(self, slot: Slot) -> None:
        """Takes a slot into account that may be on the move already."""
        if self.start_first and self.leaving(slot) is not None:
            self._free -= len(slot.wanted) > 1

    def begin(self) -> bool:
        """Whether one more slot may move; takes its place."""
        if self._free < 1:
            return False
        self._free -= 1
        return True

    def leaving(self, slot: Slot) -> objects_pb2.Task | None:
        """The task that runs until its successor does; None if the slot need not, or may not, wait.

        A successor that ended for good by its restart policy is not waited for: the drain goes on
        as any other.
        """
        if not self.start_first:
            return None
        found = None
        for task in slot.wanted:
            if task.status.state == states.RUNNING:
                if self._fates.of(task) is Fate.STAYS:
                    return None
                if self._fates.of(task) is Fate.LEAVES:
                    found = task
        if found is None or found.spec.restart.condition == specs_pb2.RestartPolicy.CONDITION_NONE:
            return None
        newest = slot.newest
        gave_up = newest.spec_version == found.spec_version and ended_by_itself(newest)
        if gave_up and newest.desired_state > states.RUNNING:
            return None
        self.are_under_way = True
        return found
