"""The Dispatcher service of api/v1/dispatcher.proto: how agents meet the leader.

A thin face: who calls comes from the connection, everything else is the Term's. While this manager
does not lead, a new session is told who does, and every other call is UNAVAILABLE.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, TypeAlias
from urllib.parse import unquote

import grpc

from api.ids import IdSource
from api.serving import caller
from api.times import duration
from api.v1 import dispatcher_pb2, dispatcher_pb2_grpc
from hostkit.clock import Clock
from manager.dispatcher import endings
from manager.dispatcher.sessions import Chance
from manager.dispatcher.term import Term
from manager.state.proposer import Proposer
from manager.state.store import Store
from manager.state.watch import WatchHub

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class DispatcherService(dispatcher_pb2_grpc.DispatcherServicer):
    """Serves agents while `run` runs. `clock`: wall time; `monotonic`: for leases and delays.

    `leader`: the address (host:port) of the manager that leads, empty if none is known; `confirm`
    returns once it is certain that this manager still leads, or raises.
    """

    def __init__(
        self,
        *,
        store: Store,
        hub: WatchHub,
        proposer: Proposer,
        clock: Clock,
        monotonic: Clock,
        ids: IdSource,
        chance: Chance,
        leader: Callable[[], str],
        confirm: Callable[[], Awaitable[None]],
    ) -> None:
        self._confirm = confirm
        self._leader = leader
        self._store = store
        self._hub = hub
        self._proposer = proposer
        self._clock = clock
        self._monotonic = monotonic
        self._ids = ids
        self._chance = chance
        self._present: Term | None = None

    async def run(self) -> None:
        """Leads until cancelled. All nodes that were not down begin as `unknown`."""
        self._present = Term(
            store=self._store,
            hub=self._hub,
            proposer=self._proposer,
            clock=self._clock,
            monotonic=self._monotonic,
            ids=self._ids,
            chance=self._chance,
            confirm=self._confirm,
        )
        try:
            await self._present.run()
        finally:
            self._present = None

    async def Session(
        self, request: dispatcher_pb2.SessionRequest, context: Context
    ) -> AsyncIterator[dispatcher_pb2.SessionMessage]:
        """Registers the calling node; the session lasts as long as the stream."""
        if self._present is None and (leader := self._leader()):
            yield dispatcher_pb2.SessionMessage(leader=leader)
            return
        term = self._term()
        # A leader that was cut off, and does not know it yet, must not hand out old assignments.
        await self._confirm()
        if self._present is not term:
            raise endings.not_leading()
        who, host = caller(), host_of(context.peer())
        link = await term.register(who.id, request.description, host, who.certificate)
        try:
            async with aclosing(term.greetings(link)) as greetings:
                async for message in greetings:
                    yield message
        finally:
            term.leave(link)

    async def Heartbeat(
        self, request: dispatcher_pb2.HeartbeatRequest, context: Context
    ) -> dispatcher_pb2.HeartbeatResponse:
        """Renews the calling node's session, and the leases of its volumes."""
        period, renewed = await self._term().heartbeat(
            request.session_id, caller().id, request.applied
        )
        return dispatcher_pb2.HeartbeatResponse(period=duration(period), leases_renewed=renewed)

    async def Assignments(
        self, request: dispatcher_pb2.AssignmentsRequest, context: Context
    ) -> AsyncIterator[dispatcher_pb2.AssignmentsMessage]:
        """The tasks of the calling node, and what changes of them."""
        messages = self._term().assignments(request.session_id, caller().id)
        async with aclosing(messages):
            async for message in messages:
                yield message

    async def UpdateTaskStatus(
        self, request: dispatcher_pb2.UpdateTaskStatusRequest, context: Context
    ) -> dispatcher_pb2.UpdateTaskStatusResponse:
        """Takes reports; answers when they are durable."""
        await self._term().report(request.session_id, caller().id, request.updates)
        return dispatcher_pb2.UpdateTaskStatusResponse()

    async def UpdateVolumeStatus(
        self, request: dispatcher_pb2.UpdateVolumeStatusRequest, context: Context
    ) -> dispatcher_pb2.UpdateVolumeStatusResponse:
        """Takes what the calling node says of its volumes; answers when it is durable."""
        await self._term().report_volumes(request.session_id, caller().id, request.updates)
        return dispatcher_pb2.UpdateVolumeStatusResponse()

    def digests(self, node_id: str) -> dict[str, bytes] | None:
        """See Term; None also while this manager does not lead."""
        return None if self._present is None else self._present.digests(node_id)

    async def Attach(
        self, request: dispatcher_pb2.AttachRequest, context: Context
    ) -> dispatcher_pb2.AttachResponse:
        """A place in a network for a container of the calling node."""
        return await self._term().attach(caller().id, request)

    def _term(self) -> Term:
        if self._present is None:
            raise endings.not_leading()
        return self._present


def host_of(peer: str) -> str:
    """The address in gRPC's name of a peer, as `ipv4:10.0.0.7:4711`; empty for a unix socket."""
    family, _, rest = unquote(peer).partition(":")
    if family not in ("ipv4", "ipv6"):
        return ""
    return rest.rpartition(":")[0].strip("[]")
