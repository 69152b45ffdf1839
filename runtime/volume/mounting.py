"""mount and umount as programs with a deadline: what hangs in them holds nobody up.

Nothing here looks into a mount, or follows a path through one.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path

from api.errors import Code, SwarmError
from hostkit import mount as table
from hostkit.process import run

DEADLINE = 30.0
_BUSY = 10.0
"""Seconds in which what has just ended lets go of a mount."""
_STEP = 0.05
_FILE_SYSTEMS = Path("/proc/filesystems")


async def mount(words: Sequence[str], target: Path, deadline: float = DEADLINE) -> None:
    """`mount WORDS TARGET`; nothing happens if something is mounted there already."""
    if table.is_mounted(target):
        return
    try:
        await run(["mount", "--no-canonicalize", *words, str(target)], timeout=deadline)
    except SwarmError as error:
        code = Code.DEADLINE if error.code is Code.DEADLINE else Code.UNAVAILABLE
        raise SwarmError(code, f"mount {' '.join(words)} failed", why=error.why) from None


async def unmount(target: Path, deadline: float = DEADLINE) -> None:
    """Takes the mount away in order; nothing happens if there is none. REFUSED while it is busy.

    Several on top of each other all go.
    """
    steps = round(_BUSY / _STEP)
    while table.is_mounted(target):
        argv = ["umount", "--internal-only", "--no-canonicalize", str(target)]
        done = await run(argv, timeout=deadline, check=False)
        if done.code == 0 or not table.is_mounted(target):
            continue
        if not steps:
            raise SwarmError(
                Code.REFUSED,
                f"{target} cannot be unmounted",
                why=done.failure().why,
                remedy=f"find out who uses it: fuser -vm {target}",
            )
        steps -= 1
        await asyncio.sleep(_STEP)


async def has_file_system(name: str, *, load: bool = True) -> bool:
    """Whether this kernel knows it; with `load` by a module, if that has to be loaded first."""
    if _known(name) or not load:
        return _known(name)
    with contextlib.suppress(SwarmError):  # a host may have no modules
        await run(["modprobe", "-q", name], timeout=DEADLINE, check=False)
    return _known(name)


def _known(name: str) -> bool:
    return name in _FILE_SYSTEMS.read_text().split()
