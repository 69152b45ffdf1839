"""The VolumeBroker service of api/v1/volume.proto: agents hear what they are to do about volumes,
say what came of it, and send and receive what is in them.
"""

from collections.abc import AsyncIterator
from contextlib import aclosing

from api.serving import Context, caller
from api.v1 import volume_pb2, volume_pb2_grpc
from manager.control.volume_data import VolumeData, receive, send


class VolumeBrokerService(volume_pb2_grpc.VolumeBrokerServicer):
    """Serves agents."""

    def __init__(self, data: VolumeData) -> None:
        self._data = data
        self._orders = data.orders

    async def Listen(
        self, request: volume_pb2.ListenVolumesRequest, context: Context
    ) -> AsyncIterator[volume_pb2.VolumeOrder]:
        """What the calling node's drivers are to do, and what nobody wants any more."""
        listener = self._orders.listen(caller().id)
        try:
            while True:
                yield await listener.next()
        finally:
            self._orders.leave(listener)

    async def Report(
        self, request: volume_pb2.VolumeOrderReport, context: Context
    ) -> volume_pb2.VolumeOrderReportResponse:
        """What the calling node's driver has done; answers when it is durable."""
        await self._orders.report(caller().id, request)
        return volume_pb2.VolumeOrderReportResponse()

    async def Send(
        self, request_iterator: AsyncIterator[volume_pb2.VolumePiece], context: Context
    ) -> volume_pb2.SendVolumeResponse:
        """What is in a volume of the calling node; answers when that was taken."""
        await send(self._data, request_iterator)
        return volume_pb2.SendVolumeResponse()

    async def Receive(
        self, request: volume_pb2.ReceiveVolumeRequest, context: Context
    ) -> AsyncIterator[volume_pb2.VolumePiece]:
        """What the calling node is to put into a volume."""
        async with aclosing(receive(self._data, request.order_id)) as pieces:
            async for piece in pieces:
                yield piece
