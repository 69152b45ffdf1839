"""The rolling update: brings the slots of a service to its present task spec, a few at a time.

All of its state is in the store, so that it goes on after a change of leader:

- A slot is outdated while its newest task was made from another task spec.
- A step gives the slot a new task with `start_after` set: it is on trial. Once it has run for the
  monitor period the field is cleared, and the slot is settled. A task on trial that ends by itself,
  or is not running when the step's deadline has passed, makes the slot a failed one.
- `update_status` of the service says how far it came. Whoever changes the spec clears it and
  raises `spec_version`, which begins anew and also resumes a paused update.

After SwarmKit, orchestrator/update; where it differs: a step has a deadline (there a task that
cannot be placed hangs the update for ever), the failure ratio is of all slots, and a paused update
does not creep on through restarts.
"""

from dataclasses import dataclass, field
from enum import Enum

from api import states
from api.times import seconds_of, timestamp
from api.v1 import objects_pb2, specs_pb2
from manager.orchestrator.restart import Scene, successor
from manager.orchestrator.slots import Slot
from manager.orchestrator.tasks import ended_by_itself, is_wanted, retired
from manager.state.changes import Change, copy, create, update
from manager.state.indexes import SlotKey

DEFAULT_MONITOR = 5.0
"""Seconds for which a new task is watched after it began to run."""
STEP_DEADLINE = 300.0
"""Seconds that a task may take to be placed, and then to get from one state to the next."""

_HEALTH_INTERVAL = 30.0
_HEALTH_RETRIES = 3

UPDATING = objects_pb2.UpdateStatus.STATE_UPDATING
PAUSED = objects_pb2.UpdateStatus.STATE_PAUSED
COMPLETED = objects_pb2.UpdateStatus.STATE_COMPLETED


class Progress(Enum):
    """How far a slot came in the rollout."""

    OUTDATED = "outdated"
    BUSY = "busy"  # its step is under way, or the delay after it
    WATCHED = "watched"  # its step is over, its task still on trial
    PASSED = "passed"  # the trial is over, and that is yet to be written down
    SETTLED = "settled"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Standing:
    """A slot in the rollout: its task on trial, and when time alone changes its progress."""

    slot: Slot
    progress: Progress
    trial: objects_pb2.Task | None = None
    until: float | None = None


@dataclass(slots=True)
class Advance:
    """What the rollout does next: a new status of the service, or else changes by slot."""

    service: objects_pb2.Service | None = None
    steps: dict[SlotKey, list[Change]] = field(default_factory=dict)
    wake_at: float | None = None


def advance(slots: list[Slot], scene: Scene) -> Advance:
    """The next move of the rollout of `slots`, the filled ones in a lasting order."""
    state = scene.service.update_status.state
    outdated = _Outdated(scene.service)
    if state != UPDATING:
        if state == PAUSED or not any(outdated.is_so(slot.newest) for slot in slots):
            return Advance()
        return Advance(_with_status(scene, UPDATING, "update in progress"))
    standings = [_standing(slot, scene, outdated) for slot in slots]
    failed = [each for each in standings if each.progress is Progress.FAILED]
    if failed and _pauses(scene.service.spec.update, len(failed), len(slots)):
        culprit = failed[0].trial
        assert culprit is not None  # noqa: S101 - only a trial fails
        message = f"update paused due to failure or early termination of task {culprit.id}"
        return Advance(_with_status(scene, PAUSED, message))
    if all(each.progress in (Progress.SETTLED, Progress.FAILED) for each in standings):
        return Advance(_with_status(scene, COMPLETED, "update completed"))
    return _next_steps(standings, scene)


def _next_steps(standings: list[Standing], scene: Scene) -> Advance:
    moves = Advance()
    outdated = []
    busy = 0
    for each in standings:
        if each.until is not None:
            moves.wake_at = each.until if moves.wake_at is None else min(moves.wake_at, each.until)
        if each.progress is Progress.OUTDATED:
            outdated.append(each.slot)
        elif each.progress is Progress.BUSY:
            busy += 1
        elif each.progress is Progress.PASSED and each.trial is not None:
            moves.steps[each.slot.key] = [update(_off_trial(each.trial))]
    for slot in outdated[: _free_places(scene.service.spec.update, busy, len(outdated))]:
        moves.steps[slot.key] = _step(slot, scene)
    return moves


def _step(slot: Slot, scene: Scene) -> list[Change]:
    """Replaces the slot's tasks: at once, or by and by if the order is to start first."""
    starts_first = scene.service.spec.update.order == specs_pb2.UpdateConfig.ORDER_START_FIRST
    running = [task.id for task in slot.wanted if task.status.state == states.RUNNING]
    kept = running[-1:] if starts_first else []
    ending = [task for task in slot.wanted if task.id not in kept]
    return [
        *(update(retired(task, scene.now)) for task in ending),
        create(successor(slot, ending, scene, start_after=scene.now)),
    ]


def _standing(slot: Slot, scene: Scene, outdated: "_Outdated") -> Standing:
    if outdated.is_so(slot.newest):
        return Standing(slot, Progress.OUTDATED)
    present = [t for t in slot.tasks if t.spec_version == scene.service.spec_version]
    if not all(task.HasField("start_after") for task in present):
        return Standing(slot, Progress.SETTLED)
    trial = next((t for t in present if is_wanted(t) or ended_by_itself(t)), None)
    if trial is None:
        return Standing(slot, Progress.SETTLED)
    if ended_by_itself(trial):
        return Standing(slot, Progress.FAILED, trial)
    if trial.status.state == states.RUNNING:
        return _running_standing(slot, trial, scene)
    deadline = step_deadline(trial)
    if scene.now >= deadline:
        return Standing(slot, Progress.FAILED, trial)
    return Standing(slot, Progress.BUSY, trial, deadline)


def _running_standing(slot: Slot, trial: objects_pb2.Task, scene: Scene) -> Standing:
    config = scene.service.spec.update
    # The leader's clock: that of a worker may be off.
    since = seconds_of(trial.meta.updated_at)
    monitor = seconds_of(config.monitor) if config.HasField("monitor") else DEFAULT_MONITOR
    for progress, until in (
        (Progress.BUSY, since + seconds_of(config.delay)),
        (Progress.WATCHED, since + monitor),
    ):
        if scene.now < until:
            return Standing(slot, progress, trial, until)
    return Standing(slot, Progress.PASSED, trial)


def step_deadline(trial: objects_pb2.Task) -> float:
    """When a task on trial that is not running yet counts as failed, by the leader's clock.

    Before it may start nothing is held against it. Then a task that waits for a node has so long
    from its creation; one that an agent works on, from its last progress, and in addition as long
    as its health check may take.
    """
    due = seconds_of(trial.start_after) + STEP_DEADLINE
    if trial.status.state < states.ASSIGNED:
        return max(due, seconds_of(trial.meta.created_at) + STEP_DEADLINE)
    return max(due, seconds_of(trial.meta.updated_at) + STEP_DEADLINE) + _allowance(trial.spec)


def _allowance(spec: specs_pb2.TaskSpec) -> float:
    health = spec.container.health
    if health.disabled or not spec.container.HasField("health"):
        return 0.0
    interval = seconds_of(health.interval) or _HEALTH_INTERVAL
    return seconds_of(health.start_period) + interval * (health.retries or _HEALTH_RETRIES)


def _free_places(config: specs_pb2.UpdateConfig, busy: int, outdated: int) -> int:
    parallelism = config.parallelism if config.HasField("parallelism") else 1
    return max(0, parallelism - busy) if parallelism else outdated


def _pauses(config: specs_pb2.UpdateConfig, failed: int, slots: int) -> bool:
    if config.failure_action == specs_pb2.UpdateConfig.FAILURE_ACTION_CONTINUE:
        return False
    return failed / slots > config.max_failure_ratio


def _off_trial(task: objects_pb2.Task) -> objects_pb2.Task:
    passed = copy(task)
    passed.ClearField("start_after")
    return passed


def _with_status(
    scene: Scene, state: objects_pb2.UpdateStatus.State.ValueType, message: str
) -> objects_pb2.Service:
    service = copy(scene.service)
    status = service.update_status
    status.state = state
    status.message = message
    if state == UPDATING:
        status.started_at.CopyFrom(timestamp(scene.now))
        status.ClearField("completed_at")
    elif state == COMPLETED:
        status.completed_at.CopyFrom(timestamp(scene.now))
    return service


class _Outdated:
    """Whether tasks were made from another task spec; compared once per spec version."""

    def __init__(self, service: objects_pb2.Service) -> None:
        self._service = service
        self._verdicts = {service.spec_version: False}

    def is_so(self, task: objects_pb2.Task) -> bool:
        verdict = self._verdicts.get(task.spec_version)
        if verdict is None:
            verdict = task.spec != self._service.spec.task
            self._verdicts[task.spec_version] = verdict
        return verdict
