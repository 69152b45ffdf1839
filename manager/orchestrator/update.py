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

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from api import states
from api.times import timestamp
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
from manager.orchestrator.standing import Look, Progress, Standing
from manager.orchestrator.tasks import retired
from manager.state.changes import Change, copy, create, update
from manager.state.indexes import SlotKey

Config = specs_pb2.UpdateConfig


@dataclass(slots=True)
class Advance:
    """What the rollout does next: a new status of the service, or else changes by slot."""

    service: objects_pb2.Service | None = None
    steps: Mapping[SlotKey, list[Change]] = field(default_factory=dict)
    wake_at: float | None = None


class Rollout:
    """Looks at the slots one by one, then says what to do: there may be too many for one step."""

    def __init__(self, scene: Scene) -> None:
        service = scene.service
        self._scene = scene
        self._state = service.update_status.state
        self._is_rollback = self._state == ROLLBACK_STARTED
        self._config = service.spec.rollback if self._is_rollback else service.spec.update
        self._look = Look(scene, self._config)
        self._begins = False
        self._slots = self._busy = self._failed = self._unfinished = 0
        self._culprit = ""
        self._outdated: dict[SlotKey, Slot] = {}
        self._moves = _Moves(self._config, scene, self._look)
        self._wake_at: float | None = None

    def add(self, slot: Slot) -> None:
        """Takes a filled slot into account; they come in a lasting order."""
        if self._state in HALTED or self._begins:
            return
        each = self._look.standing(slot)
        if self._state not in UNDER_WAY:
            self._begins = each.progress in (Progress.OUTDATED, Progress.STRAYED)
            return
        self._slots += 1
        self._unfinished += each.progress not in (Progress.SETTLED, Progress.FAILED)
        self._busy += each.progress is Progress.BUSY
        if each.until is not None:
            self._wake_at = each.until if self._wake_at is None else min(self._wake_at, each.until)
        if each.progress is Progress.OUTDATED:
            self._outdated[slot.key] = slot
        elif each.progress in (Progress.PASSED, Progress.STRAYED):
            self._moves.add(each)
        elif each.progress is Progress.FAILED and each.trial is not None:
            self._failed += 1
            self._culprit = self._culprit or each.trial.id

    def advance(self) -> Advance:
        """The next move."""
        if self._state not in UNDER_WAY:
            if not self._begins:
                return Advance()
            return Advance(_with_status(self._scene, UPDATING, "update in progress"))
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
        self._moves.begin(_first(self._outdated, _free_places(self._config, self._busy)))
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


class _Moves(Mapping[SlotKey, list[Change]]):
    """The changes of those slots that are to move, each made when it is asked for."""

    def __init__(self, config: Config, scene: Scene, look: Look) -> None:
        self._starts_first = config.order == Config.ORDER_START_FIRST
        self._scene = scene
        self._look = look
        self._standings: dict[SlotKey, Standing] = {}
        self._beginning: dict[SlotKey, Slot] = {}

    def add(self, standing: Standing) -> None:
        """A slot whose trial is over, or that has strayed."""
        self._standings[standing.slot.key] = standing

    def begin(self, slots: dict[SlotKey, Slot]) -> None:
        """Slots whose step begins."""
        self._beginning = slots

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
        strays = [task for task in slot.wanted if self._look.is_outdated(task)]
        return [update(retired(task, self._scene.now)) for task in strays]


def _free_places(config: Config, busy: int) -> int | None:
    """How many more steps may begin; None for any number."""
    parallelism = config.parallelism if config.HasField("parallelism") else 1
    return max(0, parallelism - busy) if parallelism else None


def _first(slots: dict[SlotKey, Slot], count: int | None) -> dict[SlotKey, Slot]:
    return slots if count is None or count >= len(slots) else dict(islice(slots.items(), count))


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
