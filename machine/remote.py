"""What the modules that install and change a host ask of the way to it, whatever that way is.

Over SSH (`machine.ssh`) or on the very host (`machine.local`): the same commands as root, the
same files. Nothing here knows what is installed, or why.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from hostkit.process import Completed


class Remote(Protocol):
    """One host that may be changed. Everything is done as root, by sudo where need be.

    Every call ends within its time: it raises SwarmError UNAVAILABLE when the way to the host is
    lost, DEADLINE when it takes longer, DENIED when root's rights are not to be had; each names
    the host.
    A command that runs and fails is no error here: its exit code is the answer.
    """

    @property
    def name(self) -> str:
        """What messages call the host."""
        ...

    async def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        timeout: float,
        limit: int = 1 << 20,
        tell: Callable[[str], None] | None = None,
    ) -> Completed:
        """Runs a command as root; no shell reads its words, and what it says is in English.

        After `timeout` seconds the host itself ends it, with all that it started, also when the
        way is lost meanwhile. What a command leaves running at its end is not waited for.
        `limit`: bytes kept of each stream; the rest is read and dropped. `tell` gets each line of
        both streams as it comes. Secrets go to `stdin`, never into the words.
        """
        ...

    async def read(self, path: str, *, limit: int = 1 << 20) -> bytes | None:
        """A file's content; None if there is none; EXHAUSTED if it is longer than `limit`."""
        ...

    async def write(
        self, path: str, content: bytes, *, mode: int, owner: str = "root:root"
    ) -> None:
        """Replaces a file as a whole: a reader sees the old one or the new one, never a part.

        The folder is made (0755) if it is not there. The mode holds before any byte is written.
        """
        ...

    async def upload(
        self, source: Path, path: str, *, mode: int, tell: Callable[[int], None] | None = None
    ) -> None:
        """Copies a file of this machine to the host, as `write` does; `tell` gets bytes sent."""
        ...

    async def close(self) -> None:
        """Ends the way to the host; what runs there goes on. Twice does no harm."""
        ...
