"""What is in a volume of this node, sent to a manager or taken in from one, over the channel that
the agent opened.

What is sent and what is taken in is an order's; nothing is read ahead of the other side, and a
stream that falls silent is an error. Stores nothing.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import TypeAlias

import grpc

from api.errors import Code, SwarmError
from api.v1 import volume_pb2, volume_pb2_grpc
from worker.node_volumes import NodeVolumes

Broker: TypeAlias = "volume_pb2_grpc.VolumeBrokerAsyncStub"  # a class for type checkers only
Incoming: TypeAlias = "grpc.aio.UnaryStreamCall[volume_pb2.ReceiveVolumeRequest, Piece]"
Order = volume_pb2.VolumeOrder
Piece = volume_pb2.VolumePiece

SILENCE = 90.0
"""Seconds; longer than the manager waits for whoever sends, so that its reason is told."""


async def send(broker: Broker, volumes: NodeVolumes, order: Order) -> None:
    """Sends the archive of a volume, or why there is none; returns when that was taken."""
    await broker.Send(_outgoing(volumes, order))


async def take_in(broker: Broker, volumes: NodeVolumes, order: Order) -> None:
    """Fills a volume from what a manager sends; SwarmError if it is not whole."""
    call = broker.Receive(volume_pb2.ReceiveVolumeRequest(order_id=order.id))
    try:
        async with aclosing(_incoming(call)) as pieces:
            await volumes.fill(order, pieces)
    finally:
        call.cancel()


async def _outgoing(volumes: NodeVolumes, order: Order) -> AsyncIterator[Piece]:
    yield Piece(order_id=order.id)
    end = volume_pb2.VolumeEnd()
    try:
        async with aclosing(volumes.save(order)) as pieces:
            async for piece in pieces:
                yield Piece(data=piece)
    except SwarmError as error:
        end = volume_pb2.VolumeEnd(error=str(error), code=error.code.value)
    yield Piece(end=end)


async def _incoming(call: Incoming) -> AsyncGenerator[bytes, None]:
    try:
        while True:
            async with asyncio.timeout(SILENCE):
                message = await call.read()
            if not isinstance(message, Piece):
                raise SwarmError(Code.UNAVAILABLE, "the data ended before it was whole")
            if message.WhichOneof("kind") == "end":
                return
            yield message.data
    except TimeoutError:
        raise SwarmError(Code.DEADLINE, f"no data has come for {SILENCE:g} s") from None
    except grpc.aio.AioRpcError as error:
        raise SwarmError(
            Code.UNAVAILABLE, "the data was broken off", why=error.details() or str(error.code())
        ) from error
