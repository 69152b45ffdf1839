"""A manager's keys follow the swarm's unlock key: at its start, at changes, and past failures."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from api.v1 import objects_pb2
from manager.locking import Locking
from manager.state.changes import batch, copy, create, update
from manager.state.store import Store
from manager.state.watch import WatchHub
from tests.support.builders import node
from tests.support.direct_proposer import DirectProposer

KEK, ANOTHER = b"k" * 32, b"a" * 32
LIMIT = 20.0
Relocked = tuple[bytes | None, int]


class Bench:
    """A store, a `relock` that notes what it was told, and the duty between them."""

    def __init__(self) -> None:
        self.store = Store()
        self.hub = WatchHub()
        self.proposer = DirectProposer(self.store, lambda: 0.0, self.hub)
        self.told: asyncio.Queue[Relocked] = asyncio.Queue()
        self.failures: list[OSError] = []
        self.gate = threading.Event()
        self.gate.set()
        self._loop = asyncio.get_running_loop()
        self.sealed_anew = 0
        self.news = True
        self.duty = Locking(self.store, self.hub, self._relock, self._seal_anew, retry=0.0)

    async def _seal_anew(self) -> None:
        self.sealed_anew += 1

    def _relock(self, kek: bytes | None, version: int) -> bool:
        self.gate.wait(LIMIT)
        self._loop.call_soon_threadsafe(self.told.put_nowait, (kek, version))
        if self.failures:
            raise self.failures.pop()
        return self.news

    async def begin(self, key: bytes = b"") -> None:
        made = objects_pb2.Cluster(id="c", unlock_key=key)
        await self.proposer.propose([batch(create(made))])

    async def change(self, edit: Callable[[objects_pb2.Cluster], object]) -> None:
        changed = copy(next(self.store.all(objects_pb2.Cluster)))
        edit(changed)
        await self.proposer.propose([batch(update(changed))])

    async def next(self) -> Relocked:
        return await asyncio.wait_for(self.told.get(), LIMIT)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        task = asyncio.create_task(self.duty.run())
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def set_key(key: bytes) -> Callable[[objects_pb2.Cluster], object]:
    return lambda cluster: setattr(cluster, "unlock_key", key)


def test_it_tells_at_the_start_and_at_each_change() -> None:
    async def scenario() -> None:
        bench = Bench()
        await bench.begin(KEK)
        async with bench.running():
            assert await bench.next() == (KEK, 1)
            await bench.proposer.propose([batch(create(node("n")))])
            await bench.change(set_key(ANOTHER))
            assert await bench.next() == (ANOTHER, 3)
            await bench.change(set_key(b""))
            assert await bench.next() == (None, 4)

    asyncio.run(scenario())


def test_a_manager_that_has_no_state_yet_changes_nothing_until_it_comes() -> None:
    async def scenario() -> None:
        bench = Bench()
        async with bench.running():
            await bench.proposer.propose([batch(create(node("n")))])
            await bench.begin(KEK)
            assert await bench.next() == (KEK, 2)
            bench.hub.resync()  # as after a snapshot came
            assert await bench.next() == (KEK, 2)

    asyncio.run(scenario())


def test_a_disk_that_fails_is_tried_again_with_what_holds_by_then(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario() -> None:
        bench = Bench()
        await bench.begin(KEK)
        bench.failures += [OSError("no space left"), OSError("no space left")]
        async with bench.running():
            assert [await bench.next() for _ in range(3)] == [(KEK, 1)] * 3
            bench.gate.clear()
            bench.failures.append(OSError("no space left"))
            await bench.change(set_key(ANOTHER))
            await bench.change(set_key(b""))
            bench.gate.set()
            assert (await bench.next())[1] in (2, 3)
            assert await bench.next() == (None, 3)
        assert "no space left" in caplog.text

    asyncio.run(scenario())


def test_it_ends_only_when_no_thread_of_it_writes_any_more() -> None:
    async def scenario() -> None:
        bench = Bench()
        await bench.begin(KEK)
        bench.gate.clear()
        task = asyncio.create_task(bench.duty.run())
        await asyncio.sleep(0)  # it subscribes and sends its thread off
        task.cancel()
        for _ in range(5):
            await asyncio.sleep(0)
        assert not task.done()
        bench.gate.set()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()
        assert bench.told.get_nowait() == (KEK, 1)

    asyncio.run(scenario())


@pytest.mark.parametrize(("news", "times"), [(True, 1), (False, 0)])
def test_the_log_is_sealed_anew_only_if_the_lock_has_changed(news: bool, times: int) -> None:
    async def scenario() -> None:
        bench = Bench()
        bench.news = news
        await bench.begin(KEK)
        async with bench.running():
            await bench.next()
            await bench.change(set_key(ANOTHER))
            await bench.next()  # the first is settled by now
            assert bench.sealed_anew == times

    asyncio.run(scenario())
