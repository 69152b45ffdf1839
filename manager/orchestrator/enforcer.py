"""The constraint enforcer: ends tasks on nodes that no longer suit them, so that they move.

When a node's labels, role, address, resources or availability change, each task there is compared
with the constraints it was made with, and what all of them reserve with what the node has. A task
whose node chose a port that meanwhile is every node's goes too, and gets another one. That its
service has other constraints by now is the rolling update's affair, which replaces it in its turn.
Victims are rejected; the orchestrator replaces them. Nodes that take no new tasks are left alone:
paused ones keep what they have, drained and lost ones lose it anyhow. So are nodes that are out of
touch, until they are back. Places nothing.
"""

from collections.abc import Iterator

from api import states
from api.times import seconds_of
from api.v1 import objects_pb2, types_pb2
from manager.decision import Decision
from manager.orchestrator.overcommit import too_many
from manager.orchestrator.tasks import was_placed
from manager.placement.constraint import unmet
from manager.placement.eviction import evicted
from manager.state.changes import Batch, Event, batch, update
from manager.state.networks import chosen_by_node, robber_of
from manager.state.store import View

MAX_TASKS = 1000
"""Tasks looked at per decision, so that a step stays under 20 ms."""
ALERT = 10.0
"""Seconds after a change of a node in which the scheduler may still send tasks to it that it chose
before: its decisions are on their way for less than that."""

Node = objects_pb2.Node
Task = objects_pb2.Task


class EnforcerLoop:
    """Fulfils manager.decision.Loop."""

    name = "constraint enforcer"
    kinds = (objects_pb2.Node, objects_pb2.Task)
    debounce = 0.005

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._nodes: dict[str, None] = {}  # to be looked at
        self._changed: dict[str, float] = {}  # when they last changed, if that was not long ago

    def reset(self, view: View) -> None:
        """Takes every node as changed."""
        self._forget()
        self._nodes = dict.fromkeys(node.id for node in view.all(Node))

    def observe(self, event: Event) -> bool:
        """Notes nodes that changed, and those that were given a task just after."""
        obj = event.object
        if isinstance(obj, Node):
            if event.new is None:
                self._changed.pop(obj.id, None)
            elif _matters(event):
                self._nodes[obj.id] = None
        elif isinstance(obj, Task) and _was_given_a_port(event):
            self._nodes[obj.node_id] = None
        elif isinstance(obj, Task) and obj.node_id in self._changed and _was_placed_now(event):
            if seconds_of(obj.meta.updated_at) < self._changed[obj.node_id] + ALERT:
                self._nodes[obj.node_id] = None
            else:
                del self._changed[obj.node_id]
        return bool(self._nodes)

    def decide(self, view: View, now: float) -> Decision:
        """Rejects the tasks that have to go."""
        batches: list[Batch] = []
        left = MAX_TASKS
        while self._nodes and left > 0:
            node_id = next(iter(self._nodes))
            del self._nodes[node_id]
            node = view.get(Node, node_id)
            tasks = view.tasks_of_node(node_id)
            left -= len(tasks) + 1
            if node is not None and (at := seconds_of(node.meta.updated_at)) + ALERT > now:
                self._changed[node_id] = at
            if node is not None and _is_enforced(node):
                for task, why in victims(view, node, [t for t in tasks if _holds_on(t)]):
                    batches.append(batch(update(evicted(task, why, now))))
        return Decision(batches, more=bool(self._nodes))

    def refused(self, batch: Batch) -> None:
        """Looks at the node again."""
        for change in batch.changes:
            if isinstance(change.object, Task):
                self._nodes[change.object.node_id] = None


def victims(view: View, node: Node, tasks: list[Task]) -> Iterator[tuple[Task, str]]:
    """Which of the tasks on the node have to go, and why; `tasks` are those that are to stay there.

    All that a constraint keeps away, or a port; of the others the newest first, so many as make the
    rest fit.
    """
    suited = []
    for task in tasks:
        text = unmet(task.spec.placement.constraints, node)
        if text:
            yield task, f"assigned node no longer meets constraint {text}"
        elif robbed := robber_of(view, task):
            yield task, robbed
        else:
            suited.append(task)
    newest_first = sorted(suited, key=_age, reverse=True)
    for task, what in too_many(node.description.resources, newest_first):
        yield task, f"assigned node no longer has enough {what}"


def _age(task: Task) -> tuple[int, int, str]:
    created = task.meta.created_at
    return created.seconds, created.nanos, task.id


def _holds_on(task: Task) -> bool:
    return states.is_live(task) and was_placed(task)


def _is_enforced(node: Node) -> bool:
    return (
        node.status.state == types_pb2.NODE_STATE_READY
        and node.spec.availability == types_pb2.NODE_AVAILABILITY_ACTIVE
    )


def _was_placed_now(event: Event) -> bool:
    old, new = event.old, event.new
    if not isinstance(new, Task) or not was_placed(new):
        return False
    return not isinstance(old, Task) or not was_placed(old)


def _was_given_a_port(event: Event) -> bool:
    old, new = event.old, event.new
    if not isinstance(new, Task) or not chosen_by_node(new):
        return False
    return not isinstance(old, Task) or chosen_by_node(old) != chosen_by_node(new)


def _matters(event: Event) -> bool:
    """Whether a node differs in anything that constraints and reservations are about."""
    old, new = event.old, event.new
    if not isinstance(old, Node) or not isinstance(new, Node):
        return True
    return (
        old.spec != new.spec
        or old.role != new.role
        or old.description != new.description
        or old.status.state != new.status.state
        or old.status.address != new.status.address
    )
