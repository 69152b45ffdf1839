"""A manager's brokers as an agent sees them: they say what a test says, and keep the answers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Generic, Protocol, TypeVar

from api.v1 import check_pb2, check_pb2_grpc, volume_pb2, volume_pb2_grpc

O = TypeVar("O")  # noqa: E741 - an order


class Reported(Protocol):
    """An answer to an order."""

    order_id: str


R = TypeVar("R", bound=Reported)


class FakeBroker(Generic[O, R]):
    """One agent at a time listens."""

    def __init__(self, order: Callable[..., O], thanks: Callable[[], Any]) -> None:
        self.answers: dict[str, R] = {}
        self.listening = 0
        self._order = order
        self._thanks = thanks
        self._orders: asyncio.Queue[O] = asyncio.Queue()
        self._changed = asyncio.Condition()

    async def order(self, order_id: str, **fields: Any) -> None:
        await self._orders.put(self._order(id=order_id, **fields))

    async def answer(self, order_id: str) -> R:
        await self.until(lambda: order_id in self.answers)
        return self.answers[order_id]

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(20), self._changed:
            await self._changed.wait_for(condition)

    async def Listen(self, request: Any, context: Any) -> AsyncIterator[O]:
        self.listening += 1
        await self._notify()
        while True:
            yield await self._orders.get()

    async def Report(self, request: R, context: Any) -> Any:
        self.answers[request.order_id] = request
        await self._notify()
        return self._thanks()

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()


class FakeCheckBroker(
    FakeBroker[check_pb2.CheckOrder, check_pb2.CheckReportRequest],
    check_pb2_grpc.CheckBrokerServicer,
):
    """Of checks of networks."""

    def __init__(self) -> None:
        super().__init__(check_pb2.CheckOrder, check_pb2.CheckReportResponse)


class FakeVolumeBroker(
    FakeBroker[volume_pb2.VolumeOrder, volume_pb2.VolumeOrderReport],
    volume_pb2_grpc.VolumeBrokerServicer,
):
    """Of orders to drivers of volumes, and of what is in volumes."""

    def __init__(self) -> None:
        super().__init__(volume_pb2.VolumeOrder, volume_pb2.VolumeOrderReportResponse)
        self.sent: dict[str, list[volume_pb2.VolumePiece]] = {}
        """What agents have sent, by order."""
        self.given: dict[str, list[volume_pb2.VolumePiece]] = {}
        """What agents are given, by order."""

    async def Send(
        self, request_iterator: AsyncIterator[volume_pb2.VolumePiece], context: Any
    ) -> volume_pb2.SendVolumeResponse:
        first, *pieces = [piece async for piece in request_iterator]
        self.sent[first.order_id] = pieces
        await self._notify()
        return volume_pb2.SendVolumeResponse()

    async def Receive(
        self, request: volume_pb2.ReceiveVolumeRequest, context: Any
    ) -> AsyncIterator[volume_pb2.VolumePiece]:
        for piece in self.given[request.order_id]:
            yield piece
