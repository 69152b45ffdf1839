"""This very host as one that may be changed, or one that is entered from it: without SSH.

Only root may: nobody is asked for rights here.
"""

import os
import socket
from collections.abc import Callable, Sequence
from typing import Self

from api.errors import Code, SwarmError
from hostkit import clock
from hostkit.conversation import Source, converse
from hostkit.process import Completed
from machine.bounded import BACKSTOP, ENGLISH, bounded, too_long, was_ended
from machine.commanded import CommandedRemote
from machine.lines import Stream

Entering = Callable[[Sequence[str]], Sequence[str]]
"""Of a command that is to run in a host, the one that does it from here."""


class LocalRemote(CommandedRemote):
    """Remote of this host, by `here`, or of one that `entering` leads into."""

    def __init__(self, name: str, entering: Entering = tuple) -> None:
        super().__init__(name)
        self._entering = entering
        self._closed = False

    @classmethod
    def here(cls) -> Self:
        """This host; DENIED unless this process is root's."""
        if os.geteuid() != 0:
            raise SwarmError(
                Code.DENIED,
                "this host cannot be changed",
                why="it takes root's rights",
                remedy="do the same with sudo",
            )
        return cls(socket.gethostname())

    async def close(self) -> None:
        """See Remote."""
        self._closed = True

    async def _run(
        self,
        argv: tuple[str, ...],
        feed: Source,
        *,
        timeout: float,
        limit: int,
        tell: Callable[[str], None] | None = None,
        sent: Callable[[int], None] | None = None,
    ) -> Completed:
        if self._closed:
            raise SwarmError(Code.UNAVAILABLE, f"the way to {self._name} is closed")
        streams = {1: Stream(limit), 2: Stream(limit)}

        def hear(fd: int, piece: bytes) -> None:
            streams[fd].keep(piece)
            if tell is not None:
                for line in streams[fd].lines(piece):
                    tell(line)

        begun = clock.monotonic()
        words = self._entering((*ENGLISH, *bounded(argv, timeout)))
        try:
            code = await converse(
                words, feed=feed, hear=hear, timeout=timeout + BACKSTOP, sent=sent
            )
        except SwarmError as error:
            if error.code is not Code.DEADLINE:
                raise
            raise too_long(argv, self._name, timeout) from None
        if was_ended(code, clock.monotonic() - begun, timeout):
            raise too_long(argv, self._name, timeout)
        if tell is not None:
            for line in (*streams[1].last(), *streams[2].last()):
                tell(line)
        return Completed(argv, code, streams[1].kept, streams[2].kept)
