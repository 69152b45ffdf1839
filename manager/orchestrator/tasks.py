"""How orchestrators make and end tasks, and what they read in them. Pure.

Desired states are theirs alone. A task that was never assigned has no agent that could end it, so
whoever no longer wants it writes the observed state too (swarmkit#2998).
"""

from collections.abc import Iterable
from enum import Enum

from api import states
from api.ids import IdSource
from api.modes import is_job
from api.times import timestamp
from api.v1 import objects_pb2, specs_pb2, types_pb2
from manager.placement.eviction import was_evicted
from manager.state.changes import copy
from manager.state.networks import host_ports, publishes
from manager.state.store import View

ENDED_BY_ITSELF = frozenset({states.COMPLETE, states.FAILED, states.REJECTED})


def ended_by_itself(task: objects_pb2.Task) -> bool:
    """Whether the task ended, other than by being told to, or because of its node."""
    return task.status.state in ENDED_BY_ITSELF and not was_evicted(task)


def was_taken_away(task: objects_pb2.Task) -> bool:
    """Whether the task ended only because its node was removed, or no longer suits it."""
    return task.status.state == states.ORPHANED or was_evicted(task)


def has_run_its_course(task: objects_pb2.Task) -> bool:
    """Whether the task ended, and nothing is left to decide about that.

    A job's task that completed has come to what was desired of it, and is left like that.
    """
    if not states.is_terminal(task):
        return False
    return not states.is_wanted(task) or task.desired_state == task.status.state == states.COMPLETE


def goal(service: objects_pb2.Service) -> types_pb2.TaskState.ValueType:
    """The desired state of tasks that may run."""
    return states.COMPLETE if is_job(service) else states.RUNNING


def was_placed(task: objects_pb2.Task) -> bool:
    """Whether an agent has ever known of the task."""
    return task.status.state >= states.ASSIGNED


class Fate(Enum):
    """What becomes of a task because of the node that it is on."""

    STAYS = "stays"
    LEAVES = "leaves"  # the node is drained
    LOST = "lost"  # the node is down or was removed


class Fates:
    """The fate of tasks by node, looked up once each. Good for one decision, then to be renewed."""

    def __init__(self, view: View) -> None:
        self._view = view
        self.renew()

    def renew(self) -> None:
        """Looks the nodes up again."""
        self._of_node: dict[str, Fate] = {"": Fate.STAYS}

    def of(self, task: objects_pb2.Task) -> Fate:
        """The task's fate. A node in state unknown keeps its tasks: it may only be out of touch."""
        fate = self._of_node.get(task.node_id)
        if fate is None:
            fate = _fate_on(self._view.get(objects_pb2.Node, task.node_id))
            self._of_node[task.node_id] = fate
        return fate


def _fate_on(node: objects_pb2.Node | None) -> Fate:
    if node is None or node.status.state == types_pb2.NODE_STATE_DOWN:
        return Fate.LOST
    if node.spec.availability == types_pb2.NODE_AVAILABILITY_DRAIN:
        return Fate.LEAVES
    return Fate.STAYS


def new_task(
    service: objects_pb2.Service,
    ids: IdSource,
    now: float,
    *,
    slot: int,
    node_id: str = "",
    desired: types_pb2.TaskState.ValueType,
    start_after: float | None = None,
    like: objects_pb2.Task | None = None,
    restarts: int = 0,
    attempts: Iterable[objects_pb2.Attempts] = (),
) -> objects_pb2.Task:
    """A new task in a slot of the service, made from its spec, or from that of the task `like`.

    `node_id`: of a global service's task, which belongs to a node from the beginning.
    `restarts`: how often in a row the tasks before it have failed; `attempts`: see there.
    """
    task = objects_pb2.Task(
        id=ids(),
        service_id=service.id,
        service_name=service.spec.annotations.name,
        slot=slot,
        node_id=node_id,
        spec=service.spec.task if like is None else like.spec,
        spec_version=service.spec_version if like is None else like.spec_version,
        desired_state=desired,
        service_labels=service.spec.annotations.labels,
        host_ports=host_ports(service.spec) if like is None else like.host_ports,
        published=publishes(service.spec) if like is None else like.published,
        job_iteration=service.job_status.iteration,
        restarts=restarts,
        attempts=attempts,
    )
    task.status.state = states.NEW
    task.status.message = "created"
    task.status.at.CopyFrom(timestamp(now))
    if start_after is not None:
        task.start_after.CopyFrom(timestamp(start_after))
    return task


def is_as_made(task: objects_pb2.Task, spec: specs_pb2.ServiceSpec) -> bool:
    """Whether a new task of this spec would be made like the task.

    Which ports are published on every node does not matter, as long as any are: nodes pass on what
    comes to them. A task's own ports on its node do.
    """
    return (
        task.spec == spec.task
        and task.published == publishes(spec)
        and list(task.host_ports) == host_ports(spec)
    )


def retired(task: objects_pb2.Task, now: float) -> objects_pb2.Task:
    """A copy that is to be shut down, and counts as such if it was never placed."""
    ended = copy(task)
    ended.desired_state = states.SHUTDOWN
    if not was_placed(task):
        ended.status.state = states.SHUTDOWN
        ended.status.message = "shut down before it was placed"
        ended.status.error = ""
        ended.status.at.CopyFrom(timestamp(now))
    return ended


def removed(task: objects_pb2.Task) -> objects_pb2.Task:
    """A copy that is to be shut down and forgotten; the reaper deletes it once it has ended."""
    gone = copy(task)
    gone.desired_state = states.REMOVE
    return gone


def released(
    task: objects_pb2.Task, desired: types_pb2.TaskState.ValueType, now: float
) -> objects_pb2.Task:
    """A copy that may run now, to the `goal` of its service: what it waited for is over."""
    running = copy(task)
    running.desired_state = desired
    if task.HasField("start_after"):
        running.start_after.CopyFrom(timestamp(now))
    return running
