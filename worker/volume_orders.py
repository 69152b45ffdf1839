"""What this node's drivers do for the swarm at a storage, for the managers' volume broker, over the
channel that the agent opened.

Each order is answered once. One that was begun is not broken off by the managers' second thoughts:
half done it would help nobody. Stores nothing.
"""

import asyncio
import logging
from typing import NoReturn, TypeAlias

import grpc

from api.errors import SwarmError
from api.v1 import volume_pb2, volume_pb2_grpc
from worker.backoff import Chance
from worker.listening import Work, listen
from worker.node_volumes import NodeVolumes
from worker.volume_streams import send, take_in

log = logging.getLogger(__name__)

Order = volume_pb2.VolumeOrder
Report = volume_pb2.VolumeOrderReport
Broker: TypeAlias = "volume_pb2_grpc.VolumeBrokerAsyncStub"  # a class for type checkers only
Orders: TypeAlias = "grpc.aio.UnaryStreamCall[volume_pb2.ListenVolumesRequest, Order]"

AT_ONCE = 16
"""Orders that are carried out side by side; others wait."""
REPORT_TIMEOUT = 5.0


class OrderServer:
    """All orders of the present session."""

    def __init__(self, volumes: NodeVolumes, chance: Chance) -> None:
        self._volumes = volumes
        self._chance = chance
        self._waiting: set[str] = set()
        self._begun: set[str] = set()
        self._room = asyncio.Semaphore(AT_ONCE)

    async def serve(self, channel: grpc.aio.Channel) -> NoReturn:
        """Does what managers ask for, until it is cancelled."""
        broker = volume_pb2_grpc.VolumeBrokerStub(channel)

        def take(order: Order) -> Work | None:
            if order.close:
                self._waiting.discard(order.id)
                return None
            if order.id in self._waiting | self._begun:
                return None
            self._waiting.add(order.id)
            return self._run(broker, order)

        def open_stream() -> Orders:
            return broker.Listen(volume_pb2.ListenVolumesRequest())

        await listen(open_stream, take, self._chance, "volume broker")

    async def _run(self, broker: Broker, order: Order) -> None:
        try:
            async with self._room:
                if order.id not in self._waiting:  # taken back before it began
                    return
                self._waiting.discard(order.id)
                self._begun.add(order.id)
                report = await self._answer(broker, order)
            if report is not None:
                await broker.Report(report, timeout=REPORT_TIMEOUT)
        except grpc.aio.AioRpcError as error:
            log.info("nobody hears of order %s any more: %s", order.id, error.details())
        finally:
            self._waiting.discard(order.id)
            self._begun.discard(order.id)

    async def _answer(self, broker: Broker, order: Order) -> Report | None:
        """The report; None where the end of a stream is one."""
        try:
            if order.verb == Order.VERB_SAVE:
                await send(broker, self._volumes, order)
                return None
            if order.verb == Order.VERB_FILL:
                await take_in(broker, self._volumes, order)
                return Report(order_id=order.id)
            return await self._volumes.carry_out(order)
        except grpc.aio.AioRpcError:
            raise
        except SwarmError as error:
            return Report(order_id=order.id, error=str(error))
        except Exception as error:  # the boundary of an order: the session goes on
            log.exception("an order about volume %s broke down", order.volume.name)
            return Report(order_id=order.id, error=repr(error))
