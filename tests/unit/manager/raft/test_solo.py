"""The log of one manager: answered only when durable, one sync for many, rebuilt after a cut."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable

import pytest

from api.errors import Code, SwarmError
from api.v1 import raft_pb2
from manager.raft import solo as solo_module
from manager.raft.durable.snapshots import SnapshotStore
from manager.raft.durable.wal import Wal
from manager.raft.solo import Solo
from tests.support.sim_disk import Lost, SimDisk
from tests.support.until import until


class Words:
    """A state machine that keeps every word it was told."""

    def __init__(self) -> None:
        self.told: list[bytes] = []
        self.locals: list[object] = []

    def apply(self, entry: raft_pb2.Entry, local: object | None) -> object:
        if entry.data == b"bad":
            return SwarmError(Code.REFUSED, "a bad word")
        self.told.append(entry.data)
        self.locals.append(local)
        return entry.index

    def capture(self) -> Callable[[], bytes]:
        told = list(self.told)
        return lambda: b" ".join(told)

    def restore(self, data: bytes) -> None:
        self.told = data.split()


@contextlib.asynccontextmanager
async def running(
    disk: SimDisk, interval: int = 1000, words: Words | None = None
) -> AsyncIterator[tuple[Solo, Words]]:
    wal, recovered = Wal.open(disk, cluster_id="c", node_id="n", keys=None)
    words = words or Words()
    snapshots = SnapshotStore(disk, cluster_id="c", node_id="n", keys=None)
    solo = Solo(wal, snapshots, words, snapshot_interval=lambda: interval)
    solo.recover(recovered)
    task = asyncio.create_task(solo.run())
    try:
        yield solo, words
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def has_snapshot(disk: SimDisk) -> bool:
    return any(name.endswith(".snap") for name in disk.list())


def test_an_answered_word_survives_a_power_cut() -> None:
    async def scenario() -> None:
        disk = SimDisk()
        async with running(disk) as (solo, _):
            assert await solo.append(b"one") == 1
            assert await solo.append(b"two", local="near") == 2
        async with running(disk.after_power_cut(Lost())) as (solo, words):
            assert (words.told, words.locals) == ([b"one", b"two"], [None, None])
            assert await solo.append(b"three") == 3

    asyncio.run(scenario())


def test_many_that_wait_share_a_sync_and_keep_their_order() -> None:
    async def scenario() -> None:
        async with running(SimDisk()) as (solo, words):
            answers = await asyncio.gather(*(solo.append(b"%d" % n) for n in range(200)))
            assert answers == list(range(1, 201))
            assert words.told == [b"%d" % n for n in range(200)]

    asyncio.run(scenario())


def test_after_a_failed_sync_nothing_is_answered_as_done() -> None:
    async def scenario() -> None:
        disk = SimDisk()
        async with running(disk) as (solo, words):
            await solo.append(b"one")
            disk.fail_next("fdatasync")
            for word in (b"two", b"three"):
                with pytest.raises(SwarmError) as refused:
                    await solo.append(word)
                assert refused.value.code is Code.UNAVAILABLE
                assert "restart swarmd" in refused.value.remedy
            assert words.told == [b"one"]

    asyncio.run(scenario())


def test_a_snapshot_replaces_the_entries_below_it() -> None:
    async def scenario() -> None:
        disk = SimDisk()
        async with running(disk, interval=10) as (solo, _):
            for number in range(25):
                await solo.append(b"%d" % number)
            await until(lambda: has_snapshot(disk))
        async with running(disk.after_power_cut(Lost())) as (_, words):
            assert words.told == [b"%d" % n for n in range(25)]

    asyncio.run(scenario())


def test_a_stopped_log_says_so_to_those_who_wait() -> None:
    async def scenario() -> None:
        async with running(SimDisk()) as (solo, _):
            await solo.append(b"one")
        with pytest.raises(SwarmError, match="stopping"):
            await solo.append(b"two")

    asyncio.run(scenario())


def test_the_machines_refusal_reaches_the_caller_and_the_log_goes_on() -> None:
    async def scenario() -> None:
        async with running(SimDisk()) as (solo, _):
            with pytest.raises(SwarmError, match="a bad word"):
                await solo.append(b"bad")
            assert await solo.append(b"good") == 2

    asyncio.run(scenario())


def test_writing_goes_on_while_a_snapshot_is_encoded() -> None:
    class Slow(Words):
        def capture(self) -> Callable[[], bytes]:
            encode = super().capture()

            def wait_and_encode() -> bytes:
                assert released.wait(60)
                return encode()

            return wait_and_encode

    released = threading.Event()

    async def scenario() -> None:
        disk = SimDisk()
        async with running(disk, interval=10, words=Slow()) as (solo, _):
            for number in range(25):
                await solo.append(b"%d" % number)
            assert not has_snapshot(disk)
            released.set()
            await until(lambda: has_snapshot(disk))
            await solo.append(b"25")
        async with running(disk.after_power_cut(Lost())) as (_, words):
            assert words.told == [b"%d" % n for n in range(26)]

    asyncio.run(scenario())


def test_a_snapshot_that_cannot_be_written_ends_the_log() -> None:
    async def scenario() -> None:
        disk = SimDisk()
        wal, _ = Wal.open(disk, cluster_id="c", node_id="n", keys=None)
        snapshots = SnapshotStore(disk, cluster_id="c", node_id="n", keys=None)
        solo = Solo(wal, snapshots, Words(), snapshot_interval=lambda: 1)
        task = asyncio.create_task(solo.run())
        await solo.append(b"one")
        disk.fail_next("rename")
        with pytest.raises(SwarmError, match="cannot write its log"):
            await task
        with pytest.raises(SwarmError, match="cannot write its log"):
            await solo.append(b"two")

    asyncio.run(scenario())


def test_many_large_entries_are_written_in_several_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        monkeypatch.setattr(solo_module, "ROUND_BYTES", 1000)
        disk = SimDisk()
        async with running(disk) as (solo, words):
            before = len(disk.log)
            entries = [b"%d" % n * 300 for n in range(10)]
            assert await asyncio.gather(*map(solo.append, entries)) == list(range(1, 11))
            syncs = sum(each.startswith("fdatasync") for each in disk.log[before:])
            assert (words.told, syncs) == (entries, 4)

    asyncio.run(scenario())


def test_an_entry_that_is_too_large_harms_nobody_else() -> None:
    async def scenario() -> None:
        async with running(SimDisk()) as (solo, _):
            with pytest.raises(SwarmError, match="too large") as refused:
                await solo.append(bytes(solo_module.ENTRY_BYTES + 1))
            assert refused.value.code is Code.INVALID
            assert await solo.append(b"one") == 1

    asyncio.run(scenario())


def test_a_machine_that_fails_leaves_no_caller_waiting() -> None:
    class Broken(Words):
        def apply(self, entry: raft_pb2.Entry, local: object | None) -> object:
            raise RuntimeError("a defect")

    async def scenario() -> None:
        async with running(SimDisk(), words=Broken()) as (solo, _):
            answers = await asyncio.gather(
                solo.append(b"one"), solo.append(b"two"), return_exceptions=True
            )
            assert [type(answer) for answer in answers] == [SwarmError, SwarmError]

    asyncio.run(scenario())
