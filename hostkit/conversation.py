"""Talks with another program while it runs: both outputs are heard as they come, and the input
is fed as it is taken, however long they are.

As hostkit.process it goes through no shell, has a time limit, and leaves no child behind.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Protocol, cast

from api.errors import Code, SwarmError
from hostkit.process import not_runnable

_PIECE = 1 << 16
_QUIET, _MOST = 1.0, 5.0
"""Seconds of silence, or at most, after the program has ended, when what it started holds its
outputs."""


_GRACE = 5.0
"""Seconds from asking it to end to killing it."""


class Source(Protocol):
    """Bytes to be read once, from their start."""

    def read(self, size: int, /) -> bytes:
        """Some of the next ones; none at the end."""
        ...


async def converse(
    argv: Sequence[str],
    *,
    feed: Source,
    hear: Callable[[int, bytes], None],
    timeout: float,
    sent: Callable[[int], None] | None = None,
) -> int:
    """Runs it to its end; returns its exit status, or minus the signal that killed it.

    `hear` gets pieces of output 1 and 2, `sent` the bytes fed so far; what they raise ends it.
    Raises UNSUPPORTED if the program is not there, DEADLINE after `timeout` seconds.
    """
    talk = _Talk(hear)
    loop = asyncio.get_running_loop()
    try:
        transport, _ = await loop.subprocess_exec(lambda: talk, *argv)
    except (FileNotFoundError, PermissionError) as error:
        raise not_runnable(argv[0], error) from None
    feeding = asyncio.create_task(_feed(transport, talk, feed, sent))
    try:
        async with asyncio.timeout(timeout):
            await talk.over(feeding)
    except TimeoutError:
        raise SwarmError(
            Code.DEADLINE, f"{argv[0]} took too long", why=f"killed after {timeout:g} s"
        ) from None
    finally:
        feeding.cancel()
        try:
            await _asked_to_end(transport, talk)
        finally:
            transport.close()  # kills what still runs, and lets go of its pipes
            await asyncio.shield(talk.gone)
    code = transport.get_returncode()
    assert code is not None  # noqa: S101 - the program is gone
    return code


async def _asked_to_end(transport: asyncio.SubprocessTransport, talk: "_Talk") -> None:
    """Gives a program that still runs the time to end what it started in turn."""
    if transport.get_returncode() is None:
        transport.terminate()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GRACE):
                await talk.exited.wait()


async def _feed(
    transport: asyncio.SubprocessTransport,
    talk: "_Talk",
    feed: Source,
    sent: Callable[[int], None] | None,
) -> None:
    pipe = cast(asyncio.WriteTransport, transport.get_pipe_transport(0))
    written = 0
    while piece := await asyncio.to_thread(feed.read, _PIECE):
        await talk.taking.wait()
        if pipe.is_closing():
            return  # the program has ended, or wants no more
        pipe.write(piece)
        written += len(piece)
        if sent is not None:
            sent(written)
    pipe.close()  # once all that was written is taken


class _Talk(asyncio.SubprocessProtocol):
    """Hears what the loop tells of one program."""

    def __init__(self, hear: Callable[[int, bytes], None]) -> None:
        loop = asyncio.get_running_loop()
        self._hear = hear
        self._time = loop.time
        self._quiet = 0.0  # when it has been silent for long enough
        self._stirred = asyncio.Event()  # it has ended, or listening has failed
        self.exited = asyncio.Event()
        self._failure: Exception | None = None
        self._open = {1, 2}
        self.taking = asyncio.Event()
        self.taking.set()
        self.gone: asyncio.Future[None] = loop.create_future()

    async def over(self, feeding: "asyncio.Task[None]") -> None:
        """Returns when the program has ended and been heard out; raises what listening raised."""
        await self._stirred.wait()
        end = self._time() + _MOST
        while self._open and self._failure is None and self._time() < min(self._quiet, end):
            await asyncio.wait([self.gone], timeout=_QUIET / 10)
        if self._failure is not None:
            raise self._failure
        if feeding.done() and not feeding.cancelled() and (error := feeding.exception()):
            raise error

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self._quiet = self._time() + _QUIET
        try:
            self._hear(fd, data)
        except Exception as error:
            self._failure = self._failure or error
            self._stirred.set()

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        self._open.discard(fd)
        if fd == 0:
            self.taking.set()

    def process_exited(self) -> None:
        self._quiet = self._time() + _QUIET
        self.exited.set()
        self._stirred.set()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.gone.done():
            self.gone.set_result(None)

    def pause_writing(self) -> None:
        """The program takes no input for now."""
        self.taking.clear()

    def resume_writing(self) -> None:
        """It does again."""
        self.taking.set()
