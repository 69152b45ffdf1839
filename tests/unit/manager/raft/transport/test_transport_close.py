"""Frozen members, and that closing leaves nothing behind whatever is under way."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest

from api import channel
from api.v1.raft_pb2 import Member, RaftMessage, Snapshot, SnapshotMetadata
from tests.support.freezing_relay import freezing_relay
from tests.support.raft_station import Station, run, stations
from tests.support.until import until

pytestmark = pytest.mark.managers

M = RaftMessage
SOON = 2.0
"""Seconds after which a member that does not answer is given up."""


def at(member: Member, address: str) -> Member:
    moved = Member()
    moved.CopyFrom(member)
    moved.address = address
    return moved


def frozen() -> socket.socket:
    """Takes connections, as the kernel does for a process that is stopped, and never answers."""
    return socket.create_server(("127.0.0.1", 0))


def test_a_member_that_freezes_is_noticed_and_harms_nobody_and_is_found_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sooner = {"grpc.keepalive_time_ms": 1000}
    options = tuple((dict(channel.CHANNEL_OPTIONS) | sooner).items())

    async def scenario() -> None:
        async with (
            stations(3, linked=False) as (one, two, three),
            freezing_relay(two.port) as relay,
        ):
            moved = at(two.member, f"127.0.0.1:{relay.port}")
            with monkeypatch.context() as patched:  # the other link is as patient as ever
                patched.setattr(channel, "CHANNEL_OPTIONS", options)
                one.transport.set_members([moved])
                await until(lambda: bool(one.dialled))
            one.transport.set_members([moved, three.member])
            two.nodes = three.nodes = {1: "node1"}
            one.transport.send([one.append(two, 0), one.append(three, 0)])
            await until(lambda: two.indexes() == three.indexes() == [0])
            assert not one.unreached
            relay.running.clear()
            sent = 0
            while not one.unreached:
                sent += 1
                one.transport.send([one.append(two, sent, 1000), one.append(three, sent)])
                await until(lambda sent=sent: three.indexes()[-1] == sent)  # type: ignore[misc]
            assert three.indexes() == list(range(sent + 1))
            assert two.indexes() == [0]
            relay.running.set()
            while not two.of_type(M.TYPE_VOTE):
                one.send(two, M.TYPE_VOTE)
                await asyncio.sleep(0)
            assert set(one.unreached) == {2}

    run(scenario)


def test_a_member_that_is_frozen_from_the_start_harms_nobody() -> None:
    async def scenario() -> None:
        with frozen() as listener:
            async with stations(3, patience=SOON) as (one, two, three):
                there = f"127.0.0.1:{listener.getsockname()[1]}"
                one.transport.set_members([at(two.member, there), three.member])
                sent = 0
                while one.unreached.count(2) < 2:
                    sent += 1
                    one.send(two, M.TYPE_HEARTBEAT)
                    one.send(three, M.TYPE_VOTE, index=sent)
                    await until(lambda sent=sent: three.indexes(M.TYPE_VOTE)[-1:] == [sent])  # type: ignore[misc]
                assert set(one.unreached) == {2}

    run(scenario)


def test_a_frozen_member_does_not_let_others_wait_for_new_credentials_for_ever() -> None:
    async def scenario() -> None:
        with frozen() as listener:
            async with stations(3, patience=SOON) as (one, two, three):
                there = f"127.0.0.1:{listener.getsockname()[1]}"
                one.transport.set_members([at(two.member, there), three.member])
                before = len(one.dialled)
                one.transport.reconnect()
                await until(lambda: len(one.dialled) > before)
                heard = len(three.received)
                for _ in range(10):  # while one is opened anew, the other is as it was
                    heard += 1
                    one.send(three, M.TYPE_VOTE)
                    await until(lambda: len(three.received) == heard)  # noqa: B023
                await until(lambda: len(one.dialled) > before + 2)

    run(scenario)


def test_links_are_opened_anew_one_after_another() -> None:
    async def scenario() -> None:
        with frozen() as listener:
            async with stations(3, patience=1000.0) as (one, two, three):
                there = f"127.0.0.1:{listener.getsockname()[1]}"
                one.transport.set_members([at(two.member, there), three.member])
                await until(lambda: len(one.dialled) == 3)
                one.transport.reconnect()
                await until(lambda: len(one.dialled) == 4)
                for index in range(1, 30):
                    one.send(three, M.TYPE_VOTE, index=index)
                    await until(lambda index=index: index in three.indexes(M.TYPE_VOTE))  # type: ignore[misc]
                assert len(one.dialled) == 4

    run(scenario)


async def nothing(_: Station, __: Station, ___: str) -> None:
    pass


async def opening(one: Station, two: Station, _: str) -> None:
    one.transport.set_members([at(two.member, "127.0.0.1:1")])


async def opening_to_frozen(one: Station, two: Station, silent: str) -> None:
    one.transport.set_members([at(two.member, silent)])
    before = len(one.dialled)
    await until(lambda: len(one.dialled) > before)
    await asyncio.sleep(0)


async def waiting(one: Station, two: Station, _: str) -> None:
    one.transport.set_members([at(two.member, "127.0.0.1:1")])
    await until(lambda: len(one.unreached) > 4)


async def writing(one: Station, two: Station, _: str) -> None:
    two.gate.clear()
    for index in range(25):
        one.transport.send([one.append(two, index, 1 << 20)])
    await asyncio.sleep(0)


async def just_sent(one: Station, two: Station, _: str) -> None:
    one.transport.send([one.append(two, 1), one.message(two, M.TYPE_VOTE)])


async def delivering(one: Station, two: Station, _: str) -> None:
    two.gate.clear()
    one.data[5] = bytes(20 << 20)
    head = Snapshot(metadata=SnapshotMetadata(index=5))
    one.send(two, M.TYPE_SNAPSHOT, snapshot=head)
    one.send(two, M.TYPE_VOTE)
    await until(lambda: bool(two.received))


async def reconnecting(one: Station, _: Station, __: str) -> None:
    one.transport.reconnect()
    await asyncio.sleep(0)


async def letting_go(one: Station, two: Station, _: str) -> None:
    await writing(one, two, _)
    one.transport.set_members([])


async def dying(one: Station, two: Station, _: str) -> None:
    await writing(one, two, _)
    await two.stop_serving()


@pytest.mark.parametrize(
    "state",
    [
        nothing,
        opening,
        opening_to_frozen,
        waiting,
        writing,
        just_sent,
        delivering,
        reconnecting,
        letting_go,
        dying,
    ],
)
def test_closing_leaves_nothing_running_whatever_is_under_way(
    state: Callable[[Station, Station, str], Awaitable[None]],
) -> None:
    async def scenario() -> None:
        async with stations() as (one, two):
            with frozen() as listener:
                await state(one, two, f"127.0.0.1:{listener.getsockname()[1]}")
                await one.transport.close()
            told = (len(one.unreached), len(one.dialled))
            await one.transport.close()
            one.transport.reconnect()
            one.transport.set_members([two.member])
            if state is just_sent:
                assert {each.type for each in two.received} == {M.TYPE_APPEND, M.TYPE_VOTE}
            await two.close()
            assert (len(one.unreached), len(one.dialled)) == told

    run(scenario)
