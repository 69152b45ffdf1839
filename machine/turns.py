"""One at a time: locks of directories, against other processes and other tasks of this one.

The kernel frees them when their holder ends, however that happens. They tell nobody who that is;
machine.store.lock does.
"""

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from api.errors import Code, SwarmError
from hostkit import clock

_STEP = 0.05
"""Seconds between two tries."""


@contextlib.contextmanager
def locked(directory: Path, what: str, *, make: bool = True) -> Iterator[None]:
    """Hold the lock of a directory; CONFLICT at once if another process or task has it.

    One that is missing is made; without `make` that is a FileNotFoundError.
    """
    if make:
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SwarmError(
                Code.CONFLICT, f"{what} is being changed by somebody else", remedy="try again"
            ) from None
        yield
    finally:
        os.close(handle)


@contextlib.asynccontextmanager
async def turn(
    directory: Path, what: str, *, patience: float = 30.0, make: bool = True
) -> AsyncIterator[None]:
    """As `locked`, waiting for it up to `patience` seconds."""
    end = clock.monotonic() + patience
    with contextlib.ExitStack() as stack:
        while True:
            try:
                stack.enter_context(locked(directory, what, make=make))
                break
            except SwarmError:
                if clock.monotonic() >= end:
                    raise
            await asyncio.sleep(_STEP)
        yield
