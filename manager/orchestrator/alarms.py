"""When to look again at a service, or at one of its slots, even if nothing happens. Pure."""

from heapq import heapify, heappop, heappush

from manager.state.indexes import SlotKey

WHOLE = ""
"""In the place of a slot: the service as a whole. No slot has this key."""

_SPARE = 64


class Alarms:
    """The earliest moment for each service and slot. Setting and finding cost the same for many."""

    def __init__(self) -> None:
        self._of_service: dict[str, dict[SlotKey, float]] = {}
        # What was put off or taken back stays in the heap until its time, or until it is half.
        self._heap: list[tuple[float, str, str, SlotKey]] = []
        self._count = 0

    def set(self, service_id: str, key: SlotKey, at: float) -> None:
        """Looks at the slot at that time at the latest."""
        times = self._of_service.setdefault(service_id, {})
        before = times.get(key)
        if before is not None and before <= at:
            return
        self._count += before is None
        times[key] = at
        heappush(self._heap, _entry(at, service_id, key))
        self._tidy()

    def cancel(self, service_id: str, key: SlotKey) -> None:
        """Forgets the slot's; harmless where there is none."""
        times = self._of_service.get(service_id, {})
        if times.pop(key, None) is not None:
            self._count -= 1
            if not times:
                del self._of_service[service_id]

    def forget(self, service_id: str) -> None:
        """Forgets those of the service and all its slots."""
        self._count -= len(self._of_service.pop(service_id, ()))
        self._tidy()

    def ring(self, now: float) -> list[tuple[str, SlotKey]]:
        """Takes out those whose time has come."""
        due = []
        while (at := self.next()) is not None and at <= now:
            _, service_id, _, key = heappop(self._heap)
            self.cancel(service_id, key)
            due.append((service_id, key))
        return due

    def next(self) -> float | None:
        """The earliest moment; None if there is none."""
        while self._heap:
            at, service_id, _, key = self._heap[0]
            if self._of_service.get(service_id, {}).get(key) == at:
                return at
            heappop(self._heap)
        return None

    def _tidy(self) -> None:
        if len(self._heap) > 2 * self._count + _SPARE:
            self._heap = [
                _entry(at, service_id, key)
                for service_id, times in self._of_service.items()
                for key, at in times.items()
            ]
            heapify(self._heap)


def _entry(at: float, service_id: str, key: SlotKey) -> tuple[float, str, str, SlotKey]:
    """Numbers and ids of nodes do not compare; all slots of one service are of one kind.

    The service as a whole has the key of a node, so the kind stands before it.
    """
    return at, service_id, type(key).__name__, key
