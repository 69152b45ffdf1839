"""Nodes that stop, are cancelled, lose their disk, and come back."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from api.v1.raft_pb2 import Entry
from manager.raft.durable.keyring import FileKeys
from tests.support.node_group import Group, Station, group
from tests.support.sim_disk import Lost, SimDisk
from tests.support.until import until
from tests.support.word_machine import Words

ALL = (1, 2, 3)


async def restart(g: Group, *raft_ids: int) -> None:
    await asyncio.gather(*(g.stations[each].stop() for each in raft_ids))
    for each in raft_ids:
        g.stations[each].start(ALL)


async def alone(g: Group, disk: SimDisk) -> Station:
    """A group of one on this disk, which leads."""
    station = g.station(1, disk)
    node = station.start([1], bootstrap=True)
    await g.tick_until(lambda: node.is_leader)
    return station


@pytest.mark.parametrize("who", [(1,), (2,), (2, 3), ALL])
def test_all_is_there_again_after_a_restart(tmp_path: Path, who: tuple[int, ...]) -> None:
    async def scenario() -> None:
        async with group(tmp_path) as g:
            await g.done(g.leader.append(b"one"))
            await restart(g, *who)
            await g.tick_until(lambda: bool(g.leaders))
            await g.done(g.leader.append(b"two"))
            await g.tick_until(lambda: all(g.told(each) == [b"one", b"two"] for each in ALL))
            assert all(sorted(node.members) == [1, 2, 3] for node in g.running)

    asyncio.run(scenario())


def test_a_member_restarts_from_snapshot_and_tail(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with group(tmp_path, interval=20) as g:
            words = [b"%d" % n for n in range(75)]
            for word in words:
                await g.done(g.leader.append(word))
            await g.tick(2)
            await restart(g, *ALL)
            assert all(len(g.told(each)) >= 40 for each in ALL)
            await g.tick_until(lambda: all(g.told(each) == words for each in ALL))

    asyncio.run(scenario())


def test_a_member_that_was_away_while_others_compacted_gets_a_snapshot(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with group(tmp_path, interval=50) as g:
            await g.stations[3].stop()
            words = [b"%d" % n for n in range(1200)]
            await g.done(asyncio.gather(*map(g.leader.append, words)))
            await g.tick(2)
            g.stations[3].start(ALL)
            await g.tick_until(lambda: g.told(3) == words)
            assert g.stations[3].words.installed >= 1
            await restart(g, 3)
            await g.done(g.leader.append(b"more"))
            await g.tick_until(lambda: g.told(3) == [*words, b"more"])

    asyncio.run(scenario())


def test_a_sole_voter_leads_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        g = Group(tmp_path)
        station = g.station(1)
        node = station.start([1], bootstrap=True)
        await g.quiet()
        assert node.is_leader
        await node.append(b"one")
        await station.stop()
        node = station.start([1], bootstrap=True)
        await g.quiet()
        assert (node.is_leader, g.told(1)) == (True, [b"one"])
        await g.stop()

    asyncio.run(scenario())


def test_an_answered_word_survives_a_power_cut(tmp_path: Path) -> None:
    async def scenario() -> None:
        g = Group(tmp_path)
        disk = SimDisk()
        station = await alone(g, disk)
        for word in (b"one", b"two"):
            await station.node.append(word)
        found = disk.after_power_cut(Lost())
        await station.stop()
        station = await alone(g, found)
        assert station.words.told == [b"one", b"two"]
        await g.stop()

    asyncio.run(scenario())


def test_snapshots_are_taken_though_the_writing_never_rests(tmp_path: Path) -> None:
    class Busy(SimDisk):
        """While it syncs, somebody wants to write again, until a snapshot is there."""

        def rename(self, old: str, new: str) -> None:
            super().rename(old, new)
            if ".snap.tmp" in old:
                taken.set()

        def fdatasync(self, name: str) -> None:
            if calls and not taken.is_set():
                more.clear()
                loop.call_soon_threadsafe(write)
                assert more.wait(60)
            super().fdatasync(name)

    def write() -> None:
        calls.append(asyncio.create_task(g.leader.append(b"word")))
        loop.call_soon(more.set)

    async def scenario() -> None:
        disk = Busy()
        await alone(g, disk)
        taken.clear()
        write()
        await until(taken.is_set)
        await asyncio.gather(*calls)
        await g.stop()

    g, calls = Group(tmp_path, interval=10), list[asyncio.Task[object]]()
    more, taken = threading.Event(), threading.Event()
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        runner.run(scenario())


def test_many_that_write_at_once_share_a_sync(tmp_path: Path) -> None:
    async def scenario() -> None:
        g = Group(tmp_path)
        disk = SimDisk()
        station = await alone(g, disk)
        before = len(disk.log)
        await asyncio.gather(*(station.node.append(b"%d" % n) for n in range(200)))
        syncs = sum(each.startswith("fdatasync") for each in disk.log[before:])
        assert (len(station.words.told), syncs) == (200, 1)
        await g.stop()

    asyncio.run(scenario())


@pytest.mark.parametrize("operation", ["append", "fdatasync"])
def test_a_leader_whose_disk_fails_stops_and_the_others_go_on(
    tmp_path: Path, operation: str
) -> None:
    async def scenario() -> None:
        async with group(tmp_path) as g:
            station = g.stations[1]
            fail_next(station, operation)
            call = asyncio.create_task(station.node.append(b"one"))
            await g.tick_until(lambda: not station.running)
            assert isinstance(station.ended, SwarmError)
            assert station.ended.code is Code.UNAVAILABLE
            assert "cannot write its log" in station.ended.what
            with pytest.raises(SwarmError, match="cannot write its log"):
                await call
            for refused in (station.node.append(b"two"), station.node.read_barrier()):
                with pytest.raises(SwarmError, match="cannot write its log"):
                    await refused
            assert not station.node.is_leader
            await g.tick_until(lambda: bool(g.leaders))
            await g.done(g.leader.append(b"three"))
            assert g.leader.raft_id != 1
            await station.stop()
            station.start(ALL)
            await g.tick_until(lambda: g.told(1)[-1:] == [b"three"])

    asyncio.run(scenario())


def test_a_snapshot_that_cannot_be_written_stops_the_member(tmp_path: Path) -> None:
    async def scenario() -> None:
        g = Group(tmp_path, interval=10)
        disk = SimDisk()
        station = await alone(g, disk)
        disk.fail_next("rename")
        words = (b"%d" % n for n in range(20))
        await asyncio.gather(*map(station.node.append, words), return_exceptions=True)
        await g.tick_until(lambda: not station.running)
        assert isinstance(station.ended, SwarmError)
        with pytest.raises(SwarmError, match="cannot write its log"):
            await station.node.append(b"more")
        await g.stop()

    asyncio.run(scenario())


def test_a_machine_that_fails_leaves_no_caller_waiting(tmp_path: Path) -> None:
    class Broken(Words):
        def apply(self, entry: Entry, local: object | None) -> object:
            if entry.data == b"two":
                raise RuntimeError("a defect")
            return super().apply(entry, local)

    async def scenario() -> None:
        g = Group(tmp_path)
        station = g.station(1)
        node = station.start([1], bootstrap=True, machine=Broken())
        await g.quiet()
        calls = (node.append(b"one"), node.append(b"two"), node.append(b"three"))
        first, *others = await asyncio.gather(*calls, return_exceptions=True)
        assert isinstance(first, int)
        assert [type(other) for other in others] == [SwarmError, SwarmError]
        assert isinstance(station.ended, RuntimeError)
        await g.stop()

    asyncio.run(scenario())


@pytest.mark.parametrize("turns", range(40))
def test_a_cancelled_node_answers_everybody_and_keeps_what_it_acknowledged(
    tmp_path: Path, turns: int
) -> None:
    async def scenario() -> None:
        g = Group(tmp_path, interval=3)
        station = await alone(g, SimDisk())
        words = [b"%d" % n for n in range(8)]
        calls: list[asyncio.Task[object]] = []
        for turn in range(turns):
            if turn % 4 == 0 and words:
                calls.append(asyncio.create_task(station.node.append(words.pop(0))))
            await asyncio.sleep(0)
        await station.stop()
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(each, int | SwarmError) for each in outcomes)
        acknowledged = sum(isinstance(each, int) for each in outcomes)
        assert station.disk is not None
        again = await alone(g, station.disk.after_kill())
        told = again.words.told
        assert told == [b"%d" % n for n in range(len(told))]
        assert acknowledged <= len(told) <= len(calls)
        await g.stop()

    asyncio.run(scenario())


def test_a_cancelled_node_waits_for_the_write_that_is_under_way(tmp_path: Path) -> None:
    class Gated(SimDisk):
        def fdatasync(self, name: str) -> None:
            asked.set()
            assert released.wait(60)
            super().fdatasync(name)
            finished.append(name)

    async def scenario() -> None:
        g = Group(tmp_path)
        station = await alone(g, Gated())
        await g.quiet()
        for event in (released, asked):
            event.clear()
        finished.clear()
        call = asyncio.create_task(station.node.append(b"one"))
        await until(asked.is_set)
        releasing = threading.Timer(0.05, released.set)
        releasing.start()
        station.task.cancel()
        await asyncio.gather(station.task, return_exceptions=True)
        assert len(finished) == 1
        with pytest.raises(SwarmError, match="stopping"):
            await call
        releasing.join()
        await g.stop()

    released, asked, finished = threading.Event(), threading.Event(), list[str]()
    released.set()
    asyncio.run(scenario())


def test_a_member_under_a_new_data_key_comes_back(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with group(tmp_path) as g:
            await g.done(g.leader.append(b"one"))
            await g.done(g.leader.rotate_data_key())
            await g.done(g.leader.append(b"two"))
            assert len(FileKeys(tmp_path / "node1.key").derived("a test")) == 2
            await restart(g, *ALL)
            await g.tick_until(lambda: all(g.told(each) == [b"one", b"two"] for each in ALL))

    asyncio.run(scenario())


def test_a_log_that_cannot_go_on_under_the_new_key_stops_the_member(tmp_path: Path) -> None:
    async def scenario() -> None:
        g = Group(tmp_path)
        disk = SimDisk()
        station = await alone(g, disk)
        disk.fail_next("create")
        with pytest.raises(SwarmError, match="cannot write its log"):
            await station.node.rotate_data_key()
        await g.tick_until(lambda: not station.running)
        await g.stop()

    asyncio.run(scenario())


def test_what_was_applied_is_applied_again_after_a_clean_stop(tmp_path: Path) -> None:
    """The commit index that was not worth a write of its own is written at the end."""

    async def scenario() -> None:
        async with group(tmp_path) as g:
            await g.done(g.leader.append(b"one"))
            await g.tick(3)
            await g.stop()
            g.stations[3].start(ALL)
            await g.quiet()
            assert g.told(3) == [b"one"]

    asyncio.run(scenario())


def test_a_follower_whose_disk_fails_stops_and_acknowledges_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with group(tmp_path) as g:
            g.cut.add(2)
            fail_next(g.stations[3], "fdatasync")
            call = asyncio.create_task(g.leader.append(b"one"))
            await g.tick_until(lambda: not g.stations[3].running)
            assert not call.done()
            g.cut.clear()
            await g.done(call)
            await g.tick_until(lambda: g.told(2) == [b"one"])

    asyncio.run(scenario())


def fail_next(station: Station, operation: str) -> None:
    """Makes the next operation of a station's real disk fail."""
    assert station.disk_in_use is not None
    disk = station.disk_in_use
    real: Callable[..., object] = getattr(disk, operation)

    def fail(*arguments: object) -> object:
        setattr(disk, operation, real)
        raise OSError(5, "Input/output error")

    setattr(disk, operation, fail)
