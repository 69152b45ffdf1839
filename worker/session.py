"""One session with one manager: registration, heartbeats, assignments, statuses, logs, commands.

It lasts until any of them fails. What goes over it is the affair of the `Work` it is given; where
to open the next one is `connection`'s.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol, TypeAlias, TypeVar, cast

import grpc

from api import status
from api.errors import Code, SwarmError
from api.times import seconds_of
from api.v1 import dispatcher_pb2, dispatcher_pb2_grpc, objects_pb2, volume_pb2
from hostkit.clock import boot
from hostkit.together import alongside
from worker.backoff import Backoff, Chance
from worker.node_volumes import SendVolumes
from worker.reporter import Send

log = logging.getLogger(__name__)

T = TypeVar("T")
Message = dispatcher_pb2.AssignmentsMessage
SessionStream: TypeAlias = (
    "grpc.aio.UnaryStreamCall[dispatcher_pb2.SessionRequest, dispatcher_pb2.SessionMessage]"
)

DEFAULT_PERIOD = 2.0
"""Seconds between heartbeats, where the manager names no period."""
SHORTEST_PATIENCE = 2.5
"""Seconds for the answer to a heartbeat, at the least: the manager asks the others meanwhile."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds; the defaults are SwarmKit's (agent/agent.go, agent/session.go)."""

    rpc_timeout: float = 5.0
    description_check: float = 20.0
    first_assignments: float = 30.0  # for the COMPLETE set, which a busy new leader may owe a while


class Work(Protocol):
    """What an agent does with its session."""

    async def describe(self) -> objects_pb2.NodeDescription:
        """The node as it is now."""

    async def greet(self, message: dispatcher_pb2.SessionMessage) -> None:
        """The manager's word at the start of a session, and whenever it changes."""

    async def assign(self, message: Message) -> None:
        """Carries out assignments, of which nothing is missing in between.

        When it returns, and `confirms` says so, the node knows of networks what they say, and
        nothing else: the managers give addresses that it knew before to others then.
        """

    def confirms(self) -> bool:
        """Whether that is so. If not, it may yet be: managers are told nothing new meanwhile."""

    def has_leases(self) -> bool:
        """Whether heartbeats keep leases of volumes."""

    def renewed(self, sent: float, applied: int) -> None:
        """A heartbeat has renewed the leases of volumes: the moment of CLOCK_BOOTTIME at which it
        was sent, and the version that it said was carried out.
        """

    async def deliver_volumes(self, send: SendVolumes) -> None:
        """Tells what became of volumes until `send` fails."""

    async def deliver(self, send: Send) -> None:
        """Reports statuses until `send` fails."""

    async def serve_logs(self, channel: grpc.aio.Channel) -> None:
        """Answers the manager's wishes for logs, until it is cancelled."""

    async def serve_attachments(self, channel: grpc.aio.Channel) -> None:
        """Asks the manager for places in networks, until it is cancelled."""

    async def serve_commands(self, channel: grpc.aio.Channel) -> None:
        """Runs what the manager asks for in tasks, until it is cancelled."""

    async def serve_checks(self, channel: grpc.aio.Channel) -> None:
        """Looks at networks when the manager asks for it, until it is cancelled."""

    async def serve_volume_orders(self, channel: grpc.aio.Channel) -> None:
        """Lets drivers of volumes do what the manager asks for, until it is cancelled."""


class ReopenSession(Exception):
    """The session was in order, and a new one is wanted at once."""


class LeaderElsewhere(Exception):
    """The manager that was asked does not lead, and named the one that does."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.address = address


class Chain:
    """Whether messages of an assignment stream follow each other without a gap. Pure."""

    def __init__(self) -> None:
        self._last: str | None = None

    def follows(self, message: Message) -> bool:
        """Takes in the next message; False if one before it is missing."""
        complete = message.type == Message.TYPE_COMPLETE
        if not complete and message.applies_to != self._last:
            return False
        self._last = message.results_in
        return True


class Session:
    """Opened by `run`, and over when that returns."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        work: Work,
        *,
        timing: Timing,
        chance: Chance,
        reopen: asyncio.Event,
    ) -> None:
        self._channel = channel
        self._dispatcher = dispatcher_pb2_grpc.DispatcherStub(channel)
        self._work = work
        self._timing = timing
        self._chance = chance
        self._reopen = reopen
        self._id = ""
        self._applied = 0
        self._beat_now = asyncio.Event()
        self.registered = False

    async def run(self) -> NoReturn:
        """Holds a session until it fails with a SwarmError, or ReopenSession or LeaderElsewhere."""
        description = await self._work.describe()
        stream = self._dispatcher.Session(dispatcher_pb2.SessionRequest(description=description))
        try:
            first = await _next(stream, "registering", self._timing.rpc_timeout)
            if first.leader:
                raise LeaderElsewhere(first.leader)
            self._id, self.registered = first.session_id, True
            await self._work.greet(first)
            # Where several end at once, the first one named says why.
            await alongside(
                self._watch(description),
                self._obey_reopen(),
                self._listen(stream),
                self._beat(),
                self._receive(),
                self._work.deliver(self._send),
                self._work.deliver_volumes(self._send_volumes),
                self._work.serve_logs(self._channel),
                self._work.serve_commands(self._channel),
                self._work.serve_checks(self._channel),
                self._work.serve_volume_orders(self._channel),
                self._work.serve_attachments(self._channel),
            )
        finally:
            stream.cancel()
        raise AssertionError("the parts of a session end by failing")

    async def _listen(self, stream: SessionStream) -> NoReturn:
        while True:
            await self._work.greet(await _next(stream, "the session"))

    async def _beat(self) -> NoReturn:
        confirmed, period = 0, DEFAULT_PERIOD
        while True:
            self._beat_now.clear()
            if self._work.confirms():
                confirmed = self._applied
            request = dispatcher_pb2.HeartbeatRequest(session_id=self._id, applied=confirmed)
            timeout = self._timing.rpc_timeout
            if self._work.has_leases():  # who is silent now must not use them up
                timeout = min(timeout, max(period, SHORTEST_PATIENCE))
            sent = boot()
            call = self._dispatcher.Heartbeat(request, timeout=timeout)
            answer = await _answer(call, "the heartbeat")
            if answer.leases_renewed:
                self._work.renewed(sent, confirmed)
            period = seconds_of(answer.period) or DEFAULT_PERIOD
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(period):
                    await self._beat_now.wait()

    async def _receive(self) -> NoReturn:
        backoff = Backoff(self._chance)
        while True:
            await self._receive_stream(backoff)
            log.warning("assignments have a gap: asking for the complete set again")
            await asyncio.sleep(backoff.next())

    async def _receive_stream(self, backoff: Backoff) -> None:
        """Passes assignments on; returns when one is missing."""
        request = dispatcher_pb2.AssignmentsRequest(session_id=self._id)
        stream = self._dispatcher.Assignments(request)
        chain = Chain()
        try:
            message = await _next(stream, "assignments", self._timing.first_assignments)
            while chain.follows(message):
                await self._work.assign(message)
                self._applied = max(self._applied, message.version)
                if message.confirm or any(each.HasField("volume") for each in message.changes):
                    self._beat_now.set()  # a lease begins with its first renewal
                if message.type == Message.TYPE_INCREMENTAL:
                    backoff.reset()
                message = await _next(stream, "assignments")
        finally:
            stream.cancel()

    async def _send(self, updates: list[dispatcher_pb2.TaskStatusUpdate]) -> None:
        request = dispatcher_pb2.UpdateTaskStatusRequest(session_id=self._id, updates=updates)
        call = self._dispatcher.UpdateTaskStatus(request, timeout=self._timing.rpc_timeout)
        await _answer(call, "reporting statuses")

    async def _send_volumes(self, updates: list[volume_pb2.NodeVolumeStatus]) -> None:
        request = dispatcher_pb2.UpdateVolumeStatusRequest(session_id=self._id, updates=updates)
        call = self._dispatcher.UpdateVolumeStatus(request, timeout=self._timing.rpc_timeout)
        await _answer(call, "reporting volumes")

    async def _watch(self, told: objects_pb2.NodeDescription) -> NoReturn:
        while True:
            await asyncio.sleep(self._timing.description_check)
            try:
                present = await self._work.describe()
            except SwarmError as error:
                log.warning("the node cannot be described: %s", error)
                continue
            if present != told:
                log.info("the node has changed: telling the managers")
                raise ReopenSession

    async def _obey_reopen(self) -> NoReturn:
        await self._reopen.wait()
        raise ReopenSession


async def _answer(call: Awaitable[T], doing: str) -> T:
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        raise status.from_grpc(error, doing) from error


async def _next(
    stream: "grpc.aio.UnaryStreamCall[Any, T]", doing: str, timeout: float | None = None
) -> T:
    """The next message; without a timeout, heartbeats guard the connection meanwhile."""
    try:
        # Not wait_for, which in Python 3.11 may swallow a cancellation that meets a message.
        async with asyncio.timeout(timeout):
            message = await stream.read()
    except grpc.aio.AioRpcError as error:
        raise status.from_grpc(error, doing) from error
    except TimeoutError:
        raise SwarmError(Code.DEADLINE, f"{doing} had no answer within {timeout:g} s") from None
    if message is grpc.aio.EOF:
        raise SwarmError(Code.UNAVAILABLE, f"{doing}: the manager ended the stream")
    return cast(T, message)
