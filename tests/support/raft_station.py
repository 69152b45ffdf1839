"""Members of a Raft group on loopback: real servers and transports, and receivers that note all."""

import asyncio
import itertools
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import grpc

from api.channel import SERVER_OPTIONS, node_channel, node_server_credentials
from api.errors import Code, SwarmError
from api.identity import Credentials
from api.serving import ErrorInterceptor
from api.v1 import raft_pb2_grpc
from api.v1.raft_pb2 import Entry, Member, RaftGreeting, RaftMessage, SnapshotMetadata
from manager.ca.authorize import Authorizer
from manager.ca.roles import ROLES
from manager.raft.transport import lane
from manager.raft.transport.chunks import SNAPSHOT_BYTES
from manager.raft.transport.receiver import REMOVED
from manager.raft.transport.service import RaftService
from manager.raft.transport.transport import Transport
from tests.support.trust import TrustedCluster
from tests.support.until import LIMIT, until

GROUP = 0xA11
Type: TypeAlias = RaftMessage.Type.ValueType


def sender(message: RaftMessage) -> int:
    return int(getattr(message, "from"))


class Station:
    """One member. What its receiver is told is kept; `gate` holds back what it takes of entries."""

    def __init__(self, cluster: TrustedCluster, raft_id: int, *, group_id: int = GROUP) -> None:
        self.cluster = cluster
        self.raft_id = raft_id
        self.group_id = group_id
        self.node_id = f"node{raft_id}"
        self.credentials = cluster.credentials("manager", self.node_id)
        self.nodes: dict[int, str] = {}
        self.removed: set[int] = set()
        self.received: list[RaftMessage] = []
        self.installed: list[RaftMessage] = []
        self.refusals: list[SwarmError] = []
        self.unreached: list[int] = []
        self.reports: list[tuple[int, bool]] = []
        self.data: dict[int, bytes] = {}
        self.dialled: list[Credentials] = []
        self.failure: SwarmError | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.port = 0
        self.service_greeted = True
        self.snapshot_limit = SNAPSHOT_BYTES
        self._server: grpc.aio.Server | None = None
        self.transport = Transport(
            connect=self._connect,
            snapshot_data=self._snapshot_data,
            version=1,
            address=lambda: self.member.address,
            chance=random.Random(raft_id),
            monotonic=time.monotonic,
        )
        self.transport.bind(self)

    @property
    def member(self) -> Member:
        return Member(raft_id=self.raft_id, node_id=self.node_id, address=f"127.0.0.1:{self.port}")

    async def serve(self, port: int = 0) -> None:
        """Listens, on the port it had unless another is named."""
        self._server = grpc.aio.server(
            interceptors=[ErrorInterceptor(), Authorizer(ROLES, lambda _: True)],
            options=SERVER_OPTIONS,
        )
        service = RaftService(self, self._greeted, snapshot_limit=self.snapshot_limit)
        raft_pb2_grpc.add_RaftServicer_to_server(service, self._server)
        self.port = self._server.add_secure_port(
            f"127.0.0.1:{port or self.port}", node_server_credentials(lambda: self.credentials)
        )
        await self._server.start()

    async def stop_serving(self) -> None:
        if self._server is not None:
            server, self._server = self._server, None
            await server.stop(None)

    async def close(self) -> None:
        await self.transport.close()
        self.gate.set()
        await self.stop_serving()

    def admit(self, *others: "Station") -> None:
        """Knows the others as members, and has links to them."""
        self.nodes = {each.raft_id: each.node_id for each in others}
        self.transport.set_members([self.member, *(each.member for each in others)])

    def send(self, to: "Station", *kinds: Type, **fields: Any) -> None:
        self.transport.send([self.message(to, kind, **fields) for kind in kinds])

    def message(self, to: "Station", kind: Type, **fields: Any) -> RaftMessage:
        ends: dict[str, Any] = {"from": self.raft_id, "to": to.raft_id}
        return RaftMessage(type=kind, **ends, **fields)

    def append(self, to: "Station", index: int, size: int = 10) -> RaftMessage:
        entry = Entry(term=1, index=index, data=bytes(size))
        return self.message(to, RaftMessage.TYPE_APPEND, index=index, entries=[entry])

    def indexes(self, kind: Type = RaftMessage.TYPE_APPEND) -> list[int]:
        """Of the messages of this type, in the order of their coming."""
        return [each.index for each in self.received if each.type == kind]

    def of_type(self, kind: Type) -> list[RaftMessage]:
        return [each for each in self.received if each.type == kind]

    # What a Receiver is.

    def admits(self, raft_id: int, node_id: str) -> SwarmError | None:
        if raft_id in self.removed:
            return SwarmError(Code.REFUSED, f"member {raft_id} was removed", field=REMOVED)
        if self.nodes.get(raft_id) != node_id:
            return SwarmError(Code.REFUSED, f"member {raft_id} is not node {node_id}")
        return None

    async def receive(self, messages: Sequence[RaftMessage]) -> None:
        if any(each.entries for each in messages):
            await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        self.received += messages

    async def receive_snapshot(self, message: RaftMessage) -> None:
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        self.installed.append(message)

    def refused(self, refusal: SwarmError) -> None:
        self.refusals.append(refusal)

    def unreachable(self, raft_id: int) -> None:
        self.unreached.append(raft_id)

    def snapshot_sent(self, raft_id: int, ok: bool) -> None:
        self.reports.append((raft_id, ok))

    def _connect(self, member: Member) -> grpc.aio.Channel:
        self.dialled.append(self.credentials)
        return node_channel(member.address, self.credentials, server_name=member.node_id)

    async def _snapshot_data(self, metadata: SnapshotMetadata) -> bytes:
        if metadata.index not in self.data:
            raise SwarmError(Code.INTERNAL, f"snapshot {metadata.index} is missing")
        return self.data[metadata.index]

    def _greeted(self, greeting: RaftGreeting, node_id: str) -> None:
        if self.service_greeted:
            self.transport.greeted(greeting, node_id)


@asynccontextmanager
async def stations(
    count: int = 2, *, linked: bool = True, patience: float = LIMIT
) -> AsyncIterator[list[Station]]:
    """So many members, each with a link to every other; all are closed at the end.

    `patience`: seconds that a link may take to open, once these are; on a busy machine one that is
    in order takes longer than the product waits.
    """
    cluster = TrustedCluster()
    group = [Station(cluster, raft_id) for raft_id in range(1, count + 1)]
    usual, lane.OPENING_LIMIT = lane.OPENING_LIMIT, LIMIT
    try:
        for each in group:
            await each.serve()
        if linked:
            for each in group:
                each.admit(*(other for other in group if other is not each))
            await meet(group)
        lane.OPENING_LIMIT = patience
        yield group
    finally:
        lane.OPENING_LIMIT = usual
        for each in group:
            await each.close()


async def meet(group: Sequence[Station]) -> None:
    """Waits until each hears each other, on both streams; forgets what that took."""
    await asyncio.gather(*(_meet(one, two) for one in group for two in group if one is not two))
    for each in group:
        each.received.clear()
        each.unreached.clear()


async def _meet(one: Station, two: Station) -> None:
    """What `one` said before there was a link is lost if the first try to make one took too long:
    it says it again then.
    """
    kinds = (RaftMessage.TYPE_VOTE, RaftMessage.TYPE_APPEND_RESPONSE)

    def is_lost() -> bool:
        return two.raft_id in one.unreached

    def is_heard(attempt: int) -> bool:
        came = [(sender(each), each.type, each.index) for each in two.received]
        return all((one.raft_id, kind, attempt) in came for kind in kinds)

    for attempt in itertools.count(1):
        one.send(two, *kinds, index=attempt)
        await until(lambda attempt=attempt: is_lost() or is_heard(attempt))  # type: ignore[misc]
        if is_heard(attempt):
            return
        one.unreached = [each for each in one.unreached if each != two.raft_id]


async def no_tasks_but(before: set["asyncio.Task[Any]"]) -> None:
    """Waits until no other tasks than these are left."""
    await until(lambda: asyncio.all_tasks() <= before)


def run(scenario: Callable[[], Any]) -> None:
    """Runs it on a new loop, and has every task that it leaves behind fail the test."""

    async def checked() -> None:
        before = asyncio.all_tasks()
        await scenario()
        await no_tasks_but(before)

    asyncio.run(checked())
