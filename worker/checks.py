"""Checks of this node's networks, for the managers' check broker, over the channel that the agent
opened.

Each order is answered once. Stores nothing.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import NoReturn, TypeAlias

import grpc

from api.errors import SwarmError
from api.v1 import check_pb2, check_pb2_grpc
from worker.backoff import Chance
from worker.listening import Work, listen
from worker.node_networks import NodeNetworks

log = logging.getLogger(__name__)

Order = check_pb2.CheckOrder
Broker: TypeAlias = "check_pb2_grpc.CheckBrokerAsyncStub"  # a class for type checkers only
Orders: TypeAlias = "grpc.aio.UnaryStreamCall[check_pb2.ListenChecksRequest, Order]"

LIMIT = 20.0
"""Seconds that one look may take."""
REPORT_TIMEOUT = 5.0


class CheckServer:
    """All orders of the present session. `resync` asks the managers for everything anew."""

    def __init__(self, networks: NodeNetworks, chance: Chance, resync: Callable[[], None]) -> None:
        self._networks = networks
        self._chance = chance
        self._resync = resync
        self._running: dict[str, asyncio.Task[None] | None] = {}

    async def serve(self, channel: grpc.aio.Channel) -> NoReturn:
        """Does what managers ask for, until it is cancelled."""
        broker = check_pb2_grpc.CheckBrokerStub(channel)

        def take(order: Order) -> Work | None:
            if not order.close:
                if order.id in self._running:
                    return None
                self._running[order.id] = None
                return self._run(broker, order)
            if (running := self._running.pop(order.id, None)) is not None:
                running.cancel()
            return None

        def open_stream() -> Orders:
            return broker.Listen(check_pb2.ListenChecksRequest())

        await listen(open_stream, take, self._chance, "check broker")

    async def _run(self, broker: Broker, order: Order) -> None:
        if order.id not in self._running:  # taken back before it began
            return
        self._running[order.id] = asyncio.current_task()
        try:
            answer = await self._answer(order)
            await broker.Report(answer, timeout=REPORT_TIMEOUT)
        except grpc.aio.AioRpcError as error:
            log.info("nobody hears of check %s any more: %s", order.id, error.details())
        finally:
            self._running.pop(order.id, None)
        if order.fix and order.resync:
            self._resync()

    async def _answer(self, order: Order) -> check_pb2.CheckReportRequest:
        try:
            async with asyncio.timeout(LIMIT):
                return await self._networks.check(order)
        except TimeoutError:
            why = f"it took longer than {LIMIT:g} s: the host is too busy, or its kernel is stuck"
        except (SwarmError, OSError) as error:
            why = str(error)
        except Exception as error:  # the boundary of an order: the session goes on
            log.exception("checking networks broke down")
            why = repr(error)
        return check_pb2.CheckReportRequest(order_id=order.id, error=why)
