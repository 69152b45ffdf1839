"""What the serving side refuses, and that it holds its callers back; asked with bare calls."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from api.channel import node_channel
from api.errors import Code, SwarmError
from api.identity import Role
from api.v1.raft_pb2 import RaftBatch, RaftGreeting, RaftMessage, SnapshotChunk
from api.v1.raft_pb2_grpc import RaftStub

if TYPE_CHECKING:
    from api.v1.raft_pb2_grpc import RaftAsyncStub
from api.writing import Writing
from manager.raft.transport.receiver import CONSENT
from tests.support.raft_station import GROUP, Station, run
from tests.support.rpc import failure
from tests.support.trust import TrustedCluster
from tests.support.until import until

M = RaftMessage
LIMIT = 20.0


@asynccontextmanager
async def called(
    role: Role = "manager", node_id: str = "node1"
) -> AsyncIterator["tuple[Station, RaftAsyncStub]"]:
    """Member 2, which knows member 1 on node1 and has removed member 3; and a stub to call it."""
    cluster = TrustedCluster()
    station = Station(cluster, 2)
    station.nodes = {1: "node1", 3: "node1"}
    station.removed = {3}
    await station.serve()
    credentials = cluster.credentials(role, node_id)
    try:
        async with node_channel(station.member.address, credentials) as channel:
            yield station, RaftStub(channel)
    finally:
        await station.close()


async def sent(call: Any, stream: Iterable[Any]) -> Any:
    """The answer to a stream, or the error that the server gave, also amid the writing."""
    for each in stream:
        if not await Writing(call.write(each)):
            break
    await Writing(call.done_writing())
    return await call


def greeting(**changed: int) -> RaftGreeting:
    fields: dict[str, Any] = {"group_id": GROUP, "from": 1, "to": 2, "version": 1}
    return RaftGreeting(**(fields | changed))


def message(kind: M.Type.ValueType = M.TYPE_VOTE, /, **changed: Any) -> RaftMessage:
    ends: dict[str, Any] = {"from": 1, "to": 2}
    return RaftMessage(type=kind, **(ends | changed))


def batches(*messages: RaftMessage, **changed: int) -> list[RaftBatch]:
    return [RaftBatch(greeting=greeting(**changed)), RaftBatch(messages=messages)]


def snapshot(*, size: int = 4, **changed: int) -> list[SnapshotChunk]:
    sender = changed.get("from", 1)
    head = message(M.TYPE_SNAPSHOT, **{"from": sender})
    first = SnapshotChunk(greeting=greeting(**changed), head=head, size=size)
    return [first, SnapshotChunk(data=b"data")]


REFUSED_EXCHANGES = [
    (batches(message(), group_id=9), Code.REFUSED, "another group"),
    (batches(message(), to=4), Code.REFUSED, "another member"),
    (batches(message(), **{"from": 3}), Code.REFUSED, "member 3 was removed"),
    (batches(message(), **{"from": 4}), Code.REFUSED, "member 4 is not node node1"),
    ([RaftBatch(messages=[message()])], Code.REFUSED, "another group"),
    (batches(message(**{"from": 3})), Code.REFUSED, "not between"),
    (batches(message(), message(to=1)), Code.REFUSED, "not between"),
    (batches(message(M.TYPE_SNAPSHOT)), Code.INVALID, "InstallSnapshot"),
    ([*batches(), *batches(message())], Code.INVALID, "one greeting"),
]


@pytest.mark.parametrize(("stream", "code", "reason"), REFUSED_EXCHANGES)
def test_messages_are_refused_and_the_sender_told_why(
    stream: Sequence[RaftBatch], code: Code, reason: str
) -> None:
    async def scenario() -> None:
        async with called() as (station, stub):
            error = await failure(sent(stub.Exchange(), stream))
            assert error.code is code
            assert reason in str(error)
            assert not station.received

    run(scenario)


@pytest.mark.parametrize(
    ("role", "node_id", "code"),
    [
        ("manager", "node2", Code.REFUSED),
        ("worker", "node1", Code.DENIED),
        ("operator", "node1", Code.DENIED),
    ],
)
def test_a_certificate_speaks_only_for_its_own_member(role: Role, node_id: str, code: Code) -> None:
    async def scenario() -> None:
        async with called(role, node_id) as (station, stub):
            for call in (
                sent(stub.Exchange(), batches(message())),
                sent(stub.InstallSnapshot(), snapshot()),
            ):
                assert (await failure(call)).code is code
            assert not station.received
            assert not station.installed

    run(scenario)


def test_a_member_that_is_removed_meanwhile_is_heard_no_longer() -> None:
    async def scenario() -> None:
        async with called() as (station, stub):
            call = stub.Exchange()
            for batch in batches(message()):
                await call.write(batch)
            await until(lambda: len(station.received) == 1)
            station.removed.add(1)
            late = [RaftBatch(messages=[message()])]
            assert "removed" in str(await failure(sent(call, late)))
            assert len(station.received) == 1

    run(scenario)


def test_a_greeting_is_answered_before_any_message() -> None:
    async def scenario() -> None:
        async with called() as (_, stub):
            call = stub.Exchange()
            await call.write(RaftBatch(greeting=greeting()))
            async with asyncio.timeout(LIMIT):
                assert CONSENT in tuple(await call.initial_metadata())
                assert not call.done()
                await call.done_writing()
                await call

    run(scenario)


def test_a_receiver_that_is_busy_holds_its_sender_back_and_loses_nothing() -> None:
    async def scenario() -> None:
        async with called() as (station, stub):
            station.gate.clear()
            call = stub.Exchange()
            await call.write(RaftBatch(greeting=greeting()))
            sent = 0

            async def write() -> None:
                nonlocal sent
                for index in range(100):
                    entry = {"data": bytes(1 << 20)}
                    append = message(M.TYPE_APPEND, index=index, entries=[entry])
                    await call.write(RaftBatch(messages=[append]))
                    sent += 1
                await call.done_writing()

            async def standstill() -> None:
                seen = -1
                while seen < sent:
                    seen = sent
                    await asyncio.sleep(0.5)

            writer = asyncio.create_task(write())
            await until(lambda: sent > 0)
            await standstill()
            assert 0 < sent < 100
            station.gate.set()
            async with asyncio.timeout(LIMIT):
                await writer
                await call
            assert station.indexes() == list(range(100))

    run(scenario)


def test_a_failure_of_the_receiver_ends_the_stream_with_its_reason() -> None:
    async def scenario() -> None:
        async with called() as (station, stub):
            station.failure = SwarmError(Code.UNAVAILABLE, "the disk has failed")
            assert (await failure(sent(stub.Exchange(), batches(message())))).what == (
                "the disk has failed"
            )

    run(scenario)


REFUSED_SNAPSHOTS = [
    (snapshot(group_id=9), Code.REFUSED, "another group"),
    (snapshot(to=4), Code.REFUSED, "another member"),
    (snapshot(**{"from": 3}), Code.REFUSED, "removed"),
    (snapshot(size=5), Code.INVALID, "1 bytes early"),
    (snapshot(size=3), Code.INVALID, "more data"),
    (snapshot(size=(1 << 30) + 1), Code.EXHAUSTED, "too large"),
    ([], Code.INVALID, "without its message"),
    ([SnapshotChunk(greeting=greeting(), head=message(), size=4)], Code.INVALID, "snapshots"),
    (
        [SnapshotChunk(greeting=greeting(), head=message(M.TYPE_SNAPSHOT, **{"from": 3}))],
        Code.REFUSED,
        "not between",
    ),
]


@pytest.mark.parametrize(("stream", "code", "reason"), REFUSED_SNAPSHOTS)
def test_snapshots_are_refused_and_the_sender_told_why(
    stream: Sequence[SnapshotChunk], code: Code, reason: str
) -> None:
    async def scenario() -> None:
        async with called() as (station, stub):
            error = await failure(sent(stub.InstallSnapshot(), stream))
            assert error.code is code
            assert reason in str(error)
            assert not station.installed

    run(scenario)


def test_one_snapshot_of_a_member_at_a_time() -> None:
    async def scenario() -> None:
        async with called() as (station, stub):
            head, data = snapshot()
            call = stub.InstallSnapshot()
            await call.write(head)
            async with asyncio.timeout(LIMIT):
                error = None
                while error is None or error.code is not Code.UNAVAILABLE:
                    error = await failure(sent(stub.InstallSnapshot(), [head]))
            await call.write(data)
            await call.done_writing()
            async with asyncio.timeout(LIMIT):
                await call
                await sent(stub.InstallSnapshot(), snapshot())
            assert [each.snapshot.data for each in station.installed] == [b"data", b"data"]

    run(scenario)


def test_a_snapshot_that_is_given_up_makes_room_for_the_next() -> None:
    async def scenario() -> None:
        async with called() as (station, stub):
            for _ in range(3):
                call = stub.InstallSnapshot()
                await call.write(snapshot()[0])
                call.cancel()
            async with asyncio.timeout(LIMIT):
                while not station.installed:
                    # Until the server has heard of the end, one is still under way.
                    with suppress(grpc.aio.AioRpcError):
                        await sent(stub.InstallSnapshot(), snapshot())

    run(scenario)
