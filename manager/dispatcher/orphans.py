"""Tasks whose fate nobody will ever report: their node is gone, or has been down for a day.

They become `orphaned`, which lets the reaper remove them and frees what they hold. Only tasks that
may have moved on since the node was last heard of: an ended one stays as it ended (SwarmKit,
manager/dispatcher/dispatcher.go, moveTasksToOrphaned). One of the manager's loops.
"""

from collections.abc import Iterator

from api.states import ASSIGNED, ORPHANED, RUNNING
from api.times import seconds_of, timestamp
from api.v1 import objects_pb2, types_pb2
from manager.decision import Decision
from manager.state.changes import Batch, Event, batch, copy, update
from manager.state.store import View
from manager.state.swarm_clock import believed

ORPHAN_AFTER = 24 * 3600.0
"""Seconds that a node must be down before its tasks are given up (SwarmKit)."""
MAX_TASKS = 1000
"""Tasks in one decision, so that it stays short."""

Node = objects_pb2.Node
Task = objects_pb2.Task


class OrphansLoop:
    """Fulfils Loop. Times: wall seconds, so that a change of leader starts no new day."""

    name = "orphans"
    kinds = (Node,)
    debounce = 0.05

    def __init__(self) -> None:
        self._gone: set[str] = set()
        self._unseen = True

    def reset(self, view: View) -> None:
        """Takes every task as unseen."""
        self._gone.clear()
        self._unseen = True

    def observe(self, event: Event) -> bool:
        """Wants to look when a node goes down or away."""
        if not isinstance(event.object, Node):
            return False
        if event.new is None:
            self._gone.add(event.object.id)
            return True
        return event.object.status.state == types_pb2.NODE_STATE_DOWN

    def decide(self, view: View, now: float) -> Decision:
        """Orphans what is due, and says when the next node's day is over."""
        if self._unseen:
            self._unseen = False
            self._gone |= {t.node_id for t in view.all(Task) if t.node_id} - {
                node.id for node in view.all(Node)
            }
        decision_batches: list[Batch] = []
        wake_at: float | None = None
        for node_id in sorted(self._gone):
            decision_batches += _orphaned(view, node_id, "its node was removed", now)
            if len(decision_batches) >= MAX_TASKS:
                return Decision(decision_batches, more=True)
        for node in view.all(Node):
            if node.status.state != types_pb2.NODE_STATE_DOWN or not node.status.HasField("since"):
                continue
            due = believed(seconds_of(node.status.since), now) + ORPHAN_AFTER
            if due > now:
                wake_at = due if wake_at is None else min(wake_at, due)
                continue
            decision_batches += _orphaned(view, node.id, "its node is down for too long", now)
            if len(decision_batches) >= MAX_TASKS:
                return Decision(decision_batches, wake_at, more=True)
        self._gone.clear()
        return Decision(decision_batches, wake_at)

    def refused(self, batch: Batch) -> None:
        """A task was changed meanwhile: look at its node again."""
        self._unseen = True


def _orphaned(view: View, node_id: str, message: str, now: float) -> Iterator[Batch]:
    for task in view.tasks_of_node(node_id):
        if ASSIGNED <= task.status.state <= RUNNING:
            changed = copy(task)
            changed.status.state = ORPHANED
            changed.status.message = message
            changed.status.at.CopyFrom(timestamp(now))
            yield batch(update(changed))
