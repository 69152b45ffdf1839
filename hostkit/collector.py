"""How Python's cyclic collector works in a daemon that holds very many objects for a long time.

As Python has it, each growth by a quarter is followed by a look at everything that lives: a quarter
of a second for a manager with 1,000 agents and 30,000 tasks, in which nothing else happens. What
dies here dies by its reference count, nearly always; the cycles that gRPC makes of each call die
young. Measured: a thousand agents lost at one blow leave 16 MiB to a full collection. So the young
are collected in steps of a few milliseconds, and everything only after millions of allocations.

Python counts what was made less what was freed, whatever its age. A store whose objects are
replaced, one freed for one made, looks to it as if nothing happened; when something does, it finds
hundreds of thousands of young ones, which took 221 ms with 100,000 tasks that had each changed
three times. So `keep_pace` goes by the time that the process has worked: to make many takes long.

Nothing here asks for the objects themselves (gc.get_objects): a tuple that another thread is about
to make is among them, and whoever holds it then lets that thread fail with a SystemError
(bugs.python.org/issue15108).
"""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import NoReturn

from hostkit import clock
from hostkit.clock import Clock

YOUNG = 5_000
"""Containers made, and not freed, since the last collection of the youngest."""
OLDER = 5
"""Collections of the youngest after which their survivors are looked at again: 20 ms at most."""
ALL = 500
"""Collections of those before everything is looked at, and not before it has grown by a quarter."""
WORK = 0.05
"""Seconds of CPU of the process after which the young are collected, whatever Python counts."""
PERIOD = 0.1
"""Seconds between two looks."""


def rest() -> None:
    """Looks at nothing until `tune`: what a program loads at its start stays, and to go through it
    again and again costs a sixth of the start.
    """
    gc.disable()


def tune() -> None:
    """For the life of the process; what it has made so far counts as there for good."""
    if gc.isenabled():
        gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, OLDER, ALL)
    gc.enable()


def settle() -> None:
    """What there is by now counts as there for good too: for whoever has just loaded a whole state.

    A look at everything passes over it; 100,000 tasks out of a snapshot took 62 ms of one, and take
    none. What is replaced or removed dies by its reference count as ever.
    """
    gc.freeze()


async def keep_pace(sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> NoReturn:
    """Collects the young as often as they may be many, whatever Python counts; until cancelled."""
    pace = Pace(clock.cpu)
    while True:
        await sleep(PERIOD)
        pace.step()


class Pace:
    """Looks now and then. `cpu`: seconds that this process has worked."""

    def __init__(self, cpu: Clock) -> None:
        self._cpu = cpu
        self._done = cpu()

    def step(self) -> None:
        """Looks once. Where there is nothing to do it takes a microsecond."""
        if self._cpu() - self._done >= WORK:
            gc.collect(1 if gc.get_count()[1] > OLDER else 0)
            self._done = self._cpu()
