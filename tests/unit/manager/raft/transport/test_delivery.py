"""Snapshots to members, beside their messages."""

import asyncio
from typing import Any

import grpc
import pytest

from api.channel import SERVER_OPTIONS
from api.errors import Code, SwarmError
from api.v1.raft_pb2 import ConfState, RaftGreeting, RaftMessage, Snapshot, SnapshotMetadata
from manager.raft.transport import delivery
from tests.support.raft_station import Station, meet, run, stations
from tests.support.until import until

M = RaftMessage


def snapshot(one: Station, two: Station, index: int = 5) -> RaftMessage:
    metadata = SnapshotMetadata(index=index, term=2, conf=ConfState(voters=[1, 2]))
    return one.message(two, M.TYPE_SNAPSHOT, term=3, snapshot=Snapshot(metadata=metadata))


@pytest.mark.parametrize("size", [0, 10, (512 << 10) + 1, 9 << 20])
def test_a_snapshot_arrives_with_its_data(size: int) -> None:
    async def scenario() -> None:
        async with stations() as (one, two):
            one.data[5] = bytes(index % 251 for index in range(size))
            sent = snapshot(one, two)
            one.transport.send([sent])
            await until(lambda: one.reports == [(2, True)])
            sent.snapshot.data = one.data[5]
            assert two.installed == [sent]

    run(scenario)


def test_messages_pass_while_a_snapshot_is_under_way_and_there_is_one_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(delivery, "STALL_LIMIT", 100.0)

    async def scenario() -> None:
        async with stations(3) as (one, two, three):
            one.data = {5: bytes(30 << 20), 6: bytes(10)}
            two.gate.clear()
            three.gate.clear()
            one.transport.send([snapshot(one, two, 5), snapshot(one, two, 6)])
            one.transport.send([snapshot(one, three, 6)])
            for index in range(1, 20):
                one.send(two, M.TYPE_HEARTBEAT, index=index)
                one.send(two, M.TYPE_APPEND_RESPONSE, index=index)
                await until(lambda index=index: index in two.indexes(M.TYPE_HEARTBEAT))  # type: ignore[misc]
                await until(lambda index=index: index in two.indexes(M.TYPE_APPEND_RESPONSE))  # type: ignore[misc]
            assert not one.reports
            three.gate.set()
            await until(lambda: one.reports == [(3, True)])
            two.gate.set()
            await until(lambda: one.reports == [(3, True), (2, True)])
            assert [each.snapshot.metadata.index for each in two.installed] == [5]
            one.transport.send([snapshot(one, two, 6)])
            await until(lambda: len(one.reports) == 3)
            assert [each.snapshot.metadata.index for each in two.installed] == [5, 6]
            assert not one.unreached

    run(scenario)


def test_a_sender_without_the_data_says_so() -> None:
    async def scenario() -> None:
        async with stations() as (one, two):
            one.transport.send([snapshot(one, two)])
            assert not one.reports
            await until(lambda: one.reports == [(2, False)])
            assert not two.installed

    run(scenario)


def test_a_defect_while_loading_counts_as_failed(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with stations() as (one, two):
            one.data[5] = None  # type: ignore[assignment]
            one.transport.send([snapshot(one, two)])
            await until(lambda: one.reports == [(2, False)])

    run(scenario)
    assert "failed unexpectedly" in caplog.text


def test_a_receiver_that_refuses_counts_as_failed(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with stations() as (one, two):
            one.data[5] = b"data"
            two.failure = SwarmError(Code.REFUSED, "the snapshot cannot be read")
            one.transport.send([snapshot(one, two)])
            await until(lambda: one.reports == [(2, False)])
            assert not one.unreached

    run(scenario)
    assert "the snapshot cannot be read" in caplog.text


@pytest.mark.parametrize("size", [2000, 20 << 20])
def test_a_refusal_while_data_is_sent_reaches_the_sender(
    size: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with stations(linked=False) as (one, two):
            await two.stop_serving()
            two.snapshot_limit = 1000
            await two.serve()
            two.admit(one)
            one.admit(two)
            await meet([one, two])
            one.data[5] = bytes(size)
            one.transport.send([snapshot(one, two)])
            await until(lambda: one.reports == [(2, False)])
            assert not two.installed

    run(scenario)
    assert "the snapshot is too large" in caplog.text


@pytest.mark.parametrize("cut", ["server", "transport", "move", "removal"])
def test_a_snapshot_that_is_cut_counts_as_failed(cut: str) -> None:
    async def scenario() -> None:
        async with stations() as (one, two):
            one.data[5] = bytes(20 << 20)
            two.gate.clear()
            one.transport.send([snapshot(one, two)])
            one.send(two, M.TYPE_VOTE)
            await until(lambda: bool(two.received))
            assert not one.reports
            if cut == "server":
                await two.stop_serving()
            elif cut == "transport":
                await one.transport.close()
            elif cut == "move":
                there = two.member
                there.address = "127.0.0.1:1"
                one.transport.set_members([there])
            else:
                one.transport.set_members([])
            await until(lambda: one.reports == [(2, False)])
            assert not two.installed

    run(scenario)


def test_without_a_link_it_fails_at_once() -> None:
    async def scenario() -> None:
        async with stations(linked=False) as (one, two):
            there = two.member
            there.address = "127.0.0.1:1"
            one.transport.set_members([there])
            one.transport.send([snapshot(one, two)])
            assert not one.reports
            await until(lambda: one.reports == [(2, False)])
            await until(lambda: bool(one.unreached))
            one.transport.send([snapshot(one, two)])
            await until(lambda: one.reports == [(2, False), (2, False)])

    run(scenario)


def test_a_member_that_takes_no_more_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "STALL_LIMIT", 0.3)

    async def never_reads(_: object, __: object) -> None:
        await asyncio.Event().wait()

    async def scenario() -> None:
        handler: grpc.RpcMethodHandler[Any, Any] = grpc.stream_unary_rpc_method_handler(never_reads)
        server = grpc.aio.server(options=SERVER_OPTIONS)
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("swarm.v1.Raft", {"InstallSnapshot": handler}),)
        )
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                for size in (10, 20 << 20):
                    head = RaftMessage(type=M.TYPE_SNAPSHOT)
                    greeting = RaftGreeting()
                    with pytest.raises(SwarmError) as caught:
                        await delivery.deliver(channel, greeting, head, bytes(size))
                    assert caught.value.code is Code.DEADLINE
        finally:
            await server.stop(None)

    run(scenario)
