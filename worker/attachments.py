"""Places in networks of the swarm for containers that are no tasks: asked for over the session, and
held for as long as somebody here needs them.

To the managers a place is a task of this node, which the agent follows as it does every other: it
runs while the place is held, and completes when it is not. So a place is given back even if the
daemon dies in between. Makes no links: `worker.networks` does, once the addresses are told.
"""

import asyncio
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Mapping,
)
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import NoReturn, TypeAlias

import grpc

from api import files, payloads, status
from api.errors import Code, SwarmError
from api.v1 import dispatcher_pb2, dispatcher_pb2_grpc, exec_pb2, logs_pb2, objects_pb2
from hostkit.clock import Clock
from worker.executor import (
    Doubts,
    Executor,
    ExitResult,
    Health,
    HealthState,
    Progress,
    RunningCommand,
    unheard,
    untold,
)
from worker.task_place import holds_place

Task = objects_pb2.Task
Dispatcher: TypeAlias = "dispatcher_pb2_grpc.DispatcherAsyncStub"  # a class for type checkers only

LIMIT = 15.0
"""Seconds in which a manager has to be found and to answer."""


class Attachments:
    """Of one host. Outlives sessions, and memberships in swarms."""

    def __init__(self) -> None:
        self._dispatcher: Dispatcher | None = None
        self._held: dict[str, asyncio.Event] = {}
        self.lost: Callable[[], Awaitable[None]] | None = None
        """Hears that the host has left its swarm, and with it all places."""
        self.is_member: Callable[[], bool] = lambda: True
        """Whether the host is in a swarm: nobody waits for the managers of none."""
        self._came = asyncio.Event()

    async def serve(self, channel: grpc.aio.Channel) -> NoReturn:
        """Asks the manager at the other end, until it is cancelled."""
        mine = dispatcher_pb2_grpc.DispatcherStub(channel)
        self._dispatcher = mine
        self._came.set()
        try:
            await asyncio.Event().wait()
        finally:
            if self._dispatcher is mine:
                self._dispatcher = None
                self._came.clear()
        raise AssertionError("nobody sets that event")

    async def attach(self, request: dispatcher_pb2.AttachRequest) -> dispatcher_pb2.AttachResponse:
        """A place, which is held from now on. UNAVAILABLE if no manager answers in time, and at
        once if the host is in no swarm.
        """
        if not self.is_member():
            raise _no_place(request, "this host is in no swarm")
        self.hold([request.attachment_id])
        try:
            return await self._ask(request)
        except BaseException:
            self.drop(request.attachment_id)
            raise

    def hold(self, attachment_ids: Iterable[str]) -> None:
        """These are needed here."""
        for attachment_id in attachment_ids:
            self._held.setdefault(attachment_id, asyncio.Event())

    def drop(self, attachment_id: str) -> None:
        """It is not needed any more; nothing happens if it was not held."""
        given_up = self._held.pop(attachment_id, None)
        if given_up is not None:
            given_up.set()

    async def leave(self) -> None:
        """The host has left its swarm: nothing is held any more."""
        for attachment_id in list(self._held):
            self.drop(attachment_id)
        if self.lost is not None:
            await self.lost()

    async def given_up(self, attachment_id: str) -> None:
        """Returns once it is not held."""
        held = self._held.get(attachment_id)
        if held is not None:
            await held.wait()

    async def _ask(self, request: dispatcher_pb2.AttachRequest) -> dispatcher_pb2.AttachResponse:
        lost: SwarmError | None = None
        try:
            async with asyncio.timeout(LIMIT):
                while True:
                    await self._came.wait()
                    if (dispatcher := self._dispatcher) is None:
                        continue
                    try:
                        return await dispatcher.Attach(request, timeout=LIMIT)
                    except grpc.aio.AioRpcError as error:
                        lost = status.from_grpc(error, "asking for a place in a network")
                        if lost.code is not Code.UNAVAILABLE:
                            raise lost from error
                    await asyncio.sleep(0.2)  # the session is about to find another manager
        except TimeoutError:
            why = f"no manager answered within {LIMIT:g} s"
            raise lost or _no_place(request, why) from None


def _no_place(request: dispatcher_pb2.AttachRequest, why: str) -> SwarmError:
    return SwarmError(
        Code.UNAVAILABLE,
        f"no place in network {request.network.target} can be had",
        why=why,
        remedy="see: swarmctl system info",
    )


@dataclass(frozen=True, slots=True)
class _GivenUp:
    """How a place ends: an ExitResult."""

    at: float
    code: int = 0
    oom_killed: bool = False
    message: str = ""


class PlaceKeeper:
    """Executor of an agent whose tasks may be places: those run nothing, and last until they are
    given up. All else is the affair of the executor over containers.
    """

    def __init__(self, containers: Executor, attachments: Attachments, wall: Clock) -> None:
        self._containers = containers
        self._attachments = attachments
        self._wall = wall

    async def describe(self) -> objects_pb2.NodeDescription:
        """See Executor."""
        return await self._containers.describe()

    async def recover(self) -> Collection[str]:
        """See Executor."""
        return await self._containers.recover()

    def hold(self, contents: Mapping[files.Key, payloads.Content]) -> None:
        """See Executor."""
        self._containers.hold(contents)

    async def prepare(self, task: Task, progress: Progress = untold) -> None:
        """See Executor."""
        if not holds_place(task):
            await self._containers.prepare(task, progress)

    async def start(self, task: Task) -> objects_pb2.ContainerStatus:
        """See Executor."""
        if holds_place(task):
            return objects_pb2.ContainerStatus(container_id=task.spec.attachment.container_id)
        return await self._containers.start(task)

    async def wait(self, task: Task) -> ExitResult:
        """See Executor."""
        if holds_place(task):
            await self._attachments.given_up(task.id)
            return _GivenUp(self._wall())
        return await self._containers.wait(task)

    async def health(
        self, task: Task, known: HealthState, doubts: Doubts = unheard
    ) -> Health | None:
        """See Executor."""
        return None if holds_place(task) else await self._containers.health(task, known, doubts)

    async def shutdown(self, task: Task) -> ExitResult | None:
        """See Executor."""
        return None if holds_place(task) else await self._containers.shutdown(task)

    async def terminate(self, task: Task) -> ExitResult | None:
        """See Executor."""
        return None if holds_place(task) else await self._containers.terminate(task)

    async def remove(self, task: Task) -> None:
        """See Executor."""
        if not holds_place(task):
            await self._containers.remove(task)

    def logs(
        self, task: Task, options: logs_pb2.LogOptions
    ) -> AsyncGenerator[logs_pb2.LogMessage, None]:
        """See Executor."""
        return self._containers.logs(task, options)

    def exec(
        self, task: Task, start: exec_pb2.ExecStart
    ) -> AbstractAsyncContextManager[RunningCommand]:
        """See Executor."""
        return self._containers.exec(task, start)
