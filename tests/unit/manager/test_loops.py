"""The driver of loops: a defect in one is told and survived, and it is begun anew."""

import asyncio
from collections.abc import Sequence

from api.errors import Code, SwarmError
from api.v1 import objects_pb2
from manager.decision import Decision
from manager.loops import LoopTask
from manager.reign import Reign
from manager.runner import RETRY_DELAY
from manager.state.changes import Applied, Batch, Event, batch, create
from manager.state.store import Store, View
from manager.state.watch import WatchHub
from tests.support.direct_proposer import DirectProposer
from tests.support.standing import Standing
from tests.support.until import until


class Clock:
    """Stands still until a test moves it."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class BrokenLoop:
    """Fails in the place that it is told, as often as it is told; then makes one task."""

    name = "broken"
    kinds = (objects_pb2.Task,)
    debounce = 0.0

    def __init__(self, place: str, times: int) -> None:
        self._place = place
        self._times = times
        self.calls = 0

    def _perhaps_fail(self, place: str) -> None:
        if place == self._place:
            self.calls += 1
            if self.calls <= self._times:
                raise KeyError("a defect")

    def reset(self, view: View) -> None:
        self._perhaps_fail("reset")

    def observe(self, event: Event) -> bool:
        self._perhaps_fail("observe")
        return True

    def decide(self, view: View, now: float) -> Decision:
        self._perhaps_fail("decide")
        if view.get(objects_pb2.Task, "a") is None:
            return Decision([batch(create(objects_pb2.Task(id="a")))])
        return Decision()

    def refused(self, each: Batch) -> None:
        raise AssertionError("nothing is refused here")


def check_survives(place: str) -> None:
    async def scenario() -> None:
        store, hub, clock = Store(), WatchHub(), Clock()
        proposer = DirectProposer(store, clock)
        loop = BrokenLoop(place, times=2)
        task = LoopTask(loop, store=store, hub=hub, proposer=proposer, clock=clock)
        running = asyncio.create_task(task.run())
        try:
            if place == "observe":
                await until(lambda: store.get(objects_pb2.Task, "a") is not None)
                hub.publish(1, [Event(None, objects_pb2.Task(id="a"))])
            await until(lambda: task.complaint() != "")
            assert "broken failed: a defect" in task.complaint()
            for _ in range(100):
                await asyncio.sleep(0)
            assert loop.calls == 1  # it waits
            clock.now += RETRY_DELAY
            hub.resync()
            if place != "observe":
                await until(lambda: loop.calls == 2)
                clock.now += 2 * RETRY_DELAY
                hub.resync()
                await until(lambda: store.get(objects_pb2.Task, "a") is not None)
            await until(lambda: task.complaint() == "")
            assert not running.done()
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    asyncio.run(scenario())


def test_a_loop_that_cannot_decide_is_begun_anew_later() -> None:
    check_survives("decide")


def test_a_loop_that_cannot_begin_is_begun_anew_later() -> None:
    check_survives("reset")


def test_a_loop_that_cannot_observe_is_begun_anew_later() -> None:
    check_survives("observe")


class LosingProposer:
    """Its manager loses the leadership, so that nobody knows what became of the proposal."""

    def __init__(self) -> None:
        self.lost = asyncio.Event()

    async def propose(
        self, batches: Sequence[Batch], *, request_id: str = "", object_id: str = ""
    ) -> Applied:
        await self.lost.wait()
        raise SwarmError(Code.UNAVAILABLE, "it is not known whether the change was made")


def test_a_manager_that_leads_no_more_has_nothing_to_complain_of() -> None:
    async def scenario() -> None:
        proposer, standing = LosingProposer(), Standing()
        loop = BrokenLoop("", times=0)
        task = LoopTask(loop, store=Store(), hub=WatchHub(), proposer=proposer, clock=Clock())
        reign = asyncio.create_task(Reign(standing, task.run).run())
        try:
            standing.sees("a", itself=True)
            await asyncio.sleep(0)
            proposer.lost.set()
            await until(lambda: "it is not known" in task.complaint())
            standing.sees("b")
            await until(lambda: task.complaint() == "")
        finally:
            reign.cancel()
            await asyncio.gather(reign, return_exceptions=True)

    asyncio.run(scenario())
