"""Which node carries out which order to a driver, when it is tried again, and what is to be thought
of one that was never answered. Pure.

One order about a volume is under way at a time; a node that carried out one gets the next, so that
calls come in order. Nothing of this is stored: a new leader gives every order anew, which is why
each is safe to repeat. What is not safe is an order to let a node in that comes late, after that
node was fenced: so only what one node alone was told, and answered, makes a node fenceable; and a
driver that took too long, or of which nobody knows what it did, has not answered. And a
fence that was begun is brought to its end, though the node is back: nobody knows how far it came.

Times are monotonic seconds of this manager.
"""

import contextlib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from api.errors import Code, SwarmError
from api.ids import IdSource
from api.v1 import objects_pb2
from api.volumes import driver_of
from manager.volumes.drivers import Drivers
from manager.volumes.order import DELETE, FENCE, OPEN, Order, Outcome
from manager.volumes.orders import LIMIT, is_for, possible, wanted

Node = objects_pb2.Node
Volume = objects_pb2.Volume

PATIENCE = LIMIT + 10.0
"""Seconds after which an order that is not answered is given anew."""
FIRST_DELAY, LONGEST_DELAY = 1.0, 60.0
"""Seconds until what has failed is tried again: twice as long each time."""


class Given(NamedTuple):
    """An order that a node was given."""

    id: str
    node_id: str
    order: Order
    at: float


class Step(NamedTuple):
    """What agents are to be told: first what is taken back."""

    taken_back: list[Given]
    given: list[Given]


@dataclass
class _Tries:
    failures: int = 0
    not_before: float = 0.0
    begun: bool = False
    in_doubt: bool = False  # a former one may be under way


class OrderBook:
    """All orders of a cluster, while this manager leads. `begin` first."""

    def __init__(self, ids: IdSource) -> None:
        self.drivers = Drivers()
        self._ids = ids
        self._volumes: dict[str, Volume] = {}
        self._wanted: dict[str, list[Order]] = {}
        self._tries: dict[Order, _Tries] = {}
        self._given: dict[str, Given] = {}  # by volume
        self._listening: set[str] = set()
        self._last: dict[str, str] = {}  # who carried out something, by volume
        self._done: dict[str, Order] = {}  # what the state does not say yet, by volume

    def begin(self, volumes: Iterable[Volume], nodes: Iterable[Node]) -> None:
        """From the state as it is; who listens is known already. What was given is forgotten."""
        for held in (self._volumes, self._wanted, self._tries, self._given, self._last):
            held.clear()
        self._done.clear()
        self.drivers = Drivers()
        for node in nodes:
            self.drivers.put(node.id, node)
        for volume in volumes:
            self._put(volume.id, volume)
        for order, tries in self._tries.items():
            tries.in_doubt = order.verb == OPEN

    def observe(self, old: Node | Volume | None, new: Node | Volume | None) -> None:
        """A volume or a node is different now."""
        obj = new or old
        if isinstance(obj, Volume):
            self._put(obj.id, new if isinstance(new, Volume) else None)
        elif obj is not None and self.drivers.put(obj.id, new if isinstance(new, Node) else None):
            for volume in list(self._volumes.values()):
                self._put(volume.id, volume)

    def listens(self, node_id: str) -> None:
        """Its agent takes orders."""
        self._listening.add(node_id)

    def leaves(self, node_id: str, now: float) -> None:
        """It does not any more: nobody knows what becomes of those that it has."""
        self._listening.discard(node_id)
        for given in [each for each in self._given.values() if each.node_id == node_id]:
            self._unanswered(given, now)

    def step(self, now: float) -> Step:
        """What is to be told now."""
        step = Step([], [])
        for volume_id, given in list(self._given.items()):
            if given.order not in self._wanted.get(volume_id, ()):
                del self._given[volume_id]
                step.taken_back.append(given)
            elif given.at + PATIENCE <= now:
                self._unanswered(given, now)
                step.taken_back.append(given)
        for volume_id, orders in self._wanted.items():
            fresh = None if self._is_busy(volume_id) else self._give(orders, now)
            if fresh is not None:
                self._given[volume_id] = fresh
                step.given.append(fresh)
        return step

    def due(self) -> float | None:
        """When to `step` though nothing happens."""
        moments = [given.at + PATIENCE for given in self._given.values()]
        for volume_id, orders in self._wanted.items():
            if not self._is_busy(volume_id):
                moments += [self._tries[o].not_before for o in orders if self._able(o)]
        return min(moments, default=None)

    def answered(
        self, node_id: str, order_id: str, outcome: Outcome, now: float
    ) -> tuple[Order, bool]:
        """The order that a node has carried out, or could not; and whether no other like it can be
        under way. NOT_FOUND if nobody waits for it.
        """
        given = self._of(node_id, order_id)
        del self._given[given.order.volume_id]
        tries = self._tries.get(given.order, _Tries(in_doubt=True))  # nobody may want it by now
        if outcome is not Outcome.DONE:
            tries.in_doubt |= leaves_doubt(outcome)
            self._last.pop(given.order.volume_id, None)
            self._delay(tries, now)
        else:
            self._last[given.order.volume_id] = node_id
            self._done[given.order.volume_id] = given.order
        return given.order, not tries.in_doubt

    def given(self, node_id: str, order_id: str) -> Order:
        """The order that the node has under that id; NOT_FOUND if it has none such."""
        return self._of(node_id, order_id).order

    def begun(self, node_id: str, order_id: str) -> None:
        """Bytes flow for it: it may take as long as it likes, until `over`."""
        self._dated(self._of(node_id, order_id), math.inf)

    def over(self, node_id: str, order_id: str, now: float) -> None:
        """Its bytes have ended: the answer is to come."""
        with contextlib.suppress(SwarmError):  # it has come, or nobody waits for it any more
            self._dated(self._of(node_id, order_id), now)

    def fences(self, volume: Volume) -> bool:
        """Whether the volume's driver can shut nodes out."""
        return self.drivers.fences(driver_of(volume.spec))

    def repeat(self, order: Order, now: float) -> None:
        """What came of it could not be written: it is carried out again."""
        self._done.pop(order.volume_id, None)
        if order in self._tries:
            self._delay(self._tries[order], now)

    def _put(self, volume_id: str, volume: Volume | None) -> None:
        for order in self._wanted.pop(volume_id, ()):
            if volume is None:
                self._tries.pop(order, None)
        if volume is None:
            self._volumes.pop(volume_id, None)
            self._last.pop(volume_id, None)
            self._done.pop(volume_id, None)
            return
        before = self._volumes.get(volume_id, volume)
        self._volumes[volume_id] = volume
        orders = list(wanted(volume, self.drivers))
        orders[:0] = [each for each in possible(volume) if self._is_begun_fence(each, orders)]
        if orders:
            self._wanted[volume_id] = orders
        if self._done.get(volume_id) not in orders:
            self._done.pop(volume_id, None)
        for gone in [each for each in self._tries if each.volume_id == volume_id]:
            if gone not in orders:
                del self._tries[gone]
        for order in orders:
            tries = self._tries.setdefault(order, _Tries())
            if volume.removing and not before.removing:
                tries.not_before = 0.0  # whoever removes it waits for it

    def _of(self, node_id: str, order_id: str) -> Given:
        given = next((each for each in self._given.values() if each.id == order_id), None)
        if given is None or given.node_id != node_id:
            raise SwarmError(
                Code.NOT_FOUND,
                f"node {node_id} has no order {order_id or '(none)'}",
                why="it was taken back, took too long, or another manager leads now",
            )
        return given

    def _dated(self, given: Given, at: float) -> None:
        self._given[given.order.volume_id] = given._replace(at=at)

    def _is_busy(self, volume_id: str) -> bool:
        """Whether an order about it is under way, or done and not written yet.

        Given again in between, one to let a node in might come after that node was fenced.
        """
        return volume_id in self._given or volume_id in self._done

    def _is_begun_fence(self, order: Order, but: Iterable[Order]) -> bool:
        tries = self._tries.get(order)
        return order.verb == FENCE and tries is not None and tries.begun and order not in but

    def _give(self, orders: Iterable[Order], now: float) -> Given | None:
        for order in orders:
            tries = self._tries[order]
            if tries.not_before > now:
                continue
            able = self._able(order)
            if able:
                last = self._last.get(order.volume_id, "")
                chosen = last if last in able else able[tries.failures % len(able)]
                tries.begun = True
                return Given(self._ids(), chosen, order, now)
        return None

    def _able(self, order: Order) -> list[str]:
        """Nodes that listen, and could carry it out."""
        volume = self._volumes[order.volume_id]
        if order.transfer:  # whatever flags: its data is, or shall be, there alone
            return [order.node_id] if order.node_id in self._listening else []
        able = self.drivers.able(lambda driver: is_for(volume.spec, order.verb, driver))
        if order.verb == DELETE and volume.home:
            able = iter([each for each in able if each == volume.home])
        if order.verb == FENCE:
            able = iter([each for each in able if each != order.node_id])
        return [each for each in able if each in self._listening]

    def _unanswered(self, given: Given, now: float) -> None:
        self._given.pop(given.order.volume_id, None)
        self._last.pop(given.order.volume_id, None)
        tries = self._tries.get(given.order)
        if tries is not None:
            tries.in_doubt = True
            self._delay(tries, now)

    def _delay(self, tries: _Tries, now: float) -> None:
        tries.not_before = now + min(LONGEST_DELAY, FIRST_DELAY * 2**tries.failures)
        tries.failures = min(tries.failures + 1, 10)


def leaves_doubt(outcome: Outcome) -> bool:
    """Whether an order that failed so may yet come about, and after others."""
    return outcome is not Outcome.UNDONE
