"""The Logs and LogBroker services of api/v1/logs.proto: clients read, agents send.

Who is asked is decided in log_routing; lines wait in log_exchange. A node may publish only what it
was asked for, and only lines of its own tasks.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any, TypeAlias

import grpc

from api.errors import Code, SwarmError, invalid
from api.ids import IdSource
from api.serving import caller
from api.v1 import logs_pb2, logs_pb2_grpc, objects_pb2
from hostkit.clock import Clock
from manager.control.listener import check_member
from manager.control.log_exchange import LogExchange, Reading, closed
from manager.control.log_routing import Route, check
from manager.state.store import Store
from manager.state.watch import WatchHub

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class LogsService(logs_pb2_grpc.LogsServicer):
    """Serves clients. Agents reach the same exchange through LogBrokerService."""

    def __init__(self, *, store: Store, hub: WatchHub, monotonic: Clock, ids: IdSource) -> None:
        self.store = store
        self.exchange = LogExchange(store, monotonic)
        self._hub = hub
        self._ids = ids

    async def Subscribe(
        self, request: logs_pb2.SubscribeLogsRequest, context: Context
    ) -> AsyncIterator[logs_pb2.LogBatch]:
        """Lines of the selected tasks; ends when every source has said that it is done."""
        check(self.store, request.selector)
        route = Route(self._ids(), request.selector, request.options)
        reading = self.exchange.open(route)
        watching = self._hub.subscribe(
            reading.store_changed, match=lambda event: route.concerns(event.object)
        )
        try:
            while True:
                if reading.take_changed():
                    watching.take()
                    self.exchange.update(reading)
                if (made := reading.batch()) is not None:
                    yield made
                elif reading.is_finished():
                    return
                await reading.wait()
        finally:
            self._hub.unsubscribe(watching)
            self.exchange.close(reading)

    def end(self) -> None:
        """This manager stops to lead: every stream of clients and agents ends."""
        self.exchange.end(
            SwarmError(
                Code.UNAVAILABLE,
                "the stream of logs ended",
                why="this manager does not lead any more",
                remedy="connect to the leader and read again",
            )
        )


class LogBrokerService(logs_pb2_grpc.LogBrokerServicer):
    """Serves agents."""

    def __init__(self, logs: LogsService) -> None:
        self._store = logs.store
        self._exchange = logs.exchange

    async def Listen(
        self, request: logs_pb2.ListenRequest, context: Context
    ) -> AsyncIterator[logs_pb2.Subscription]:
        """What the calling node is asked for, and what nobody reads any more."""
        node_id = caller().id
        check_member(self._store, node_id)
        listener = self._exchange.listen(node_id)
        try:
            while True:
                yield await listener.next()
        finally:
            self._exchange.leave(listener)

    async def Publish(
        self, request_iterator: AsyncIterator[logs_pb2.PublishLogsMessage], context: Context
    ) -> logs_pb2.PublishLogsResponse:
        """Lines for one subscription, in one stream; the first message says for which."""
        node_id = caller().id
        async for first in request_iterator:
            reading = self._exchange.reading(first.subscription_id)
            publisher = _Publisher(self._store, reading, node_id)
            reading.route.heard(node_id)
            try:
                async with asyncio.timeout(None) as limit:
                    with reading.publishing(node_id, limit):
                        await publisher.take_all(first, request_iterator)
            except TimeoutError:
                raise closed(first.subscription_id) from None
            break
        return logs_pb2.PublishLogsResponse()


class _Publisher:
    """One node's stream for one client."""

    def __init__(self, store: Store, reading: Reading, node_id: str) -> None:
        self._store = store
        self._reading = reading
        self._node_id = node_id
        self._services: dict[str, str] = {}

    async def take_all(
        self,
        first: logs_pb2.PublishLogsMessage,
        others: AsyncIterator[logs_pb2.PublishLogsMessage],
    ) -> None:
        """Passes on every message up to the one that says done."""
        if await self._take(first):
            return
        async for message in others:
            if await self._take(message):
                return

    async def _take(self, message: logs_pb2.PublishLogsMessage) -> bool:
        route = self._reading.route
        if message.subscription_id != route.id:
            raise invalid(
                "subscription_id", "a stream serves one subscription", remedy="open one for each"
            )
        seen = route.heard(self._node_id)
        lines = seen.fresh(self._checked(message.messages))
        await self._reading.put(lines)
        seen.took(lines)
        if message.done:
            self._reading.done(self._node_id, message.error)
        return message.done

    def _checked(self, lines: Iterable[logs_pb2.LogMessage]) -> Iterable[logs_pb2.LogMessage]:
        for line in lines:
            if line.task_id not in self._services:
                task = self._store.get(objects_pb2.Task, line.task_id)
                if task is None:
                    continue  # reaped since; whose it was cannot be told any more
                if task.node_id != self._node_id or not self._reading.route.matches(task):
                    raise SwarmError(
                        Code.DENIED,
                        f"node {self._node_id} may not publish lines of task {line.task_id}",
                        why="it is another node's task, or was not asked for",
                        field="messages.task_id",
                    )
                self._services[task.id] = task.service_id
            line.node_id = self._node_id
            line.service_id = self._services[line.task_id]
            yield line
