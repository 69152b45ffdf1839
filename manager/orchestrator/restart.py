"""Keeps one task going in a slot: whether another follows an ended one, and when that starts.

Everything is read from the store: the delay is the new task's `start_after`, with desired state
READY until it may start; the attempts are the ended tasks in the slot. So a new leader decides the
same. After SwarmKit, orchestrator/restart; where it differs: an attempt is a task that ended by
itself, not one whose node was lost or drained; and the window is counted in time that tasks ran,
not in the delays between them (swarmkit#2936: a window below the delay never tripped).
"""

from dataclasses import dataclass, field

from api import states
from api.ids import IdSource
from api.times import seconds_of
from api.v1 import objects_pb2, specs_pb2
from manager.orchestrator.slots import Slot, may_be_running
from manager.orchestrator.tasks import (
    Fate,
    Fates,
    ended_by_itself,
    goal,
    new_task,
    released,
    retired,
)
from manager.state.changes import Change, create, update

DEFAULT_DELAY = 5.0
"""Seconds between the end of a task and the start of the next."""
OLD_TASK_WAIT = 60.0
"""Seconds that a new task waits for the old one to stop, counted from its creation."""

_NONE = specs_pb2.RestartPolicy.CONDITION_NONE
_ON_FAILURE = specs_pb2.RestartPolicy.CONDITION_ON_FAILURE


@dataclass(slots=True)
class Steps:
    """Changes that go together, and when to look again if nothing happens."""

    changes: list[Change] = field(default_factory=list)
    wake_at: float | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """What the slots of one service have in common during one decision."""

    service: objects_pb2.Service
    fates: Fates
    ids: IdSource
    now: float
    is_paused: bool = False  # the rollout is: it must not creep on through restarts


def tend(slot: Slot, scene: Scene) -> Steps:
    """What keeps the slot at one task that runs, or the next that is about to."""
    wanted = slot.wanted
    unfit = [t for t in wanted if states.is_terminal(t) or scene.fates.of(t) is not Fate.STAYS]
    if unfit:
        held = _held_until(unfit, scene)
        return Steps(wake_at=held) if held else Steps(_replace(slot, unfit, scene))
    surplus = _surplus(wanted) if len(wanted) > 1 else []
    if surplus:
        return Steps([update(retired(task, scene.now)) for task in surplus])
    return _release(slot, wanted, scene)


def successor(
    slot: Slot,
    ending: list[objects_pb2.Task],
    scene: Scene,
    *,
    start_after: float,
    like: objects_pb2.Task | None = None,
) -> objects_pb2.Task:
    """The next task of the slot, which waits for the `ending` ones and those stopping already."""
    waits = (
        start_after > scene.now
        or any(may_be_running(task, scene.fates) for task in ending)
        or bool(slot.stopping(scene.fates))
    )
    return new_task(
        scene.service,
        scene.ids,
        scene.now,
        slot=slot.number,
        node_id=slot.node_id,
        desired=states.READY if waits else goal(scene.service),
        start_after=start_after,
        like=like,
    )


def restart_delay(policy: specs_pb2.RestartPolicy) -> float:
    """Seconds to wait before a restart."""
    return seconds_of(policy.delay) if policy.HasField("delay") else DEFAULT_DELAY


def may_restart(task: objects_pb2.Task, tasks: list[objects_pb2.Task]) -> bool:
    """Whether the policy lets another task follow `task`, the newest ended one of `tasks`."""
    policy = task.spec.restart
    if policy.condition == _NONE:
        return False
    if not ended_by_itself(task):
        return True
    if policy.condition == _ON_FAILURE and task.status.state == states.COMPLETE:
        return False
    if not policy.max_attempts:
        return True
    window = seconds_of(policy.window) if policy.HasField("window") else 0.0
    return _restarts(attempts(task, tasks), window) < policy.max_attempts


def attempts(task: objects_pb2.Task, tasks: list[objects_pb2.Task]) -> list[objects_pb2.Task]:
    """The tasks that ended by themselves and were made from the same spec as `task`."""
    return [t for t in tasks if t.spec_version == task.spec_version and ended_by_itself(t)]


def _restarts(tasks: list[objects_pb2.Task], window: float) -> int:
    if not window:
        return len(tasks) - 1
    ran, count = 0.0, 0
    for task in reversed(tasks[1:]):
        ran += _lifetime(task)
        if ran > window:
            break
        count += 1
    return count


def _lifetime(task: objects_pb2.Task) -> float:
    start = max(seconds_of(task.meta.created_at), seconds_of(task.start_after))
    return max(0.0, seconds_of(task.meta.updated_at) - start)


def _held_until(unfit: list[objects_pb2.Task], scene: Scene) -> float:
    """When to follow a task that ended before its own delay was over; 0 for at once.

    A task is prepared during its delay, and a missing image fails it then and there: were the next
    one made at once, the delay would never be waited for (SwarmKit, restart.go, waitRestart).
    """
    until = max(seconds_of(task.start_after) for task in unfit)
    ended_here = all(
        states.is_terminal(task) and scene.fates.of(task) is Fate.STAYS for task in unfit
    )
    return until if ended_here and until > scene.now else 0.0


def _replace(slot: Slot, unfit: list[objects_pb2.Task], scene: Scene) -> list[Change]:
    changes = [update(retired(task, scene.now)) for task in unfit]
    last = unfit[-1]
    gone = {task.id for task in unfit}
    others = [task for task in slot.wanted if task.id not in gone]
    if others and (scene.is_paused or last.id != slot.wanted[-1].id):
        return changes  # another is in its place, or the failed successor shall not be repeated
    if not may_restart(last, slot.tasks):
        return changes
    delay = restart_delay(last.spec.restart) if states.is_terminal(last) else 0.0
    if scene.fates.of(last) is not Fate.STAYS or last.status.state == states.ORPHANED:
        delay = 0.0
    like = last if scene.is_paused and last.spec_version != scene.service.spec_version else None
    following = successor(slot, unfit, scene, start_after=scene.now + delay, like=like)
    return [*changes, create(following)]


def _surplus(wanted: list[objects_pb2.Task]) -> list[objects_pb2.Task]:
    """Those that go where several could run: at most a running one and its newer successor stay."""
    best: dict[int, objects_pb2.Task] = {}
    for task in wanted:
        rival = best.get(task.spec_version)
        if rival is None or task.status.state > rival.status.state:
            best[task.spec_version] = task
    newest = best[max(best)]
    keep = {newest.id}
    if newest.status.state < states.RUNNING:
        running = [v for v, t in best.items() if t.status.state == states.RUNNING]
        keep |= {best[max(running)].id} if running else set()
    return [task for task in wanted if task.id not in keep]


def _release(slot: Slot, wanted: list[objects_pb2.Task], scene: Scene) -> Steps:
    steps = Steps()
    for task in wanted:
        if task.desired_state >= states.RUNNING:
            continue
        at = seconds_of(task.start_after)
        if slot.stopping(scene.fates):
            at = max(at, seconds_of(task.meta.created_at) + OLD_TASK_WAIT)
        if scene.now >= at:
            steps.changes.append(update(released(task, goal(scene.service))))
        elif steps.wake_at is None or at < steps.wake_at:
            steps.wake_at = at
    return steps
