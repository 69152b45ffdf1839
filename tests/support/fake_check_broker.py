"""A manager's check broker as an agent sees it: it says what a test says, and keeps the answers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from api.v1 import check_pb2, check_pb2_grpc


class FakeCheckBroker(check_pb2_grpc.CheckBrokerServicer):
    """One agent at a time listens."""

    def __init__(self) -> None:
        self.answers: dict[str, check_pb2.CheckReportRequest] = {}
        self.listening = 0
        self._orders: asyncio.Queue[check_pb2.CheckOrder] = asyncio.Queue()
        self._changed = asyncio.Condition()

    async def order(self, order_id: str, **fields: Any) -> None:
        await self._orders.put(check_pb2.CheckOrder(id=order_id, **fields))

    async def answer(self, order_id: str) -> check_pb2.CheckReportRequest:
        await self.until(lambda: order_id in self.answers)
        return self.answers[order_id]

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(20), self._changed:
            await self._changed.wait_for(condition)

    async def Listen(self, request: Any, context: Any) -> AsyncIterator[check_pb2.CheckOrder]:
        self.listening += 1
        await self._notify()
        while True:
            yield await self._orders.get()

    async def Report(
        self, request: check_pb2.CheckReportRequest, context: Any
    ) -> check_pb2.CheckReportResponse:
        self.answers[request.order_id] = request
        await self._notify()
        return check_pb2.CheckReportResponse()

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()
