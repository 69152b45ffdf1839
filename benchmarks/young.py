"""The figure young_pass: how long the cyclic collector holds a manager whose tasks all change.

A store of 100,000 tasks on a loop, as in the daemon, without network and disk.
"""

import asyncio
import contextlib
import gc
import time
from collections.abc import Callable, Iterator

from benchmarks import sched
from benchmarks.figure import Measured
from hostkit import collector

SHAPE = sched.SHAPES["sched_100k"]
RUNS = 5


def measure() -> Measured:
    """Milliseconds of the longest pass while each task is placed, for each run.

    Beside it what one pass takes when Python alone has counted the young meanwhile.
    """
    runs = [asyncio.run(_place_all(paced=True)) for _ in range(RUNS)]
    return Measured(runs, {"unpaced_ms": asyncio.run(_place_all(paced=False))})


async def _place_all(*, paced: bool) -> float:
    store, loop = sched.filled(SHAPE)
    gc.collect()
    pace = asyncio.create_task(collector.keep_pace())
    if not paced:
        pace.cancel()
    with _longest() as longest:
        more = True
        while more:
            decision = loop.decide(store, sched.NOW)
            sched.show(store, loop, decision.batches)
            more = decision.more
            await asyncio.sleep(0)
        pace.cancel()
        if not paced:
            gc.collect(0)
        return longest()


@contextlib.contextmanager
def _longest() -> Iterator[Callable[[], float]]:
    """The longest pass since, in milliseconds."""
    begun, longest = 0.0, 0.0

    def note(phase: str, info: dict[str, int]) -> None:
        nonlocal begun, longest
        if phase == "start":
            begun = time.perf_counter()
        else:
            longest = max(longest, 1000 * (time.perf_counter() - begun))

    gc.callbacks.append(note)
    try:
        yield lambda: longest
    finally:
        gc.callbacks.remove(note)
