"""The managers that a node knows of, and which of them to try next. Pure.

The choice is weighted at random, so that the nodes of a cluster spread over its managers; each
failure in a row makes a manager eight times less likely, so that a dead one is tried seldom, and
one that is the last hope is tried still (SwarmKit, remotes/remotes.go). Only the leader takes
sessions: a manager that does not lead names it, and the choice is no choice then.
"""

from collections.abc import Iterable, Sequence

from api.v1 import dispatcher_pb2
from worker.backoff import Chance

ManagerAddress = dispatcher_pb2.ManagerAddress

_MOST_FAILURES = 4
_PENALTY_BITS = 3


class Managers:
    """Addresses with weights, and how each did lately."""

    def __init__(self, known: Iterable[ManagerAddress]) -> None:
        self._known = _distinct(known)
        self._failures: dict[str, int] = {}
        self._named = ""

    @property
    def known(self) -> Sequence[ManagerAddress]:
        """The managers, by address."""
        return self._known

    def replace(self, managers: Iterable[ManagerAddress]) -> bool:
        """Takes over a list that a manager sent; whether it differs. An empty one says nothing."""
        fresh = _distinct(managers)
        if not fresh or fresh == self._known:
            return False
        self._known = fresh
        addresses = {manager.address for manager in fresh}
        self._failures = {a: n for a, n in self._failures.items() if a in addresses}
        return True

    def name_leader(self, address: str) -> None:
        """A manager said that this one leads: it is tried next, once, known or not."""
        self._named = address

    def choose(self, chance: Chance) -> ManagerAddress | None:
        """The manager to try now; None if none is known."""
        if self._named:
            named, self._named = self._named, ""
            return ManagerAddress(address=named, weight=1)
        if not self._known:
            return None
        weights = [self._weight(manager) for manager in self._known]
        drawn = chance.randrange(sum(weights))
        for manager, weight in zip(self._known, weights, strict=True):
            drawn -= weight
            if drawn < 0:
                return manager
        raise AssertionError("chance drew a number outside its range")

    def succeeded(self, address: str) -> None:
        """A session with this manager was opened."""
        self._failures.pop(address, None)

    def failed(self, address: str) -> None:
        """No session could be opened with this manager, or it broke."""
        self._failures[address] = min(_MOST_FAILURES, self._failures.get(address, 0) + 1)

    def answered(self, address: str) -> None:
        """This manager lives, and has no session for the node: it does not lead.

        It must not be tried as seldom as those that may be gone for good; nor must the node cling
        to it: it may be cut off, or removed, and not know it.
        """
        others = [
            self._failures.get(manager.address, 0)
            for manager in self._known
            if manager.address != address
        ]
        self._failures[address] = max(0, min(others, default=0) - 1)

    def _weight(self, manager: ManagerAddress) -> int:
        failures = self._failures.get(manager.address, 0)
        return max(1, manager.weight) << _PENALTY_BITS * (_MOST_FAILURES - failures)


def _distinct(managers: Iterable[ManagerAddress]) -> list[ManagerAddress]:
    by_address = {manager.address: manager for manager in managers if manager.address}
    return [by_address[address] for address in sorted(by_address)]
