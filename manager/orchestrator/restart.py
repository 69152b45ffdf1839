"""Keeps one task going in a slot: whether another follows an ended one, and when that starts.

Everything is read from the store: the delay is the new task's `start_after`, with desired state
READY until it may start, and grows with the failures in a row (manager/orchestrator/backoff.py);
how often its slot was tried stands in each task (manager/orchestrator/attempts.py). So a new leader
decides the same. After SwarmKit, orchestrator/restart; where it differs: an attempt is a task that
ended by itself, not one whose node was lost or drained; and there the next one starts after a
minute, beside one that still has time to stop.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from api import states
from api.ids import IdSource
from api.stopping import grace_of
from api.times import seconds_of
from api.v1 import objects_pb2, specs_pb2
from manager.orchestrator.alarms import WHOLE
from manager.orchestrator.attempts import attempts_before, restarts_of
from manager.orchestrator.backoff import failures_in_a_row, restart_delay, starts_at, well_at
from manager.orchestrator.drain import Moves
from manager.orchestrator.rollback import HALTED, UNDER_WAY
from manager.orchestrator.slots import Slot, may_be_running
from manager.orchestrator.tasks import (
    Fate,
    Fates,
    ended_by_itself,
    goal,
    is_as_made,
    new_task,
    released,
    retired,
    was_taken_away,
)
from manager.state.changes import Change, copy, create, update
from manager.state.indexes import SlotKey
from manager.state.swarm_clock import believed

if TYPE_CHECKING:
    from manager.orchestrator.update import Rollout

OLD_TASK_WAIT = 60.0
"""Seconds that a new task waits for the old one to stop, beyond the grace that its spec gives it;
counted from the creation of the new one.
"""

_NONE = specs_pb2.RestartPolicy.CONDITION_NONE
_ON_FAILURE = specs_pb2.RestartPolicy.CONDITION_ON_FAILURE


@dataclass(slots=True)
class Steps:
    """Changes that go together, and when to look again if nothing happens: at the slot, or at all
    of the service.
    """

    changes: list[Change] = field(default_factory=list)
    wake_at: float | None = None
    slot: SlotKey = WHOLE

    def by(self, moment: float | None) -> "Steps":
        """The same, and a look at that moment at the latest."""
        if moment is not None:
            self.wake_at = moment if self.wake_at is None else min(self.wake_at, moment)
        return self


NOTHING = Steps()
"""For an object that was merely looked at."""


@dataclass(slots=True)
class Scene:
    """What the slots of one service have in common while they are looked at.

    `now` moves on if that takes several steps. `waited_since`: the leader's, of the same clock.
    """

    service: objects_pb2.Service
    fates: Fates
    ids: IdSource
    now: float
    moves: Moves | None = None  # off drained nodes; None: drains take their tasks away at once
    slot: Callable[[SlotKey], Slot] = Slot  # a slot as it is now
    rollout: "Rollout | None" = (
        None  # where all slots stand in it; None: as those that are looked at
    )
    waited_since: float = 0.0

    @property
    def is_paused(self) -> bool:
        """Whether the rollout is: it must not creep on through restarts."""
        return self.service.update_status.state in HALTED


def tend(slot: Slot, scene: Scene) -> Steps:
    """What keeps the slot at one task that runs, or the next that is about to."""
    steps = _tended(slot, scene)
    steps.slot = slot.key
    return steps


def _tended(slot: Slot, scene: Scene) -> Steps:
    wanted = slot.wanted
    leaving = scene.moves.leaving(slot) if scene.moves is not None else None
    unfit = [
        task
        for task in wanted
        if task is not leaving
        and (states.is_terminal(task) or scene.fates.of(task) is not Fate.STAYS)
    ]
    if unfit:
        held = _held_until(unfit, scene)
        return Steps(wake_at=held) if held else Steps(_replace(slot, unfit, scene))
    if leaving is not None:
        return _move(slot, leaving, scene)
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
    restarts: int = 0,
) -> objects_pb2.Task:
    """The next task of the slot, which waits for the `ending` ones and those stopping already."""
    waits = (
        start_after > scene.now
        or any(may_be_running(task, scene.fates) for task in ending)
        or bool(slot.stopping(scene.fates))
    )
    version = scene.service.spec_version if like is None else like.spec_version
    return new_task(
        scene.service,
        scene.ids,
        scene.now,
        slot=slot.number,
        node_id=slot.node_id,
        desired=states.READY if waits else goal(scene.service),
        start_after=start_after,
        like=like,
        restarts=restarts,
        attempts=attempts_before(slot.tasks, version),
    )


def may_restart(task: objects_pb2.Task) -> bool:
    """Whether the policy lets another task follow one that ended."""
    policy = task.spec.restart
    if policy.condition == _NONE:
        return False
    if not ended_by_itself(task):
        return True
    if policy.condition == _ON_FAILURE and task.status.state == states.COMPLETE:
        return False
    return not policy.max_attempts or restarts_of(task) < policy.max_attempts


def _held_until(unfit: list[objects_pb2.Task], scene: Scene) -> float:
    """When to follow a task that ended before its own delay was over; 0 for at once.

    A task is prepared during its delay, and a missing image fails it then and there: were the next
    one made at once, the delay would never be waited for (SwarmKit, restart.go, waitRestart).
    """
    until = max(starts_at(task, scene.now) for task in unfit)
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
    if not may_restart(last):
        return changes
    failures = failures_in_a_row(last)
    delay = restart_delay(last.spec.restart, failures) if states.is_terminal(last) else 0.0
    if scene.fates.of(last) is not Fate.STAYS or was_taken_away(last):
        delay = 0.0
    return [*changes, create(_follower(slot, last, unfit, scene, delay=delay, restarts=failures))]


def _move(slot: Slot, leaving: objects_pb2.Task, scene: Scene) -> Steps:
    """Makes the task that is to run before `leaving` goes from its drained node."""
    coming = [task for task in slot.wanted if task is not leaving]
    if coming:
        return _release(slot, coming, scene)
    if scene.moves is None or not scene.moves.begin():
        return Steps()
    made = _follower(slot, leaving, [], scene, delay=0.0, restarts=leaving.restarts)
    return Steps([create(made)])


def _follower(
    slot: Slot,
    last: objects_pb2.Task,
    ending: list[objects_pb2.Task],
    scene: Scene,
    *,
    delay: float,
    restarts: int,
) -> objects_pb2.Task:
    """A task in the place of `last`; of its own spec while a rollout to another is paused."""
    is_other = last.spec_version != scene.service.spec_version
    like = last if scene.is_paused and is_other else None
    is_new = is_other and like is None and not is_as_made(last, scene.service.spec)
    return successor(
        slot,
        ending,
        scene,
        start_after=scene.now + delay,
        like=like,
        restarts=0 if is_new else restarts,
    )


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
    """Lets tasks start whose time has come, and forgets the failures before those that are well."""
    steps = Steps()
    for task in wanted:
        if task.desired_state >= states.RUNNING:
            # The trials of a rollout are timed by the tasks' last changes: none is made meanwhile.
            is_rolling = scene.service.update_status.state in UNDER_WAY
            if not task.restarts or task.status.state != states.RUNNING or is_rolling:
                continue
            at = well_at(task, scene.now)
            change: Callable[[objects_pb2.Task], objects_pb2.Task] = _well
        else:
            change = partial(released, desired=goal(scene.service), now=scene.now)
            at = starts_at(task, scene.now)
            graces = [grace_of(each.spec) for each in slot.stopping(scene.fates)]
            if graces:
                made = believed(seconds_of(task.meta.created_at), scene.now)
                at = max(at, made + max(graces) + OLD_TASK_WAIT)
        if scene.now >= at:
            steps.changes.append(update(change(task)))
        elif steps.wake_at is None or at < steps.wake_at:
            steps.wake_at = at
    return steps


def _well(task: objects_pb2.Task) -> objects_pb2.Task:
    changed = copy(task)
    changed.ClearField("restarts")
    return changed
