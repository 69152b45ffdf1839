"""The rollout: brings the slots of a service to its present task spec, a few at a time, and goes
back to the previous one if that is what the service asks for when an update fails.

All of its state is in the store, so that it goes on after a change of leader:

- A slot is outdated while no task that is wanted in it was made from the present task spec.
- A step gives the slot a new task with `start_after` set: it is on trial. Once it has run for the
  monitor period the field is cleared, and the slot is settled. A task on trial that ends by itself,
  or is not running when the step's deadline has passed, makes the slot a failed one.
- `update_status` of the service says how far it came, and whether it goes forth or back. Whoever
  changes the spec clears it and raises `spec_version`, which begins anew and also resumes a paused
  rollout (manager/orchestrator/rollback.py).

After SwarmKit, orchestrator/update; where it differs: a step has a deadline (there a task that
cannot be placed hangs the update for ever), the failure ratio is of all slots, a paused update
does not creep on through restarts, and a rollback leaves a task alone that has gone on all the
while (moby#43081). A rollback is never rolled back.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from api import states
from api.times import seconds_of, timestamp
from api.v1 import objects_pb2, specs_pb2
from manager.orchestrator.restart import Scene, successor
from manager.orchestrator.rollback import (
    COMPLETED,
    HALTED,
    PAUSED,
    ROLLBACK_COMPLETED,
    ROLLBACK_PAUSED,
    ROLLBACK_STARTED,
    UNDER_WAY,
    UPDATING,
    rolled_back_by_itself,
)
from manager.orchestrator.slots import Slot
from manager.orchestrator.tasks import ended_by_itself, is_wanted, retired
from manager.orchestrator.trial import STEP_DEADLINE, monitor_of, step_deadline
from manager.state.changes import Change, copy, create, update
from manager.state.indexes import SlotKey

Config = specs_pb2.UpdateConfig


class Progress(Enum):
    """How far a slot came in the rollout."""

    OUTDATED = "outdated"
    STRAYED = "strayed"  # a task of the present spec goes on in it, beside newer ones of another
    BUSY = "busy"  # its step is under way, or the delay after it
    WATCHED = "watched"  # its step is over, its task still on trial
    PASSED = "passed"  # the trial is over, and that is yet to be written down
    SETTLED = "settled"
    FAILED = "failed"


class Standing(NamedTuple):
    """A slot in the rollout: its task on trial, and when time alone changes its progress."""

    slot: Slot
    progress: Progress
    trial: objects_pb2.Task | None = None
    until: float | None = None


@dataclass(slots=True)
class Advance:
    """What the rollout does next: a new status of the service, or else changes by slot."""

    service: objects_pb2.Service | None = None
    steps: Mapping[SlotKey, list[Change]] = field(default_factory=dict)
    wake_at: float | None = None


def advance(slots: Iterable[Slot], scene: Scene) -> Advance:
    """The next move of the rollout of `slots`, the filled ones in a lasting order."""
    rollout = Rollout(scene)
    for slot in slots:
        rollout.add(slot)
    return rollout.advance()


class Rollout:
    """Looks at the slots one by one, then says what to do: there may be too many for one step."""

    def __init__(self, scene: Scene) -> None:
        service = scene.service
        self._scene = scene
        self._state = service.update_status.state
        self._is_rollback = self._state == ROLLBACK_STARTED
        self._config = service.spec.rollback if self._is_rollback else service.spec.update
        self._outdated_tasks = _Outdated(service)
        self._begins = False
        self._slots = self._busy = self._failed = self._unfinished = 0
        self._culprit = ""
        self._outdated: list[Slot] = []
        self._moves = _Moves(self._config, scene, self._outdated_tasks)
        self._wake_at: float | None = None

    def add(self, slot: Slot) -> None:
        """Takes a filled slot into account; they come in a lasting order."""
        if self._state in HALTED or self._begins:
            return
        each = self._standing(slot)
        if self._state not in UNDER_WAY:
            self._begins = each.progress in (Progress.OUTDATED, Progress.STRAYED)
            return
        self._slots += 1
        self._unfinished += each.progress not in (Progress.SETTLED, Progress.FAILED)
        self._busy += each.progress is Progress.BUSY
        if each.until is not None:
            self._wake_at = each.until if self._wake_at is None else min(self._wake_at, each.until)
        if each.progress is Progress.OUTDATED:
            self._outdated.append(slot)
        elif each.progress in (Progress.PASSED, Progress.STRAYED):
            self._moves.add(each)
        elif each.progress is Progress.FAILED and each.trial is not None:
            self._failed += 1
            self._culprit = self._culprit or each.trial.id

    def advance(self) -> Advance:
        """The next move."""
        if self._state not in UNDER_WAY:
            begun = _with_status(self._scene, UPDATING, "update in progress")
            return Advance(begun if self._begins else None)
        status = self._scene.service.update_status
        if not status.HasField("started_at"):  # whoever began it has no clock
            return Advance(_with_status(self._scene, status.state, status.message))
        if self._failed and self._failed / self._slots > self._config.max_failure_ratio:
            halted = self._after_failures()
            if halted is not None:
                return Advance(halted)
        if not self._unfinished:
            state = ROLLBACK_COMPLETED if self._is_rollback else COMPLETED
            return Advance(_with_status(self._scene, state, f"{self._word} completed"))
        free = _free_places(self._config, self._busy, len(self._outdated))
        self._moves.begin(self._outdated[:free])
        return Advance(steps=self._moves, wake_at=self._wake_at)

    @property
    def _word(self) -> str:
        return "rollback" if self._is_rollback else "update"

    def _after_failures(self) -> objects_pb2.Service | None:
        action = self._config.failure_action
        if action == Config.FAILURE_ACTION_CONTINUE:
            return None
        why = f"due to failure or early termination of task {self._culprit}"
        if self._is_rollback:
            return _with_status(self._scene, ROLLBACK_PAUSED, f"rollback paused {why}")
        if action == Config.FAILURE_ACTION_ROLLBACK:
            service = self._scene.service
            going_back = rolled_back_by_itself(service, f"update rolled back {why}")
            if going_back is not None:
                going_back.update_status.started_at.CopyFrom(timestamp(self._scene.now))
                return going_back
            why += ", and there is no earlier task spec to go back to"
        return _with_status(self._scene, PAUSED, f"update paused {why}")

    def _standing(self, slot: Slot) -> Standing:
        version = self._scene.service.spec_version
        if slot.newest.spec_version == version:
            present = [t for t in slot.tasks if t.spec_version == version]
            return self._trial_standing(slot, present)
        wanted = slot.wanted
        front = wanted[-1] if wanted else slot.newest
        if not self._outdated_tasks.is_so(front):
            return self._standing_of_earlier(slot, front)
        if any(not states.is_terminal(t) and not self._outdated_tasks.is_so(t) for t in wanted):
            return Standing(slot, Progress.STRAYED)
        return Standing(slot, Progress.OUTDATED)

    def _trial_standing(self, slot: Slot, present: list[objects_pb2.Task]) -> Standing:
        if not all(task.HasField("start_after") for task in present):
            return Standing(slot, Progress.SETTLED)
        trial = next((t for t in present if is_wanted(t) or ended_by_itself(t)), None)
        if trial is None:
            return Standing(slot, Progress.SETTLED)
        if ended_by_itself(trial):
            return Standing(slot, Progress.FAILED, trial)
        if trial.status.state == states.RUNNING:
            return self._running_standing(slot, trial)
        return self._waiting_standing(slot, trial, step_deadline(trial))

    def _standing_of_earlier(self, slot: Slot, task: objects_pb2.Task) -> Standing:
        """Of a slot whose task is of an earlier version, but of just this spec.

        What was not settled when this rollout began, as in one that was paused and goes on, is on
        trial from then on: the time that it had before counts as little as how it went.
        """
        began = seconds_of(self._scene.service.update_status.started_at)
        is_later = seconds_of(task.meta.updated_at) > began
        if not task.HasField("start_after"):
            return Standing(slot, Progress.SETTLED)
        if ended_by_itself(task):
            # The restart that may be about to follow is on trial.
            waits = Progress.BUSY if is_wanted(task) else Progress.SETTLED
            return Standing(slot, Progress.FAILED if is_later else waits, task)
        if task.status.state < states.RUNNING:
            deadline = max(step_deadline(task), began + STEP_DEADLINE)
            return self._waiting_standing(slot, task, deadline)
        if task.status.state == states.RUNNING and is_later:
            return self._running_standing(slot, task)
        return Standing(slot, Progress.SETTLED)

    def _waiting_standing(self, slot: Slot, trial: objects_pb2.Task, deadline: float) -> Standing:
        if self._scene.now >= deadline:
            return Standing(slot, Progress.FAILED, trial)
        return Standing(slot, Progress.BUSY, trial, deadline)

    def _running_standing(self, slot: Slot, trial: objects_pb2.Task) -> Standing:
        # The leader's clock: that of a worker may be off.
        since = seconds_of(trial.meta.updated_at)
        for progress, until in (
            (Progress.BUSY, since + seconds_of(self._config.delay)),
            (Progress.WATCHED, since + monitor_of(self._config)),
        ):
            if self._scene.now < until:
                return Standing(slot, progress, trial, until)
        return Standing(slot, Progress.PASSED, trial)


class _Moves(Mapping[SlotKey, list[Change]]):
    """The changes of those slots that are to move, each made when it is asked for."""

    def __init__(self, config: Config, scene: Scene, outdated: "_Outdated") -> None:
        self._starts_first = config.order == Config.ORDER_START_FIRST
        self._scene = scene
        self._outdated = outdated
        self._standings: dict[SlotKey, Standing] = {}
        self._beginning: dict[SlotKey, Slot] = {}

    def add(self, standing: Standing) -> None:
        """A slot whose trial is over, or that has strayed."""
        self._standings[standing.slot.key] = standing

    def begin(self, slots: list[Slot]) -> None:
        """Slots whose step begins."""
        self._beginning = {slot.key: slot for slot in slots}

    def __getitem__(self, key: SlotKey) -> list[Change]:
        slot = self._beginning.get(key)
        if slot is not None:
            return self._step(slot)
        each = self._standings[key]
        if each.progress is Progress.PASSED and each.trial is not None:
            return [update(_off_trial(each.trial))]
        return self._without_strays(each.slot)

    def __contains__(self, key: object) -> bool:
        return key in self._beginning or key in self._standings

    def __iter__(self) -> Iterator[SlotKey]:
        return iter((*self._beginning, *self._standings))

    def __len__(self) -> int:
        return len(self._beginning) + len(self._standings)

    def _step(self, slot: Slot) -> list[Change]:
        """Replaces the slot's tasks: at once, or by and by if the order is to start first."""
        scene = self._scene
        running = [task.id for task in slot.wanted if task.status.state == states.RUNNING]
        kept = running[-1:] if self._starts_first else []
        ending = [task for task in slot.wanted if task.id not in kept]
        return [
            *(update(retired(task, scene.now)) for task in ending),
            create(successor(slot, ending, scene, start_after=scene.now)),
        ]

    def _without_strays(self, slot: Slot) -> list[Change]:
        """Ends what is newer than the task that may go on."""
        strays = [task for task in slot.wanted if self._outdated.is_so(task)]
        return [update(retired(task, self._scene.now)) for task in strays]


def _free_places(config: Config, busy: int, outdated: int) -> int:
    parallelism = config.parallelism if config.HasField("parallelism") else 1
    return max(0, parallelism - busy) if parallelism else outdated


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
    if state in UNDER_WAY:
        status.started_at.CopyFrom(timestamp(scene.now))
        status.ClearField("completed_at")
    elif state in (COMPLETED, ROLLBACK_COMPLETED):
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
