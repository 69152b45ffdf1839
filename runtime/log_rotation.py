"""Keeps logs small: what conmon writes beyond a limit goes to a new file, one old file is kept.

conmon's own limit cuts the log off, which loses lines; so the file is renamed and conmon told to
open it anew, which loses none. Its own limit stands far above, for the time without a daemon.
"""

import asyncio
import contextlib
import errno
import logging
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from runtime.layout import ContainerPaths

log = logging.getLogger(__name__)

_REOPEN = b"2 0 0\n"
_NOBODY = (errno.ENXIO, errno.ENOENT)
_INTERVAL = 1.0


async def keep(running: Callable[[], Iterable[ContainerPaths]], limit: int) -> None:
    """Rotates the logs of what is running, again and again until it is cancelled."""
    while True:
        await asyncio.sleep(_INTERVAL)
        await asyncio.to_thread(_rotate_all, list(running()), limit)


def _rotate_all(containers: Iterable[ContainerPaths], limit: int) -> None:
    for paths in containers:
        try:
            rotate(paths, limit)
        except OSError as error:
            log.warning("the log %s cannot be rotated: %s", paths.log, error)


def rotate(paths: ContainerPaths, limit: int) -> bool:
    """Rotates a log of over `limit` bytes; whether it was. Blocking; without a monitor it stays."""
    try:
        if paths.log.stat().st_size <= limit:
            return False
        os.replace(paths.log, paths.old_log)
    except FileNotFoundError:
        # Renamed, but conmon did not hear: tell it again.
        if not paths.old_log.exists():
            return False
    _tell(paths.control)
    return True


def _tell(control: Path) -> None:
    try:
        fd = os.open(control, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno not in _NOBODY:
            raise
        return
    with contextlib.closing(os.fdopen(fd, "wb", buffering=0)) as fifo:
        try:
            fifo.write(_REOPEN)
        except OSError as error:
            log.warning("conmon cannot be told to reopen its log, once more soon: %s", error)
