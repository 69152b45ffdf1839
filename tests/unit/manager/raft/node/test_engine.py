"""How a node treats the loop that it shares, and how it comes to its end."""

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from api.v1.raft_pb2 import (
    ConfState,
    Entry,
    MemberChange,
    RaftMessage,
    Snapshot,
    SnapshotMetadata,
)
from manager.raft.node.engine import SLICE
from tests.support.node_group import Group, change, group
from tests.support.until import until
from tests.support.word_machine import Words


def test_long_work_of_the_machine_leaves_the_loop_to_others_in_between(tmp_path: Path) -> None:
    class Slow(Words):
        def apply(self, entry: Entry, local: object | None) -> object:
            g.clock.advance(SLICE / 2.5)
            return super().apply(entry, local)

    async def count() -> None:
        while len(machine.told) < 90:
            turns.append(len(machine.told))
            await asyncio.sleep(0)

    async def scenario() -> None:
        node = g.station(1).start([1], bootstrap=True, machine=machine)
        await g.quiet()
        turn = asyncio.create_task(count())
        await asyncio.gather(*(node.append(b"%d" % number) for number in range(90)), turn)
        assert max(after - before for before, after in pairwise(turns)) <= 3
        await g.stop()

    g, machine, turns = Group(tmp_path), Slow(), list[int]()
    asyncio.run(scenario())


def test_messages_are_taken_while_the_machine_works(tmp_path: Path) -> None:
    """Also one that takes the leadership away: what waits is answered once, and not as done."""

    class Slow(Words):
        def apply(self, entry: Entry, local: object | None) -> object:
            g.clock.advance(2 * SLICE)
            return super().apply(entry, local)

    async def scenario() -> None:
        node = g.station(1).start([1], bootstrap=True, machine=machine)
        await g.quiet()
        calls = [asyncio.create_task(node.append(b"%d" % number)) for number in range(20)]
        await until(lambda: bool(machine.told))
        usurper = RaftMessage(type=RaftMessage.TYPE_HEARTBEAT, to=1, term=node.term + 1)
        setattr(usurper, "from", 9)
        await node.receive([usurper])
        assert not node.is_leader
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        done = [each for each in outcomes if isinstance(each, int)]
        assert 1 <= len(done) < 20
        assert all(isinstance(each, int | SwarmError) for each in outcomes)
        await g.quiet()
        assert len(machine.told) == 20
        await g.stop()

    g, machine = Group(tmp_path), Slow()
    asyncio.run(scenario())


def test_a_snapshot_that_comes_while_the_machine_works_takes_the_place_of_an_own(
    tmp_path: Path,
) -> None:
    class Slow(Words):
        def apply(self, entry: Entry, local: object | None) -> object:
            g.clock.advance(2 * SLICE)
            return super().apply(entry, local)

    async def scenario() -> None:
        node = g.station(1).start([1, 2], machine=machine)
        entries = [Entry(term=3, index=1 + at, data=b"%d" % at) for at in range(5)]
        append = RaftMessage(type=RaftMessage.TYPE_APPEND, to=1, term=3, entries=entries, commit=5)
        metadata = SnapshotMetadata(index=9, term=3, conf=ConfState(voters=[2], learners=[1]))
        snapshot = Snapshot(metadata=metadata, data=b"a b")
        install = RaftMessage(type=RaftMessage.TYPE_SNAPSHOT, to=1, term=3, snapshot=snapshot)
        for message in (append, install):
            setattr(message, "from", 2)
        await node.receive([append])
        await until(lambda: bool(machine.told))
        await node.receive_snapshot(install)
        assert len(machine.told) < 5
        await g.quiet()
        assert (node.applied, machine.told, g.stations[1].running) == (9, [b"a", b"b"], True)
        await g.stop()

    g, machine = Group(tmp_path, interval=1), Slow()
    asyncio.run(scenario())


def test_who_was_told_of_a_change_can_make_the_next(tmp_path: Path) -> None:
    class Slow(Words):
        def apply(self, entry: Entry, local: object | None) -> object:
            g.clock.advance(2 * SLICE)
            return super().apply(entry, local)

    async def scenario() -> None:
        node = g.station(1).start([1], bootstrap=True, machine=Slow())
        await g.quiet()

        async def changes() -> None:
            for kind in (MemberChange.TYPE_ADD_LEARNER, MemberChange.TYPE_REMOVE):
                await node.change_members(change(kind, 2))

        await asyncio.gather(changes(), *(node.append(b"%d" % number) for number in range(20)))
        assert list(node.members) == [1]
        await g.stop()

    g = Group(tmp_path)
    asyncio.run(scenario())


def test_a_node_whose_log_contradicts_its_leaders_stops(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with group(tmp_path) as g:
            await g.done(g.leader.append(b"one"))
            await g.tick(2)
            beyond = RaftMessage(
                type=RaftMessage.TYPE_HEARTBEAT, to=3, term=g[3].term, commit=g[3].applied + 5
            )
            setattr(beyond, "from", g.leader.raft_id)
            with pytest.raises(SwarmError, match="contradicts its group's") as broken:
                await g[3].receive([beyond])
            assert broken.value.code is Code.INTERNAL
            await g.tick_until(lambda: not g.stations[3].running)
            assert g.stations[3].ended is broken.value
            with pytest.raises(SwarmError, match="contradicts its group's"):
                await g[3].receive([beyond])
            g[3].unreachable(1)
            g[3].snapshot_sent(1, True)
            await g.done(g.leader.append(b"two"))

    asyncio.run(scenario())


def test_an_idle_node_is_cancelled(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with group(tmp_path, 1) as g:
            await g.stop()
            assert (g[1].is_leader, g.stations[1].ended) == (False, None)
            for refused in (g[1].append(b"one"), g[1].read_barrier(), g[1].hand_over()):
                with pytest.raises(SwarmError, match="stopping"):
                    await refused

    asyncio.run(scenario())


def test_a_node_that_is_cancelled_twice_still_lets_everybody_go(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with group(tmp_path, 3) as g:
            g.cut.update((2, 3))
            calls = [asyncio.create_task(g[1].append(b"one")), asyncio.create_task(g[1].leading())]
            read = asyncio.create_task(g[1].read_barrier())
            await g.quiet()
            task = g.stations[1].task
            task.cancel()
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            outcomes = await asyncio.gather(*calls, read, return_exceptions=True)
            assert [type(each) for each in outcomes] == [SwarmError, type(None), SwarmError]

    asyncio.run(scenario())


def test_ticks_that_were_missed_in_a_pause_depose_nobody(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with group(tmp_path) as g:
            term = g.leader.term
            for _ in range(10):
                g.clock.advance(60.0)
                await g.quiet()
            assert (g.leader.raft_id, g.leader.term) == (1, term)

    asyncio.run(scenario())
