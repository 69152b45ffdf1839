"""The tasks of a service by slot: the present one, its successor, and their history.

A slot is a number; of a global service, which has one task on each node, it is the node.
"""

from collections.abc import Iterable

from api import states
from api.v1 import objects_pb2
from manager.orchestrator.tasks import Fate, Fates, was_placed
from manager.state.indexes import SlotKey, slot_key


class Slot:
    """One of the service's places. Tasks that are to be removed no longer fill it."""

    __slots__ = ("key", "removing", "tasks")

    def __init__(self, key: SlotKey) -> None:
        self.key = key
        self.tasks: list[objects_pb2.Task] = []  # oldest first
        self.removing: list[objects_pb2.Task] = []  # desired REMOVE

    @property
    def number(self) -> int:
        """The slot's number; 0 if it is a node."""
        return self.key if isinstance(self.key, int) else 0

    @property
    def node_id(self) -> str:
        """The node that the slot is; "" if it is a number."""
        return self.key if isinstance(self.key, str) else ""

    @property
    def newest(self) -> objects_pb2.Task:
        """The task that was made last."""
        return self.tasks[-1]

    @property
    def wanted(self) -> list[objects_pb2.Task]:
        """The tasks that are meant to run, oldest first; two while an update starts first."""
        return [task for task in self.tasks if states.is_wanted(task)]

    @property
    def is_filled(self) -> bool:
        """Whether the slot counts: it has a task, if only one that ended for good."""
        return bool(self.tasks)

    @property
    def is_running(self) -> bool:
        """Whether a task that is meant to run does run."""
        return any(t.status.state == states.RUNNING for t in self.tasks if states.is_wanted(t))

    def stopping(self, fates: Fates) -> list[objects_pb2.Task]:
        """The tasks that were told to stop, and may still be running."""
        return [
            task
            for task in (*self.tasks, *self.removing)
            if not states.is_wanted(task) and may_be_running(task, fates)
        ]


def may_be_running(task: objects_pb2.Task, fates: Fates) -> bool:
    """Whether an agent that we can reach has, or may have, the task's container."""
    return was_placed(task) and not states.is_terminal(task) and fates.of(task) is not Fate.LOST


def slots_of(tasks: Iterable[objects_pb2.Task]) -> dict[SlotKey, Slot]:
    """The slots that have any task; `tasks` come oldest first."""
    slots: dict[SlotKey, Slot] = {}
    for task in tasks:
        put(slots, task)
    return slots


def put(slots: dict[SlotKey, Slot], task: objects_pb2.Task) -> Slot:
    """Adds a task, newer than all there are, to its slot."""
    key = slot_key(task)
    slot = slots.get(key)
    if slot is None:
        slot = slots[key] = Slot(key)
    (slot.removing if task.desired_state == states.REMOVE else slot.tasks).append(task)
    return slot
