"""Looks at a path that another program told, and that may hang, or lead anywhere.

In child processes with a deadline: a file system that does not answer holds nothing of the daemon.
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from hostkit import process

DEADLINE = 10.0
"""Seconds for one look."""
_PATH_MAX = 4096
"""Bytes, with the final zero; longer ones lead nowhere (limits.h)."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a path leads to, all links followed; `mode` as stat(2) tells it."""

    path: Path
    mode: int

    @property
    def is_folder(self) -> bool:
        """A directory."""
        return stat.S_ISDIR(self.mode)

    @property
    def is_device(self) -> bool:
        """A block device."""
        return stat.S_ISBLK(self.mode)


async def look(path: Path, timeout: float = DEADLINE) -> Seen | None:
    """What is there; None: nothing. SwarmError DEADLINE if it does not tell in time."""
    if b"\0" in os.fsencode(path) or len(os.fsencode(path)) >= _PATH_MAX:
        return None  # no program can be asked
    named = await process.run(
        ("realpath", "--canonicalize-existing", "--zero", "--", str(path)),
        timeout=timeout,
        check=False,
    )
    real = named.out.removesuffix(b"\0")
    if named.code != 0 or not real:
        return None
    told = await process.run(
        ("stat", "--printf=%f", "--", real.decode(errors="surrogateescape")),
        timeout=timeout,
        check=False,
    )
    if told.code != 0:
        return None
    return Seen(Path(real.decode(errors="surrogateescape")), int(told.out, 16))
