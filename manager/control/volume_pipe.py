"""The way of one volume's archive through this manager: a few pieces wait, and while they do the
side that sends is not read from. Nothing of it is stored.
"""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, NoReturn

from api.errors import Code, SwarmError

WAITING = 8
"""Pieces that may wait: 2 MiB."""
SILENCE = 60.0
"""Seconds that may pass between two pieces: whoever sends has stopped then."""
STALLED = 600.0
"""Seconds for which whoever receives may take nothing: the volume is closed meanwhile."""
LARGEST_PIECE = 256 * 1024


class Pipe:
    """From one sender to one receiver. `title`: what flows, for errors."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._pieces: asyncio.Queue[bytes] = asyncio.Queue(WAITING)
        self._ended = asyncio.Event()
        self._moved = asyncio.Event()
        self._error: SwarmError | None = None

    async def put(self, piece: bytes) -> None:
        """Adds a piece once there is room; raises what ended the pipe, INVALID if too large."""
        if len(piece) > LARGEST_PIECE:
            raise SwarmError(
                Code.INVALID, f"a piece of {len(piece)} bytes is larger than {LARGEST_PIECE}"
            )
        adding = asyncio.ensure_future(self._pieces.put(piece))
        try:
            async with asyncio.timeout(STALLED):
                await self._either(adding)
        except TimeoutError:
            self.end(self._stalled())
        if self._ended.is_set():
            raise self._error or SwarmError(Code.REFUSED, f"{self._title} has its end already")

    def end(self, error: SwarmError | None = None) -> None:
        """Nothing more comes, or is taken; only the first word counts."""
        if not self._ended.is_set():
            self._error = error
            self._ended.set()
            self._moved.set()

    async def broken(self) -> NoReturn:
        """Raises the error that ends it; DEADLINE if nobody takes anything for STALLED seconds,
        be it that all is taken.
        """
        while self._error is None:
            self._moved.clear()
            try:
                async with asyncio.timeout(STALLED):
                    await self._moved.wait()
            except TimeoutError:
                raise self._stalled() from None
        raise self._error

    async def pieces(self, first: float = SILENCE) -> AsyncGenerator[bytes, None]:
        """All of them, up to the end; raises if that was an error, or DEADLINE in between.

        `first`: seconds that the first one may take.
        """
        limit = first
        while True:
            self._moved.set()
            if self._error is not None:
                raise self._error
            if self._pieces.empty() and self._ended.is_set():
                return
            getting = asyncio.ensure_future(self._pieces.get())
            try:
                async with asyncio.timeout(limit):
                    await self._either(getting)
            except TimeoutError:
                raise SwarmError(
                    Code.DEADLINE, f"nothing of {self._title} has come for {limit:g} s"
                ) from None
            if getting.done() and not getting.cancelled():
                limit = SILENCE
                yield getting.result()

    def _stalled(self) -> SwarmError:
        return SwarmError(
            Code.DEADLINE,
            f"nobody has taken anything of {self._title} for {STALLED:g} s",
            remedy="see whether the node is up: swarmctl node ls",
        )

    async def _either(self, work: "asyncio.Future[Any]") -> None:
        """Until the work is done, or all is over."""
        over = asyncio.ensure_future(self._ended.wait())
        try:
            await asyncio.wait({work, over}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            over.cancel()
            if not work.done():
                work.cancel()
