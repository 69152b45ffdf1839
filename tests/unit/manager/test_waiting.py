import asyncio
import math

from manager.waiting import until_due
from tests.sim.control.loop import Process, VirtualLoop


def turns(seconds_due: float, offset: float, pace: float) -> int:
    """How many steps a loop of virtual time takes until that is due by a clock of its own pace."""
    with VirtualLoop() as loop:
        loop.now = 9e5

        def clock() -> float:
            return offset + (loop.time() - 9e5) * pace

        async def wait() -> None:
            await until_due(asyncio.Event(), lambda: offset + seconds_due, clock)

        waiting = Process(loop, "p").spawn(wait())
        for turn in range(100):
            if waiting.done():
                return turn
            loop.step()
        raise AssertionError("time stands still")


def test_time_goes_on_however_little_is_left() -> None:
    assert turns(5.0, 50_000.0, 0.96) < 50
    assert turns(1e-11, 50_000.0, 0.96) < 50
    assert turns(math.ulp(50_000.0), 50_000.0, 1.04) < 50


def test_what_is_due_is_not_waited_for() -> None:
    assert turns(0.0, 50_000.0, 1.0) < 50
