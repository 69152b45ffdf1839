"""Talks with another program while it runs: both outputs are heard as they come, and the input
is fed as it is taken, however long they are.

As hostkit.process it goes through no shell, has a time limit, and leaves no child behind.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from api.errors import Code, SwarmError
from hostkit.child import Child
from hostkit.descriptor import Descriptor
from hostkit.process import not_runnable

_PIECE = 1 << 16
_QUIET, _MOST = 1.0, 5.0
"""Seconds of silence, or at most, after the program has ended, when what it started holds its
outputs."""
_GRACE = 5.0
"""Seconds from asking it to end to killing it."""

Hear = Callable[[int, bytes], None]


class Source(Protocol):
    """Bytes to be read once, from their start."""

    def read(self, size: int, /) -> bytes:
        """Some of the next ones; none at the end."""
        ...


async def converse(
    argv: Sequence[str],
    *,
    feed: Source,
    hear: Hear,
    timeout: float,
    sent: Callable[[int], None] | None = None,
) -> int:
    """Runs it to its end; returns its exit status, or minus the signal that killed it.

    `hear` gets pieces of output 1 and 2, `sent` the bytes fed so far; what they raise ends it.
    Raises UNSUPPORTED if the program is not there, DEADLINE after `timeout` seconds.
    """
    try:
        child = Child(argv, stdin=True, stdout=True, stderr=True)
    except (FileNotFoundError, PermissionError) as error:
        raise not_runnable(argv[0], error) from None
    try:
        async with asyncio.timeout(timeout):
            return await _heard_out(child, feed, hear, sent)
    except TimeoutError:
        raise SwarmError(
            Code.DEADLINE, f"{argv[0]} took too long", why=f"killed after {timeout:g} s"
        ) from None
    finally:
        try:
            await _ask_to_end(child)
        finally:
            await child.close()


async def _heard_out(
    child: Child, feed: Source, hear: Hear, sent: Callable[[int], None] | None
) -> int:
    """Returns when it has ended and been heard out; raises what listening or feeding raised."""
    outputs = _Outputs(hear)
    listening = [
        asyncio.create_task(outputs.listen(number, source))
        for number, source in ((1, child.stdout), (2, child.stderr))
    ]
    feeding = asyncio.create_task(_feed(child, feed, sent))
    ending = asyncio.create_task(child.wait())
    tasks: set[asyncio.Task[Any]] = {*listening, feeding, ending}
    try:
        waited = tasks
        while not ending.done():
            done, waited = await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            _raise_of(done)
        await outputs.fall_silent(listening)
        _raise_of({each for each in tasks if each.done()})
        return ending.result()
    finally:
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _raise_of(done: "set[asyncio.Task[Any]]") -> None:
    for each in done:
        each.result()


class _Outputs:
    """Hears what a program says."""

    def __init__(self, hear: Hear) -> None:
        self._hear = hear
        self._time = asyncio.get_running_loop().time
        self._heard = self._time()  # when it last said anything

    async def listen(self, number: int, source: Descriptor) -> None:
        """Up to the end of this output."""
        while True:
            piece = source.take(_PIECE)
            if piece is None:
                await source.wait()
            elif piece:
                self._heard = self._time()
                self._hear(number, piece)
            else:
                return

    async def fall_silent(self, listening: "Sequence[asyncio.Task[None]]") -> None:
        """Returns when all outputs have ended, or nothing came for a while; the program is gone."""
        end = self._time() + _MOST
        self._heard = self._time()
        while (left := min(self._heard + _QUIET, end) - self._time()) > 0:
            _, open_ones = await asyncio.wait(listening, timeout=left)
            if not open_ones:
                return


async def _feed(child: Child, feed: Source, sent: Callable[[int], None] | None) -> None:
    written = 0
    while piece := await asyncio.to_thread(feed.read, _PIECE):
        if not await child.stdin.write(piece):
            return  # the program has ended, or wants no more
        written += len(piece)
        if sent is not None:
            sent(written)
    child.stdin.close()


async def _ask_to_end(child: Child) -> None:
    """Gives a program that still runs the time to end what it started in turn."""
    if not child.has_ended:
        child.terminate()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GRACE):
                await child.wait()
