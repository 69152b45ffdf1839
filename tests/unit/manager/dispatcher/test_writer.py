"""Group commit: what waits is written together, a stale version again, a failure is told."""

import asyncio
from collections.abc import Sequence

import pytest

from api import states
from api.errors import Code, SwarmError
from api.v1 import dispatcher_pb2, objects_pb2, raft_pb2
from hostkit.clock import monotonic
from manager.dispatcher.statuses import Gathered
from manager.dispatcher.writer import Writer
from manager.raft.node.node import ENTRY_BYTES
from manager.state.changes import MAX_BATCHES, Applied, Batch, copy, create, encode, update
from tests.support.builders import EPOCH, task
from tests.support.direct_proposer import DirectProposer
from tests.support.sealed_store import SealedStore


class Gate(DirectProposer):
    """Counts proposals, holds them back while shut, and lets a rival write first."""

    def __init__(self, store: SealedStore) -> None:
        super().__init__(store, lambda: EPOCH)
        self.sealed = store
        self.sizes: list[int] = []
        self.largest = 0
        self.reached = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()
        self.rivals = 0
        self.failure: SwarmError | None = None

    async def propose(
        self, batches: Sequence[Batch], *, request_id: str = "", object_id: str = ""
    ) -> Applied:
        self.sizes.append(len(batches))
        entry = raft_pb2.Command(batches=encode(batches))
        self.largest = max(self.largest, entry.ByteSize())
        self.reached.set()
        await self.open.wait()
        if self.failure is not None:
            raise self.failure
        if self.rivals:
            self.rivals -= 1
            task_id = batches[0].changes[0].object.id
            present = self.sealed.get(objects_pb2.Task, task_id)
            assert present is not None
            self.sealed.must(update(copy(present)), now=EPOCH)
        return await super().propose(batches)


class Bench:
    def __init__(self, tasks: int = 3, args: Sequence[str] = ()) -> None:
        self.store = SealedStore()
        for index in range(tasks):
            made = task(f"t{index}", state=states.ASSIGNED)
            made.spec.container.args.extend(args)
            self.store.must(create(made), now=EPOCH)
        self.gate = Gate(self.store)
        self.gathered = Gathered()
        self.writer = Writer(
            "states", self.gathered, view=self.store, proposer=self.gate, monotonic=monotonic
        )

    async def report(self, *indexes: int) -> None:
        self.gathered.add(
            dispatcher_pb2.TaskStatusUpdate(
                task_id=f"t{index}", status=objects_pb2.TaskStatus(state=states.RUNNING)
            )
            for index in indexes
        )
        await self.writer.durable()

    def state(self, index: int) -> int:
        found = self.store.get(objects_pb2.Task, f"t{index}")
        assert found is not None
        return found.status.state


def test_what_comes_while_writing_shares_the_next_proposal() -> None:
    async def scenario() -> None:
        bench = Bench(10)
        async with asyncio.timeout(20):
            running = asyncio.create_task(bench.writer.run())
            bench.gate.open.clear()
            first = asyncio.create_task(bench.report(0))
            await bench.gate.reached.wait()
            others = [asyncio.create_task(bench.report(index)) for index in range(1, 10)]
            await asyncio.sleep(0)
            assert not first.done()
            bench.gate.open.set()
            await asyncio.gather(first, *others)
            running.cancel()
        assert bench.gate.sizes == [1, 9]
        assert all(bench.state(index) == states.RUNNING for index in range(10))

    asyncio.run(scenario())


def test_a_big_write_is_cut_into_proposals() -> None:
    async def scenario() -> None:
        bench = Bench(MAX_BATCHES + 1)
        running = asyncio.create_task(bench.writer.run())
        await bench.report(*range(MAX_BATCHES + 1))
        running.cancel()
        assert bench.gate.sizes == [MAX_BATCHES, 1]

    asyncio.run(scenario())


def test_states_of_large_tasks_are_cut_into_entries_of_the_log() -> None:
    async def scenario() -> None:
        bench = Bench(200, args=["x" * 20_000])
        running = asyncio.create_task(bench.writer.run())
        await bench.report(*range(200))
        running.cancel()
        assert sum(bench.gate.sizes) == 200
        assert bench.gate.largest < ENTRY_BYTES

    asyncio.run(scenario())


def test_nothing_new_needs_no_proposal() -> None:
    async def scenario() -> None:
        bench = Bench()
        running = asyncio.create_task(bench.writer.run())
        await bench.report()
        await bench.report(0)
        await bench.report(0)
        running.cancel()
        assert bench.gate.sizes == [1]

    asyncio.run(scenario())


def test_a_rival_makes_it_decide_again() -> None:
    async def scenario() -> None:
        bench = Bench()
        bench.gate.rivals = 2
        running = asyncio.create_task(bench.writer.run())
        await bench.report(0, 1)
        running.cancel()
        assert bench.gate.sizes == [2, 1, 1]
        assert bench.state(0) == states.RUNNING

    asyncio.run(scenario())


@pytest.mark.parametrize("rivals", [0, 1000])
def test_who_waits_is_told_of_a_failure(rivals: int) -> None:
    async def scenario() -> None:
        bench = Bench()
        bench.gate.rivals = rivals
        if not rivals:
            bench.gate.failure = SwarmError(Code.UNAVAILABLE, "no quorum")
        running = asyncio.create_task(bench.writer.run())
        with pytest.raises(SwarmError) as failed:
            await bench.report(0)
        assert failed.value.code is Code.UNAVAILABLE
        bench.gate.failure, bench.gate.rivals = None, 0
        await bench.report(0)
        running.cancel()
        assert bench.state(0) == states.RUNNING

    asyncio.run(scenario())


def test_who_waits_is_told_of_the_end() -> None:
    async def scenario() -> None:
        bench = Bench()
        running = asyncio.create_task(bench.writer.run())
        bench.gate.open.clear()
        waiting = [asyncio.create_task(bench.report(0))]
        await bench.gate.reached.wait()
        waiting.append(asyncio.create_task(bench.report(1)))
        await asyncio.sleep(0)
        running.cancel()
        for failed in await asyncio.gather(*waiting, return_exceptions=True):
            assert isinstance(failed, SwarmError)
            assert failed.code is Code.UNAVAILABLE
        async with asyncio.timeout(20):
            with pytest.raises(SwarmError, match="does not lead any more"):
                await bench.report(2)

    asyncio.run(scenario())
