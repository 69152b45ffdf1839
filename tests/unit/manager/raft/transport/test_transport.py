"""Messages between real members, over mutual TLS on loopback."""

import pytest

from api.errors import Code, SwarmError
from api.v1.raft_pb2 import Member, RaftMessage
from manager.raft.transport import peer
from tests.support.raft_station import run, stations
from tests.support.until import until

pytestmark = pytest.mark.managers

M = RaftMessage


def test_messages_arrive_whole_and_in_order_on_each_stream() -> None:
    async def scenario() -> None:
        async with stations(3) as (one, two, three):
            mixed = [m for i in range(1, 400) for m in (one.append(two, i), one.append(three, i))]
            for start in range(0, len(mixed), 7):
                one.transport.send(mixed[start : start + 7])
                one.send(two, M.TYPE_VOTE, index=start)
            await until(lambda: len(two.indexes()) == 399)
            await until(lambda: len(three.indexes()) == 399)
            assert two.indexes() == three.indexes() == list(range(1, 400))
            assert two.of_type(M.TYPE_APPEND) == [m for m in mixed if m.to == two.raft_id]
            await until(lambda: len(two.indexes(M.TYPE_VOTE)) == 114)
            assert two.indexes(M.TYPE_VOTE) == list(range(0, len(mixed), 7))
            assert not one.unreached

    run(scenario)


def test_the_largest_messages_pass_and_a_larger_one_harms_only_itself() -> None:
    async def scenario() -> None:
        async with stations() as (one, two):
            one.transport.send([one.append(two, 1, 3 << 20), one.append(two, 2, (4 << 20) - 2000)])
            one.transport.send([one.append(two, 3, 4 << 20)])
            assert not one.unreached
            one.transport.send([one.append(two, 4)])
            await until(lambda: two.indexes() == [1, 2, 4])
            assert one.unreached == [2]
            assert len(one.dialled) == 1

    run(scenario)


def test_urgent_messages_overtake_entries_that_wait() -> None:
    async def scenario() -> None:
        async with stations() as (one, two):
            two.gate.clear()
            for index in range(20):
                one.transport.send([one.append(two, index, 1 << 20)])
            for term in range(1, 51):
                one.send(two, M.TYPE_HEARTBEAT, term=term)
                await until(lambda term=term: [m.term for m in two.received[-1:]] == [term])  # type: ignore[misc]
            assert not two.indexes()
            two.gate.set()
            await until(lambda: two.indexes() == list(range(20)))
            assert not one.unreached

    run(scenario)


def test_a_member_that_takes_nothing_is_reported_once_and_costs_the_others_nothing() -> None:
    async def scenario() -> None:
        async with stations(3) as (one, two, three):
            two.gate.clear()
            pieces = 2 * peer.BULK_BYTES >> 20
            for index in range(pieces):
                one.transport.send([one.append(two, index, 1 << 20), one.append(three, index, 10)])
            assert not one.unreached
            await until(lambda: three.indexes() == list(range(pieces)))
            assert one.unreached == [2]
            two.gate.set()
            await until(lambda: len(two.indexes()) >= peer.BULK_BYTES >> 20)
            kept = len(two.indexes())
            assert two.indexes() == list(range(kept))
            assert kept < pieces
            one.transport.send([one.append(two, pieces)])
            await until(lambda: two.indexes()[-1] == pieces)
            assert one.unreached == [2]

    run(scenario)


def test_who_is_no_member_gets_nothing_and_sending_never_fails() -> None:
    async def scenario() -> None:
        async with stations() as (one, two):
            one.transport.send([RaftMessage(to=77), RaftMessage(), one.message(one, M.TYPE_VOTE)])
            one.send(two, M.TYPE_VOTE, index=5)
            await until(lambda: two.indexes(M.TYPE_VOTE) == [5])
            await one.transport.close()
            one.send(two, M.TYPE_VOTE, index=6)
            one.transport.set_members([two.member])
            one.send(two, M.TYPE_VOTE, index=7)
            assert one.dialled == [one.credentials]
            assert not one.unreached
            assert two.indexes(M.TYPE_VOTE) == [5]

    run(scenario)


def test_messages_wait_for_the_first_link() -> None:
    async def scenario() -> None:
        async with stations(linked=False) as (one, two):
            one.send(two, M.TYPE_VOTE, index=1)
            two.admit(one)
            one.admit(two)
            one.send(two, M.TYPE_VOTE, index=2)
            await until(lambda: two.indexes(M.TYPE_VOTE) == [2])
            assert not one.unreached

    run(scenario)


def test_members_are_kept_as_they_were_told() -> None:
    async def scenario() -> None:
        async with stations(linked=False) as (one, two):
            two.nodes = {1: "node1"}
            told: Member = two.member
            one.transport.set_members([one.member, told])
            told.address = "127.0.0.1:1"
            one.send(two, M.TYPE_VOTE, index=1)
            await until(lambda: two.indexes(M.TYPE_VOTE) == [1])
            one.transport.set_members([one.member, two.member])
            assert len(one.dialled) == 1

    run(scenario)


@pytest.mark.parametrize("kind", [M.TYPE_VOTE, M.TYPE_APPEND])
def test_a_receiver_that_fails_breaks_the_link_and_is_tried_again(kind: M.Type.ValueType) -> None:
    async def scenario() -> None:
        async with stations() as (one, two):
            two.failure = SwarmError(Code.UNAVAILABLE, "the disk has failed")
            one.send(two, kind, index=1)
            await until(lambda: 2 in one.unreached)
            two.failure = None
            await until(lambda: len(one.dialled) > 1)
            one.unreached.clear()
            while not two.indexes(kind):
                one.send(two, kind, index=2)
                await until(lambda: bool(two.indexes(kind) or one.unreached))
                one.unreached.clear()
            assert set(two.indexes(kind)) == {2}

    run(scenario)
