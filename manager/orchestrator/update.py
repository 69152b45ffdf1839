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

from collections import Counter
from collections.abc import Iterable
from heapq import nsmallest

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


class Rollout:
    """Where all slots of the service stand. It is shown the slots one by one, and each again that
    has changed, then says what to do: so a step costs what has changed.

    Good while the service itself stays as it is.
    """

    def __init__(self, scene: Scene) -> None:
        service = scene.service
        self._scene = scene
        self._state = service.update_status.state
        self._is_rollback = self._state == ROLLBACK_STARTED
        self._config = service.spec.rollback if self._is_rollback else service.spec.update
        self._look = Look(scene, self._config)
        self._starts_first = self._config.order == Config.ORDER_START_FIRST
        self._begins = False
        self._progress: dict[SlotKey, Progress] = {}
        self._count: Counter[Progress] = Counter()
        self._order: dict[SlotKey, int] = {}  # in which the slots were shown first
        self._outdated: dict[SlotKey, None] = {}
        self._culprits: dict[SlotKey, str] = {}  # the failed task, by slot
        self._over: dict[SlotKey, Standing] = {}  # whose trial is over, or that have strayed
        self._beginning: set[SlotKey] = set()

    @property
    def is_under_way(self) -> bool:
        """Whether it has begun, and is neither paused nor over."""
        return self._state in UNDER_WAY

    def turn_to(self, scene: Scene) -> None:
        """Goes on in another scene of the same service."""
        self._scene = scene
        self._look.turn_to(scene)

    def add(self, slot: Slot) -> float | None:
        """Takes a filled slot into account; they come in a lasting order.

        Returns when time alone changes how it stands.
        """
        if self._state in HALTED or self._begins:
            return None
        each = self._look.standing(slot)
        if not self.is_under_way:
            self._begins = each.progress in (Progress.OUTDATED, Progress.STRAYED)
            return None
        self.drop(slot.key)
        self._order.setdefault(slot.key, len(self._order))
        self._progress[slot.key] = each.progress
        self._count[each.progress] += 1
        if each.progress is Progress.OUTDATED:
            self._outdated[slot.key] = None
        elif each.progress in (Progress.PASSED, Progress.STRAYED):
            self._over[slot.key] = each
        elif each.progress is Progress.FAILED and each.trial is not None:
            self._culprits[slot.key] = each.trial.id
        return each.until

    def drop(self, key: SlotKey) -> None:
        """Forgets how the slot stood, if it was shown."""
        before = self._progress.pop(key, None)
        if before is not None:
            self._count[before] -= 1
            self._outdated.pop(key, None)
            self._over.pop(key, None)
            self._culprits.pop(key, None)

    def advance(self) -> objects_pb2.Service | None:
        """The new status of the service; where that is None, `steps` are due, and `begun`."""
        self._beginning = set()
        if not self.is_under_way:
            return (
                _with_status(self._scene, UPDATING, "update in progress") if self._begins else None
            )
        status = self._scene.service.update_status
        if not status.HasField("started_at"):  # whoever began it has no clock
            return _with_status(self._scene, status.state, status.message)
        failed = len(self._culprits)
        if failed and failed / len(self._progress) > self._config.max_failure_ratio:
            halted = self._after_failures()
            if halted is not None:
                return halted
        if self._count[Progress.SETTLED] + self._count[Progress.FAILED] == len(self._progress):
            state = ROLLBACK_COMPLETED if self._is_rollback else COMPLETED
            return _with_status(self._scene, state, f"{self._word} completed")
        self._beginning = self._first_outdated()
        return None

    def begun(self, shown: Iterable[Slot]) -> list[SlotKey]:
        """The slots, other than these, whose step begins now, in their order."""
        others = self._beginning - {slot.key for slot in shown}
        return sorted(others, key=self._order.__getitem__)

    def steps(self, slot: Slot) -> list[Change] | None:
        """What the rollout does to the slot now; None where that is nothing."""
        if slot.key in self._beginning:
            return self._step(slot)
        each = self._over.get(slot.key)
        if each is None:
            return None
        if each.progress is Progress.PASSED and each.trial is not None:
            return [update(_off_trial(each.trial))]
        return self._without_strays(slot)

    def _first_outdated(self) -> set[SlotKey]:
        """As many as may begin, of those that were shown first."""
        config = self._config
        parallelism = config.parallelism if config.HasField("parallelism") else 1
        free = max(0, parallelism - self._count[Progress.BUSY])
        if not parallelism or free >= len(self._outdated):
            return set(self._outdated)
        return set(nsmallest(free, self._outdated, key=self._order.__getitem__))

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

    @property
    def _word(self) -> str:
        return "rollback" if self._is_rollback else "update"

    def _after_failures(self) -> objects_pb2.Service | None:
        action = self._config.failure_action
        if action == Config.FAILURE_ACTION_CONTINUE:
            return None
        first = min(self._culprits, key=self._order.__getitem__)
        why = f"due to failure or early termination of task {self._culprits[first]}"
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
