"""Addresses that nobody holds any more rest in their network until no node can know them. Pure.

A node that knew the former holder of an address would send to the wrong place. So an address is
free again once every node that is up has confirmed a version of the state in which it was given up.
"""

from collections.abc import Callable, Iterator

from api.v1 import objects_pb2
from manager.state.changes import Batch, Event, batch, copy, update
from manager.state.store import View

PERIOD = 1.0
"""Seconds between two looks, while any address rests."""

OVERDUE = 60.0
"""Seconds for which addresses may rest, though all is well; and between two complaints."""

Network = objects_pb2.Network


class Rests:
    """Which networks have resting addresses, and when to look. Fulfils writer.Outbox."""

    def __init__(self, confirmed: Callable[[], int]) -> None:
        """`confirmed`: the version that every node that is up has carried out."""
        self._confirmed = confirmed
        self._networks: dict[str, None] = {}
        self._looked_at: float | None = None
        self._moved_at: float | None = None

    def begin(self, view: View) -> None:
        """From the state as it is."""
        self._networks = {each.id: None for each in view.all(Network) if each.resting}

    def observe(self, event: Event) -> None:
        """A network changed, came or went."""
        if isinstance(event.new, Network) and event.new.resting:
            self._networks[event.new.id] = None
        else:
            self._networks.pop(event.object.id, None)
        if not self._networks:
            self._moved_at = None

    def due(self, now: float) -> float | None:
        """When to look; None while nothing rests."""
        if not self._networks:
            return None
        return now if self._looked_at is None else self._looked_at + PERIOD

    def take(self, now: float) -> int:
        """The version that is confirmed now."""
        self._looked_at = now
        return self._confirmed()

    def is_overdue(self, now: float) -> bool:
        """Whether addresses have rested for too long; once in a while only."""
        if self._moved_at is None or not self._networks or now - self._moved_at < OVERDUE:
            return False
        self._moved_at = now
        return True

    def restore(self, taken: int) -> None:
        """Nothing: the next look finds it again."""

    def batches(self, view: View, taken: int) -> Iterator[Batch]:
        """The networks without those addresses that have rested for long enough."""
        if self._moved_at is None:
            self._moved_at = self._looked_at
        for network_id in list(self._networks):
            network = view.get(Network, network_id)
            if network is None:
                continue
            left = [each for each in network.resting if each.since > taken]
            if len(left) < len(network.resting):
                self._moved_at = self._looked_at
                changed = copy(network)
                del changed.resting[:]
                changed.resting.extend(left)
                yield batch(update(changed))
