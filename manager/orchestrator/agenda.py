"""Which services are to be looked at, which of them only in some slots, and from when on.

A look at a whole service costs its length. So what happens to one task has its slot looked at, and
only what concerns all slots the whole; and after a look at very many tasks the next one waits for a
while, in which more that calls for it may come together. Pure bookkeeping: reads no task.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from manager.orchestrator.alarms import WHOLE, Alarms
from manager.orchestrator.passes import Pass
from manager.state.indexes import SlotKey

MANY = 1000
"""Tasks of a service up to which a look at all of them is followed by the next at once."""
REST = 20e-6
"""Seconds per task for which a longer one rests: about as long as the look took."""


@dataclass(slots=True)
class Marks:
    """What is to be looked at of one service."""

    whole: bool = False
    slots: dict[SlotKey, bool] = field(default_factory=dict)  # whether a task left the slot
    under_way: Pass | None = None


class Agenda:
    """The services that are to be looked at.

    One for which something was proposed is left alone until all of that was applied or refused.
    """

    def __init__(self) -> None:
        self.alarms = Alarms()
        self._marked: dict[str, Marks] = {}
        self._rests: dict[str, float] = {}  # services of which the next whole look waits until then
        self._proposed: dict[str, set[str]] = {}  # by service: ids of objects on their way
        self._owner: dict[str, str] = {}  # of these objects

    def mark(self, service_id: str) -> bool:
        """Notes all of the service; whether it can be decided about now."""
        self._marks(service_id).whole = True
        return service_id not in self._proposed

    def mark_slot(self, service_id: str, key: SlotKey, *, was_left: bool = False) -> bool:
        """Notes one slot, in which a task fewer counts if it `was_left`; else as `mark`."""
        if key == WHOLE:
            return self.mark(service_id)
        slots = self._marks(service_id).slots
        slots[key] = slots.get(key, False) or was_left
        return service_id not in self._proposed

    def renew(self, service_id: str) -> bool:
        """Notes a service that has itself changed: a look under way is about what it was before."""
        self._marked.pop(service_id, None)
        self._rests.pop(service_id, None)
        return self.mark(service_id)

    def take(self, service_id: str) -> Marks:
        """What is to be looked at of the service, which is the caller's from now on."""
        return self._marked.pop(service_id)

    def put_back(self, service_id: str, marks: Marks) -> None:
        """What the step had no time for, behind the others that wait."""
        if marks.whole or marks.slots or marks.under_way is not None:
            self._marked[service_id] = marks

    def propose(self, service_id: str, object_ids: Iterable[str]) -> None:
        """Leaves the service alone until `settle` was told of each of the objects."""
        waiting = self._proposed.setdefault(service_id, set())
        for object_id in object_ids:
            self._owner[object_id] = service_id
            waiting.add(object_id)

    def settle(self, object_id: str) -> bool:
        """Takes a proposed object as applied or refused; whether that lets a look begin."""
        service_id = self._owner.pop(object_id, None)
        if service_id is None:
            return False
        waiting = self._proposed[service_id]
        waiting.discard(object_id)
        if waiting:
            return False
        del self._proposed[service_id]
        return service_id in self._marked

    def ring(self, now: float) -> None:
        """Notes that for which it is time."""
        for service_id, key in self.alarms.ring(now):
            self.mark_slot(service_id, key)
        for service_id in [s for s, until in self._rests.items() if until <= now]:
            del self._rests[service_id]

    def rest(self, service_id: str, tasks: int, now: float) -> None:
        """All of the service, so many tasks, was looked at."""
        if tasks > MANY:
            self._rests[service_id] = now + REST * tasks

    def may_begin(self, service_id: str, marks: Marks) -> bool:
        """Whether a look at all of the service is due, by these marks of it."""
        if not marks.whole or marks.under_way is not None:
            return False
        return service_id not in self._rests and service_id not in self._proposed

    def ready(self) -> list[str]:
        """The services of which something can be looked at now."""
        return [each for each, marks in self._marked.items() if self._is_ready(each, marks)]

    def next_wake(self) -> float | None:
        """When something is to be looked at even if nothing happens."""
        moments = [at for service_id, at in self._rests.items() if service_id in self._marked]
        alarm = self.alarms.next()
        return min(moments if alarm is None else [*moments, alarm], default=None)

    def _is_ready(self, service_id: str, marks: Marks) -> bool:
        if marks.under_way is not None or self.may_begin(service_id, marks):
            return True
        return bool(marks.slots) and service_id not in self._proposed

    def _marks(self, service_id: str) -> Marks:
        marks = self._marked.get(service_id)
        if marks is None:
            marks = self._marked[service_id] = Marks()
        return marks
