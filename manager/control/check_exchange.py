"""Where checks of networks and the agents that carry them out meet, within one process.

Nothing is stored: an order waits for its agent, and whoever gave it for the report.
"""

import asyncio
from dataclasses import dataclass

from api.errors import Code, SwarmError
from api.v1 import check_pb2
from manager.control.listener import Listener, Listeners

Order = check_pb2.CheckOrder
Answer = check_pb2.CheckReportRequest


@dataclass
class _Waiting:
    node_id: str
    order: Order
    answer: asyncio.Future[Answer]


class CheckExchange:
    """All orders and all agents."""

    def __init__(self) -> None:
        self._listeners = Listeners[Order]("checks")
        self._waiting: dict[str, _Waiting] = {}

    async def ask(self, node_id: str, order: Order) -> Answer:
        """The report of a node, whenever its agent listens. Cancelled, the order is taken back."""
        waiting = _Waiting(node_id, order, asyncio.get_running_loop().create_future())
        self._waiting[order.id] = waiting
        try:
            self._listeners.tell(node_id, order)
            return await waiting.answer
        finally:
            del self._waiting[order.id]
            if waiting.answer.cancelled():
                self._listeners.tell(node_id, Order(id=order.id, close=True))

    def report(self, node_id: str, answer: Answer) -> None:
        """What an agent found. NOT_FOUND if nobody waits for it any more, DENIED if it is another
        node's.
        """
        waiting = self._waiting.get(answer.order_id)
        if waiting is None:
            raise SwarmError(
                Code.NOT_FOUND,
                f"check {answer.order_id or '(none)'} is over",
                why="its client left, it took too long, or another manager leads now",
            )
        if waiting.node_id != node_id:
            raise SwarmError(
                Code.DENIED,
                f"node {node_id} may not report for check {answer.order_id}",
                why="it was not asked",
            )
        if not waiting.answer.done():
            waiting.answer.set_result(answer)

    def listen(self, node_id: str) -> Listener[Order]:
        """An agent begins to listen, and is told of what waits for it; an older stream of the same
        node ends.
        """
        listener = self._listeners.open(node_id)
        for waiting in self._waiting.values():
            if waiting.node_id == node_id and not waiting.answer.done():
                listener.tell(waiting.order)
        return listener

    def leave(self, listener: Listener[Order]) -> None:
        """An agent listens no more."""
        self._listeners.leave(listener)

    def end(self, error: SwarmError) -> None:
        """Ends every stream of agents, and every check, with `error`."""
        for waiting in self._waiting.values():
            if not waiting.answer.done():
                waiting.answer.set_exception(error)
        self._listeners.end(error)
