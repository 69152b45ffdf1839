"""A container's log line by line, until its end or as long as the container lives.

The shell around `logs.LogReader`, which it runs in worker threads.
"""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from api.times import NANOS
from hostkit.clock import Clock
from runtime.driver import ExitResult, LogLine
from runtime.layout import ContainerPaths
from runtime.logs import LogReader

_INTERVAL = 0.1


@dataclass(frozen=True)
class Extent:
    """Which lines are wanted. Times are nanoseconds, 0: no limit; `tail` -1: all."""

    follow: bool
    tail: int
    since: int
    until: int


async def lines(
    paths: ContainerPaths, ended: asyncio.Future[ExitResult], extent: Extent, clock: Clock
) -> AsyncGenerator[LogLine]:
    """The lines of a container whose end is `ended`; `clock` is a wall clock."""
    reader = await asyncio.to_thread(LogReader, paths, extent.tail)
    try:
        while True:
            # Asked before reading: what is read after the end is all there is.
            over = ended.done()
            found = await asyncio.to_thread(reader.read)
            for line in found:
                if extent.until and line.at > extent.until:
                    return
                if line.at >= extent.since:
                    yield line
            if found:
                continue
            if not extent.follow or over or _is_past(extent.until, clock):
                return
            await asyncio.wait({ended}, timeout=_INTERVAL)
    finally:
        reader.close()


def _is_past(until: int, clock: Clock) -> bool:
    return bool(until) and clock() * NANOS > until
