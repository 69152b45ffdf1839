"""The VolumeBroker service of api/v1/volume.proto: what drivers do at their storage for the swarm.

Holds no rule of its own: what is to be done is in manager.volumes.orders, who does it in
manager.volumes.order_book. An order is given over the stream of an agent that listens; what came of
it is written before the agent's report is answered.
"""

import asyncio
import contextlib
import logging

from api.errors import Code, SwarmError
from api.ids import IdSource
from api.v1 import objects_pb2, volume_pb2
from hostkit.clock import Clock, timer
from manager.control.listener import Listener, Listeners, check_member
from manager.state.changes import Event
from manager.state.proposer import Proposer, propose_one
from manager.state.store import Store
from manager.state.volumes import node_name, secrets_of
from manager.state.watch import WatchHub, of
from manager.volumes.known import as_driver_knows
from manager.volumes.order import Order
from manager.volumes.order_book import OrderBook
from manager.volumes.orders import bounded, outcome, settled, written

logger = logging.getLogger(__name__)

Message = volume_pb2.VolumeOrder
Node = objects_pb2.Node
Report = volume_pb2.VolumeOrderReport
Volume = objects_pb2.Volume


class VolumeOrders:
    """All orders, and the agents that take them. `run` works while this manager leads."""

    def __init__(
        self, *, store: Store, hub: WatchHub, proposer: Proposer, monotonic: Clock, ids: IdSource
    ) -> None:
        self.store = store
        self._hub = hub
        self._proposer = proposer
        self._monotonic = monotonic
        self._book = OrderBook(ids)
        self._listeners = Listeners[Message]("orders about volumes")
        self._woken = asyncio.Event()

    async def run(self) -> None:
        """Gives orders until cancelled."""
        subscription = self._hub.subscribe(self._woken.set, match=of(Volume, Node))
        self._begin()
        try:
            while True:
                commits = subscription.take()
                if commits is None:
                    self._begin()
                for commit in commits or ():
                    for event in commit.events:
                        self._observe(event)
                self._step()
                await self._news()
        finally:
            self._hub.unsubscribe(subscription)

    def listen(self, node_id: str) -> Listener[Message]:
        """An agent takes orders from now on; an older stream of the same node ends."""
        check_member(self.store, node_id)
        if (older := self._listeners.get(node_id)) is not None:
            self._gone(older)
        listener = self._listeners.open(node_id)
        self._book.listens(node_id)
        self._woken.set()
        return listener

    def leave(self, listener: Listener[Message]) -> None:
        """An agent takes no more orders."""
        if self._listeners.leave(listener):
            self._gone(listener)

    def _gone(self, listener: Listener[Message]) -> None:
        self._book.leaves(listener.node_id, self._monotonic())
        self._woken.set()

    async def report(self, node_id: str, report: Report) -> None:
        """What a node has done, or could not; returns when that is durable."""
        report = bounded(report)
        order, alone = self._book.answered(
            node_id, report.order_id, outcome(report), self._monotonic()
        )
        if report.error:
            logger.warning(
                "%s of volume %s failed on node %s: %s",
                Message.Verb.Name(order.verb),
                order.volume_id,
                node_id,
                report.error,
            )
        written = False
        try:
            written = await self._write(order, report, alone)
        finally:
            if not (written or report.error):
                self._book.repeat(order, self._monotonic())
            self._woken.set()

    def given(self, node_id: str, order_id: str) -> Order:
        """The order that the node has under that id; NOT_FOUND."""
        return self._book.given(node_id, order_id)

    def begun(self, node_id: str, order_id: str) -> None:
        """Bytes flow for it: nobody loses patience before they have ended."""
        self._book.begun(node_id, order_id)

    def over(self, node_id: str, order_id: str) -> None:
        """They have: the report is to come."""
        self._book.over(node_id, order_id, self._monotonic())
        self._woken.set()

    def ask(self, node_id: str, message: Message) -> None:
        """Tells an agent its part of another one's order; UNAVAILABLE if it does not listen."""
        if not self._listeners.tell(node_id, message):
            raise SwarmError(
                Code.UNAVAILABLE,
                f"node {node_name(self.store, node_id)} does not answer",
                why="it has the data of the volume",
            )

    def end(self) -> None:
        """This manager stops to lead: the agents go to another."""
        error = SwarmError(
            Code.UNAVAILABLE,
            "no orders are given here",
            why="this manager does not lead any more",
            remedy="listen to the one that leads",
        )
        for listener in list(self._listeners.values()):
            self.leave(listener)
            listener.end(error)

    async def _write(self, order: Order, report: Report, alone: bool) -> bool:
        """Whether it changes the state."""
        while (volume := self.store.get(Volume, order.volume_id)) is not None:
            fences = self._book.fences(volume)
            change = settled(volume, order, report, alone=alone, fences=fences)
            if change is None:
                return False
            try:
                await propose_one(self._proposer, change)
            except SwarmError as error:
                if error.code is not Code.CONFLICT:
                    raise
            else:
                return True
        return False

    def _begin(self) -> None:
        self._book.begin(self.store.all(Volume), self.store.all(Node))

    def _observe(self, event: Event) -> None:
        old, new = (
            each if isinstance(each, Node | Volume) else None for each in (event.old, event.new)
        )
        self._book.observe(old, new)

    def _step(self) -> None:
        step = self._book.step(self._monotonic())
        for given in step.taken_back:
            self._listeners.tell(given.node_id, Message(id=given.id, close=True))
        for given in step.given:
            volume = self.store.get(Volume, given.order.volume_id)
            if volume is not None:
                known = as_driver_knows(volume, secrets_of(self.store, volume))
                message = written(volume, given.order, known)
                message.id = given.id
                self._listeners.tell(given.node_id, message)

    async def _news(self) -> None:
        due = self._book.due()
        left = None if due is None else due - self._monotonic()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if left is None else timer(left)):
                await self._woken.wait()
        self._woken.clear()
