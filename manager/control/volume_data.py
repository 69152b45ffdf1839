"""The VolumeData service of api/v1/volume.proto, and the streams of its VolumeBroker: what is in a
volume goes through here, from a node or an operator to a node or an operator.

Holds no rule of its own: which transfers there are follows from the state, and the orders for them
come as any others. A node sends and receives only for an order that it has.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, contextmanager
from typing import TypeVar

from api.errors import Code, SwarmError, invalid
from api.serving import Context, caller
from api.v1 import objects_pb2, volume_pb2, volume_pb2_grpc
from hostkit.together import alongside
from manager.control.volume_moves import VolumeMoves
from manager.control.volume_orders import VolumeOrders
from manager.control.volume_pipe import Pipe
from manager.state.store import Store
from manager.state.volumes import secrets_of
from manager.state.watch import WatchHub
from manager.volumes.known import as_driver_knows
from manager.volumes.order import FILL, SAVE

log = logging.getLogger(__name__)

SETUP = 10.0
"""Seconds in which a stream must say what it is about."""
BEGINNING = 600.0
"""Seconds until the first piece: tasks may be long in ending."""

Piece = volume_pb2.VolumePiece
T = TypeVar("T")
Transfer = objects_pb2.VolumeTransfer
Volume = objects_pb2.Volume


class VolumeData:
    """All archives that are on their way through this manager, while it leads."""

    def __init__(self, store: Store, orders: VolumeOrders) -> None:
        self.store = store
        self.orders = orders
        self._of_operators: dict[str, Pipe] = {}  # by transfer
        self._between_nodes: dict[str, tuple[str, Pipe]] = {}  # by order: who sends

    @contextmanager
    def operator(self, volume: Volume) -> Iterator[Pipe]:
        """An operator is at one end of the volume's transfer."""
        pipe = self._of_operators[volume.transfer.id] = Pipe(_title(volume))
        try:
            yield pipe
        finally:
            del self._of_operators[volume.transfer.id]
            pipe.end(_gone())

    def source(self, node_id: str, order_id: str) -> tuple[Pipe, bool]:
        """Where a node sends to; whether its order is then done. NOT_FOUND if nobody takes it."""
        sender, pipe = self._between_nodes.get(order_id, ("", None))
        if pipe is not None and sender == node_id:
            return pipe, False
        volume = self._ordered(node_id, order_id, SAVE)
        found = self._of_operators.get(volume.transfer.id)
        if found is None:
            raise _gone()
        return found, True

    @contextmanager
    def target(self, node_id: str, order_id: str) -> Iterator[Pipe]:
        """Where a node receives from; UNAVAILABLE if what sends is not there."""
        volume = self._ordered(node_id, order_id, FILL)
        if volume.transfer.kind == Transfer.KIND_RESTORE:
            found = self._of_operators.get(volume.transfer.id)
            if found is None:
                raise _gone()
            yield found
            return
        if order_id in self._between_nodes:
            raise SwarmError(Code.REFUSED, f"order {order_id} is carried out already")
        pipe = Pipe(_title(volume))
        self._between_nodes[order_id] = (volume.home, pipe)
        known = as_driver_knows(volume, secrets_of(self.store, volume))
        try:
            self.orders.ask(
                volume.home, volume_pb2.VolumeOrder(id=order_id, verb=SAVE, volume=known)
            )
            yield pipe
        finally:
            del self._between_nodes[order_id]
            pipe.end(_gone())

    def end(self) -> None:
        """This manager stops to lead."""
        error = SwarmError(
            Code.UNAVAILABLE,
            "the data of a volume was broken off",
            why="this manager does not lead any more",
            remedy="begin again: another manager leads by now",
        )
        for pipe in self._of_operators.values():
            pipe.end(error)
        for _, pipe in self._between_nodes.values():
            pipe.end(error)

    def _ordered(self, node_id: str, order_id: str, verb: int) -> Volume:
        order = self.orders.given(node_id, order_id)
        volume = self.store.get(Volume, order.volume_id)
        if volume is None or order.verb != verb or volume.transfer.id != order.transfer:
            raise _gone()
        return volume


class VolumeDataService(volume_pb2_grpc.VolumeDataServicer):
    """Serves operators."""

    def __init__(self, data: VolumeData, moves: VolumeMoves, hub: WatchHub) -> None:
        self._data = data
        self._moves = moves
        self._hub = hub

    async def Backup(
        self, request: volume_pb2.BackupVolumeRequest, context: Context
    ) -> AsyncIterator[Piece]:
        """The archive of a volume."""
        volume = await self._moves.save(request)
        who = caller()
        log.info("%s %s saves volume %s", who.role, who.id, volume.spec.annotations.name)
        try:
            with self._data.operator(volume) as pipe:
                async with aclosing(pipe.pieces(BEGINNING)) as pieces:
                    async for piece in pieces:
                        yield Piece(data=piece)
        finally:
            await self._give_up(volume)
        # Who is told of the end may go on with the volume, though the node has yet to report.
        yield Piece(end=volume_pb2.VolumeEnd())

    async def Restore(
        self,
        request_iterator: AsyncIterator[volume_pb2.RestoreVolumeRequest],
        context: Context,
    ) -> AsyncIterator[volume_pb2.RestoreVolumeResponse]:
        """A volume out of an archive."""
        head = await _head(request_iterator)
        volume = await self._moves.restore(head)
        who = caller()
        log.info("%s %s restores volume %s", who.role, who.id, volume.spec.annotations.name)
        try:
            with self._data.operator(volume) as pipe:
                taking = asyncio.create_task(_take(request_iterator, pipe))
                try:
                    await alongside(self._made(volume.id), pipe.broken())
                finally:
                    taking.cancel()
                    await asyncio.gather(taking, return_exceptions=True)
            yield volume_pb2.RestoreVolumeResponse(volume=self._whole(volume.id))
        finally:
            await self._give_up(volume)

    async def _made(self, volume_id: str) -> None:
        """Returns once the volume is whole; raises why it is not to be."""
        woken = asyncio.Event()
        watching = self._hub.subscribe(woken.set, match=lambda event: event.object.id == volume_id)
        try:
            while self._whole(volume_id) is None:
                await woken.wait()
                watching.take()
                woken.clear()
        finally:
            self._hub.unsubscribe(watching)

    def _whole(self, volume_id: str) -> Volume | None:
        volume = self._data.store.get(Volume, volume_id)
        if volume is None or volume.removing:
            raise SwarmError(
                Code.REFUSED,
                "the volume was not restored",
                why=volume.pending if volume is not None else "it was removed meanwhile",
            )
        return volume if volume.home else None

    async def _give_up(self, volume: Volume) -> None:
        """Whatever ended the call: the volume must not stay closed."""
        why = "the operator left before it was whole"
        giving_up = asyncio.ensure_future(self._moves.give_up(volume.id, volume.transfer.id, why))
        await asyncio.shield(giving_up)


async def send(data: VolumeData, messages: AsyncIterator[Piece]) -> None:
    """What a node sends for an order, up to its end, which is the report of one to save."""
    node_id = caller().id
    first = await _first(messages)
    order_id = "" if first is None else first.order_id
    pipe, is_last = data.source(node_id, order_id)
    if is_last:
        data.orders.begun(node_id, order_id)
    error: SwarmError | None = SwarmError(
        Code.UNAVAILABLE, "the node broke off", why="its stream ended before the archive did"
    )
    try:
        async for message in messages:
            if message.WhichOneof("kind") == "end":
                error = _told(message.end)
                break
            await pipe.put(message.data)
    finally:
        pipe.end(error)
        if is_last:
            data.orders.over(node_id, order_id)
    if is_last:
        report = volume_pb2.VolumeOrderReport(order_id=order_id, error=str(error or ""))
        await data.orders.report(node_id, report)


async def receive(data: VolumeData, order_id: str) -> AsyncGenerator[Piece, None]:
    """What a node is to fill a volume from."""
    node_id = caller().id
    with data.target(node_id, order_id) as pipe:
        data.orders.begun(node_id, order_id)
        try:
            async with aclosing(pipe.pieces()) as pieces:
                async for piece in pieces:
                    yield Piece(data=piece)
            yield Piece(end=volume_pb2.VolumeEnd())
        finally:
            data.orders.over(node_id, order_id)


async def _take(messages: AsyncIterator[volume_pb2.RestoreVolumeRequest], pipe: Pipe) -> None:
    """Passes on what an operator sends, up to its end."""
    error: SwarmError | None = _gone()
    try:
        async for message in messages:
            if message.piece.WhichOneof("kind") == "end":
                error = None
                break
            await pipe.put(message.piece.data)
    except SwarmError as refused:
        error = refused
    finally:
        pipe.end(error)


async def _head(
    messages: AsyncIterator[volume_pb2.RestoreVolumeRequest],
) -> volume_pb2.RestoreVolumeHead:
    first = await _first(messages)
    if first is None or first.WhichOneof("kind") != "head":
        raise invalid("head", "the first message must say which volume")
    return first.head


async def _first(messages: AsyncIterator[T]) -> T | None:
    """The first message of a stream, None if there is none; DEADLINE if it says nothing."""
    try:
        async with asyncio.timeout(SETUP):
            return await anext(messages, None)
    except TimeoutError:
        raise SwarmError(Code.DEADLINE, f"nothing was said within {SETUP:g} s") from None


def _told(end: volume_pb2.VolumeEnd) -> SwarmError | None:
    if not end.error:
        return None
    known = {code.value: code for code in Code}
    return SwarmError(known.get(end.code, Code.INTERNAL), end.error)


def _title(volume: Volume) -> str:
    return f"the data of volume {volume.spec.annotations.name}"


def _gone() -> SwarmError:
    return SwarmError(
        Code.NOT_FOUND,
        "nobody takes or sends the data of this volume any more",
        why="the operator or the node left, or another manager leads now",
    )
