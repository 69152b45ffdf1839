"""The part of a Remote that is the same whatever the way to the host is: all of it is commands."""

import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path

from hostkit.conversation import Source
from hostkit.process import Completed
from machine import files


class CommandedRemote(ABC):
    """Whoever can run one command with an input does the rest so; `close` is the way's own."""

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def name(self) -> str:
        """See Remote."""
        return self._name

    async def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        timeout: float,
        limit: int = 1 << 20,
        tell: Callable[[str], None] | None = None,
    ) -> Completed:
        """See Remote."""
        feed = io.BytesIO(stdin)
        return await self._run(tuple(argv), feed, timeout=timeout, limit=limit, tell=tell)

    async def read(self, path: str, *, limit: int = 1 << 20) -> bytes | None:
        """See Remote."""
        return await files.read(self._run, self._name, path, limit)

    async def write(
        self, path: str, content: bytes, *, mode: int, owner: str = "root:root"
    ) -> None:
        """See Remote."""
        await files.write(self._run, self._name, path, content, mode=mode, owner=owner)

    async def upload(
        self, source: Path, path: str, *, mode: int, tell: Callable[[int], None] | None = None
    ) -> None:
        """See Remote."""
        await files.upload(self._run, self._name, source, path, mode=mode, sent=tell)

    @abstractmethod
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
        """Runs a command as root, as `Remote.run`; `sent` gets the bytes fed to it so far."""
