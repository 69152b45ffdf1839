"""Logs of this node's tasks, for the managers' log broker, over the channel that the agent opened.

A subscription is answered with the lines of every task it selects, those of ended tasks too while
their container is kept; one that follows takes in tasks that start later (SwarmKit,
agent/worker.go, `Subscribe`), and these whole, also what they wrote before they are first read,
where SwarmKit takes the last lines of that. Readers stop while the stream to the manager is full.
Stores nothing.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from typing import NoReturn, TypeAlias

import grpc

from api.errors import Code, SwarmError
from api.v1 import logs_pb2, logs_pb2_grpc, objects_pb2
from worker.backoff import Chance
from worker.executor import Executor
from worker.listening import Work, listen

log = logging.getLogger(__name__)

Task = objects_pb2.Task
Subscription = logs_pb2.Subscription
LogMessage = logs_pb2.LogMessage
Broker: TypeAlias = "logs_pb2_grpc.LogBrokerAsyncStub"  # a class for type checkers only
Subscriptions: TypeAlias = "grpc.aio.UnaryStreamCall[logs_pb2.ListenRequest, Subscription]"
Readable = Callable[[], Iterable[Task]]
"""Gives the tasks that have logs."""

QUEUED = 256
"""Lines that readers of one subscription may be ahead of its stream."""
BATCH_LINES = 200
BATCH_BYTES = 64 << 10
"""What goes into one message at most, the last line aside."""


def selects(selector: logs_pb2.LogSelector, task: Task) -> bool:
    """Whether a subscription wants the logs of this task: by its service, node, or own id."""
    return (
        task.id in selector.task_ids
        or task.service_id in selector.service_ids
        or task.node_id in selector.node_ids
    )


class LogPublisher:
    """All subscriptions of the present session."""

    def __init__(self, executor: Executor, chance: Chance) -> None:
        self._executor = executor
        self._chance = chance
        self._publications: dict[str, _Publication] = {}

    def offer(self, task: Task) -> None:
        """A task has logs from now on: whoever follows may want them."""
        for publication in self._publications.values():
            publication.offer(task)

    async def serve(self, channel: grpc.aio.Channel, readable: Readable) -> NoReturn:
        """Listens for subscriptions and answers them until it is cancelled."""
        broker = logs_pb2_grpc.LogBrokerStub(channel)

        def open_stream() -> Subscriptions:
            return broker.Listen(logs_pb2.ListenRequest())

        def take(subscription: Subscription) -> Work | None:
            if subscription.close:
                self._close(subscription.id)
                return None
            if subscription.id in self._publications:
                return None
            return self._publish(broker, readable, subscription)

        await listen(open_stream, take, self._chance, "log broker")

    def _close(self, subscription_id: str) -> None:
        publication = self._publications.get(subscription_id)
        if publication is not None:
            publication.close()

    async def _publish(
        self, broker: Broker, readable: Readable, subscription: Subscription
    ) -> None:
        publication = _Publication(self._executor, subscription)
        self._publications[subscription.id] = publication
        try:
            await publication.run(broker, readable())
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError) as error:
            # Writing to a call that the manager has ended is an invalid state to gRPC.
            log.info("log subscription %s ended early: %r", subscription.id, error)
        except Exception:  # the boundary of the subscription: others go on
            log.exception("log subscription %s broke down", subscription.id)
        finally:
            del self._publications[subscription.id]


class _Publication:
    """One subscription: a reader per task, one queue, one stream to the manager."""

    def __init__(self, executor: Executor, subscription: Subscription) -> None:
        self._executor = executor
        self._subscription = subscription
        self._whole = logs_pb2.LogOptions()
        self._whole.CopyFrom(subscription.options)
        self._whole.tail = -1
        self._queue: asyncio.Queue[LogMessage | None] = asyncio.Queue(QUEUED)
        self._readers: dict[str, asyncio.Task[None]] = {}
        self._errors: list[str] = []
        self._closed = asyncio.Event()

    def offer(self, task: Task) -> None:
        """Reads a task too that has logs only now, if this subscription follows and selects it."""
        if self._subscription.options.follow and not self._closed.is_set():
            self._read(task, self._whole)

    def close(self) -> None:
        """Nobody listens any more."""
        self._closed.set()

    async def run(self, broker: Broker, tasks: Iterable[Task]) -> None:
        """Publishes until everything is sent, or the subscription is closed."""
        for task in tasks:
            self._read(task, self._wanted(task))
        call = broker.Publish()
        end = asyncio.create_task(self._end())
        closed = asyncio.create_task(self._closed.wait())
        sending = asyncio.create_task(self._send(call))
        try:
            await asyncio.wait({sending, closed}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                await sending
        finally:
            helpers = (sending, closed, end, *self._readers.values())
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            call.cancel()

    def _wanted(self, task: Task) -> logs_pb2.LogOptions:
        """Of a task that has logs when this begins."""
        asked = self._subscription
        came_later = asked.options.follow and task.id not in asked.tail_task_ids
        return self._whole if came_later else asked.options

    def _read(self, task: Task, options: logs_pb2.LogOptions) -> None:
        if task.id not in self._readers and selects(self._subscription.selector, task):
            reader = asyncio.create_task(self._read_one(task, options), name=f"logs of {task.id}")
            self._readers[task.id] = reader

    async def _read_one(self, task: Task, options: logs_pb2.LogOptions) -> None:
        try:
            lines = self._executor.logs(task, options)
            async with contextlib.aclosing(lines):
                async for line in lines:
                    await self._queue.put(line)
        except SwarmError as error:
            if error.code is not Code.NOT_FOUND:
                self._failed(task, str(error))
        except Exception as error:  # the boundary of the reader: other tasks' logs go on
            log.exception("reading the logs of task %s broke down", task.id)
            self._failed(task, repr(error))

    def _failed(self, task: Task, why: str) -> None:
        log.warning("the logs of task %s are not complete: %s", task.id, why)
        self._errors.append(f"task {task.id}: {why}")

    async def _end(self) -> None:
        """Puts the end mark behind the last line; a subscription that follows has none."""
        if self._subscription.options.follow:
            return
        await asyncio.gather(*self._readers.values())
        await self._queue.put(None)

    async def _send(
        self,
        call: "grpc.aio.StreamUnaryCall[logs_pb2.PublishLogsMessage, logs_pb2.PublishLogsResponse]",
    ) -> None:
        done = False
        while not done:
            message = logs_pb2.PublishLogsMessage(subscription_id=self._subscription.id)
            size = 0
            line = await self._queue.get()
            while line is not None:
                message.messages.append(line)
                size += len(line.data)
                full = len(message.messages) >= BATCH_LINES or size >= BATCH_BYTES
                if full or self._queue.empty():
                    break
                line = self._queue.get_nowait()
            done = line is None
            if done:
                message.done = True
                message.error = "; ".join(self._errors)
            await call.write(message)
        await call.done_writing()
        await call
