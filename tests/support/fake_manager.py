"""A manager as an agent sees it: dispatcher and brokers on a unix socket, without a brain."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeAlias

import grpc

from api import channel, status, times
from api.errors import Code, SwarmError
from api.v1 import (
    check_pb2_grpc,
    dispatcher_pb2,
    dispatcher_pb2_grpc,
    logs_pb2,
    logs_pb2_grpc,
    objects_pb2,
    types_pb2,
    volume_pb2,
    volume_pb2_grpc,
)
from tests.support.fake_broker import FakeCheckBroker, FakeVolumeBroker

Change = dispatcher_pb2.AssignmentChange
Message = dispatcher_pb2.AssignmentsMessage
Task = objects_pb2.Task
TaskStatus = objects_pb2.TaskStatus
State: TypeAlias = types_pb2.TaskState.ValueType


class FakeManager(dispatcher_pb2_grpc.DispatcherServicer, logs_pb2_grpc.LogBrokerServicer):
    """Says what the test says; `refuse[method]` holds errors to answer with, one call each."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tasks: dict[str, Task] = {}
        self.reports: dict[str, list[TaskStatus]] = defaultdict(list)
        self.batches: list[int] = []
        self.renews = False
        self.volume_words: list[volume_pb2.NodeVolumeStatus] = []
        self.descriptions: list[objects_pb2.NodeDescription] = []
        self.leader = ""  # the address of another manager: this one does not lead
        self.passed_on = 0
        self.sessions = 0
        self.heartbeats = 0
        self.applied = 0
        self.completes = 0
        self.period = 60.0
        self.managers: list[dispatcher_pb2.ManagerAddress] = []
        self.refuse: dict[str, list[SwarmError]] = defaultdict(list)
        self.subscriptions: list[logs_pb2.Subscription] = []
        self.published: dict[str, list[logs_pb2.PublishLogsMessage]] = defaultdict(list)
        self.hold_publish: asyncio.Event | None = None
        self.hold_assignments: asyncio.Event | None = None
        self.checks = FakeCheckBroker()
        self.volumes = FakeVolumeBroker()
        self._changed = asyncio.Condition()
        self._sequence = 0
        self._streams: list[asyncio.Queue[Message | None]] = []
        self._session_streams: list[asyncio.Queue[Any]] = []
        self._listeners: list[asyncio.Queue[logs_pb2.Subscription]] = []
        self._server: grpc.aio.Server | None = None

    # --- what tests call --------------------------------------------------------------------

    async def start(self) -> None:
        self._server = grpc.aio.server(options=channel.SERVER_OPTIONS)
        dispatcher_pb2_grpc.add_DispatcherServicer_to_server(self, self._server)
        logs_pb2_grpc.add_LogBrokerServicer_to_server(self, self._server)
        check_pb2_grpc.add_CheckBrokerServicer_to_server(self.checks, self._server)
        volume_pb2_grpc.add_VolumeBrokerServicer_to_server(self.volumes, self._server)
        self._server.add_insecure_port(channel.socket_target(self.path))
        await self._server.start()

    async def stop(self) -> None:
        assert self._server is not None
        await self._server.stop(None)

    async def assign(self, *tasks: Task, confirm: bool = False) -> None:
        for task in tasks:
            self.tasks[task.id] = task
        changes = [Change(action=Change.ACTION_UPDATE, task=task) for task in tasks]
        await self._send(changes, confirm=confirm)

    async def want(self, task_id: str, desired: State) -> None:
        task = Task()
        task.CopyFrom(self.tasks[task_id])
        task.desired_state = desired
        await self.assign(task)

    async def remove(self, task_id: str) -> None:
        del self.tasks[task_id]
        await self._send([Change(action=Change.ACTION_REMOVE, task=Task(id=task_id))])

    async def give(self, secret_id: str, data: bytes) -> None:
        secret = objects_pb2.Secret(id=secret_id)
        secret.spec.data = data
        await self._send([Change(action=Change.ACTION_UPDATE, secret=secret)])

    def lose_a_message(self) -> None:
        self._sequence += 1

    async def end_assignments(self) -> None:
        for stream in self._streams:
            await stream.put(None)

    async def announce(self, *managers: dispatcher_pb2.ManagerAddress) -> None:
        self.managers = list(managers)
        for stream in self._session_streams:
            await stream.put(self._greeting())

    async def subscribe(self, subscription: logs_pb2.Subscription) -> None:
        for listener in self._listeners:
            await listener.put(subscription)

    async def until(self, condition: Callable[[], object]) -> None:
        """Waits until the condition holds; it is looked at after every call of an agent."""
        async with asyncio.timeout(20), self._changed:
            await self._changed.wait_for(condition)

    async def reported(self, task_id: str, state: State) -> TaskStatus:
        """Waits until the last report of a task has this state."""
        await self.until(lambda: self.state(task_id) == state)
        return self.reports[task_id][-1]

    def state(self, task_id: str) -> State:
        """The state in the last report of a task."""
        reports = self.reports.get(task_id)
        return reports[-1].state if reports else types_pb2.TASK_STATE_NEW

    def lines(self, subscription_id: str) -> list[bytes]:
        batches = self.published[subscription_id]
        return [message.data for batch in batches for message in batch.messages]

    # --- what agents call -------------------------------------------------------------------

    async def Session(self, request: Any, context: Any) -> AsyncIterator[Any]:
        await self._may_refuse("Session", context)
        if self.leader:
            self.passed_on += 1
            yield dispatcher_pb2.SessionMessage(leader=self.leader)
            return
        self.descriptions.append(request.description)
        self.sessions += 1
        stream: asyncio.Queue[Any] = asyncio.Queue()
        self._session_streams.append(stream)
        await self._notify()
        yield self._greeting()
        try:
            while True:
                yield await stream.get()
        finally:
            self._session_streams.remove(stream)

    async def Heartbeat(self, request: Any, context: Any) -> dispatcher_pb2.HeartbeatResponse:
        await self._may_refuse("Heartbeat", context)
        self.heartbeats += 1
        self.applied = request.applied
        await self._notify()
        return dispatcher_pb2.HeartbeatResponse(
            period=times.duration(self.period), leases_renewed=self.renews
        )

    async def Assignments(self, request: Any, context: Any) -> AsyncIterator[Message]:
        if self.hold_assignments is not None:
            await self.hold_assignments.wait()
        stream: asyncio.Queue[Message | None] = asyncio.Queue()
        self._streams.append(stream)
        self.completes += 1
        self._sequence += 1
        complete = Message(
            type=Message.TYPE_COMPLETE, results_in=str(self._sequence), version=self._sequence
        )
        for task in self.tasks.values():
            complete.changes.add(action=Change.ACTION_UPDATE, task=task)
        await self._notify()
        try:
            yield complete
            while (message := await stream.get()) is not None:
                yield message
        finally:
            self._streams.remove(stream)

    async def UpdateTaskStatus(self, request: Any, context: Any) -> Any:
        await self._may_refuse("UpdateTaskStatus", context)
        self.batches.append(len(request.updates))
        for update in request.updates:
            self.reports[update.task_id].append(update.status)
            if update.task_id in self.tasks:
                self.tasks[update.task_id].status.CopyFrom(update.status)
        await self._notify()
        return dispatcher_pb2.UpdateTaskStatusResponse()

    async def UpdateVolumeStatus(self, request: Any, context: Any) -> Any:
        await self._may_refuse("UpdateVolumeStatus", context)
        self.volume_words += request.updates
        await self._notify()
        return dispatcher_pb2.UpdateVolumeStatusResponse()

    async def Attach(self, request: Any, context: Any) -> Any:
        await self._may_refuse("Attach", context)
        target = request.network.target
        return dispatcher_pb2.AttachResponse(network_id=f"id of {target}", name=target)

    async def Listen(self, request: Any, context: Any) -> AsyncIterator[Any]:
        listener: asyncio.Queue[logs_pb2.Subscription] = asyncio.Queue()
        for subscription in self.subscriptions:
            listener.put_nowait(subscription)
        self._listeners.append(listener)
        await self._notify()
        try:
            while True:
                yield await listener.get()
        finally:
            self._listeners.remove(listener)

    async def Publish(self, request_iterator: Any, context: Any) -> logs_pb2.PublishLogsResponse:
        if self.hold_publish is not None:
            await self.hold_publish.wait()
        async for message in request_iterator:
            self.published[message.subscription_id].append(message)
            await self._notify()
        return logs_pb2.PublishLogsResponse()

    @property
    def listening(self) -> int:
        return len(self._listeners)

    # --- inside -----------------------------------------------------------------------------

    def _greeting(self) -> dispatcher_pb2.SessionMessage:
        return dispatcher_pb2.SessionMessage(
            session_id=f"session-{self.sessions}", managers=self.managers
        )

    async def _send(self, changes: list[Change], *, confirm: bool = False) -> None:
        before = self._sequence
        self._sequence += 1
        message = Message(
            type=Message.TYPE_INCREMENTAL,
            applies_to=str(before),
            version=self._sequence,
            results_in=str(self._sequence),
            changes=changes,
            confirm=confirm,
        )
        for stream in self._streams:
            await stream.put(message)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _may_refuse(self, method: str, context: Any) -> None:
        if self.refuse[method]:
            code, text, trailers = status.to_grpc(self.refuse[method].pop(0))
            await context.abort(code, text, trailers)


UNAVAILABLE = SwarmError(Code.UNAVAILABLE, "no leader")
