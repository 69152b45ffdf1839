"""How late a loop is, as its gauge tells it."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from hostkit.loop_lag import LoopLag
from tests.support.manual_clock import ManualClock


def test_nothing_is_late_at_first() -> None:
    lag = LoopLag(ManualClock())
    assert (lag.last, lag.worst()) == (0.0, 0.0)


def test_what_held_the_loop_is_seen_and_forgotten() -> None:
    async def scenario() -> None:
        clock = ManualClock()
        lag = LoopLag(clock, period=0.25, window=10.0, sleep=clock.sleep)
        task = asyncio.create_task(lag.run())
        seen = []
        for seconds in (0.25, 1.25, 0.25, 0.5):
            await asyncio.sleep(0)
            clock.advance(seconds)
            await asyncio.sleep(0)
            seen.append((lag.last, lag.worst()))
        assert seen == [(0.0, 0.0), (1.0, 1.0), (0.0, 1.0), (0.25, 1.0)]
        clock.advance(9.5)  # the second measurement has left the window now
        assert lag.worst() == 0.25
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(scenario())


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9)), max_size=40))
def test_the_worst_is_the_worst_of_the_window(steps: list[tuple[int, int]]) -> None:
    clock = ManualClock()
    lag = LoopLag(clock, window=10)
    noted: list[tuple[float, int]] = []
    for pause, late in steps:
        clock.advance(pause)
        lag.note(clock(), late)
        noted.append((clock(), late))
        assert lag.worst() == max(each for at, each in noted if at > clock() - 10)
