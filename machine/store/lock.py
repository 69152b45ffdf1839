"""A lock that tells who has it and what for: "alice on desk is upgrading it since 12:03".

The kernel frees it when its holder ends, however that happens. It is held against processes of
whoever shares the store; two stores know nothing of each other.
"""

import contextlib
import fcntl
import getpass
import json
import os
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from api.errors import Code, SwarmError
from hostkit.clock import Clock, monotonic
from machine.store import files

_STEP = 0.05
_GLANCE = 0.2
"""Seconds that are waited at least: who only asks for the holder has it for a moment, too."""
_LONGEST = 4096
"""Bytes that are read of what a holder says."""


@contextlib.contextmanager
def held(
    path: Path, what: str, doing: str, *, wall: Clock, patience: float = 0.0
) -> Iterator[None]:
    """Holds the lock file at `path`; it is made if missing, and stays.

    `what`: what the lock guards, in errors; `doing`: as "upgrading it", for those who come
    meanwhile. `patience`: seconds to wait for it, blocking. REFUSED, naming the holder, if somebody
    else has it.
    """
    files.make_folder(path.parent)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        end = monotonic() + max(patience, _GLANCE)
        while not _is_taken(handle):
            if monotonic() >= end:
                raise _refusal(what, os.pread(handle, _LONGEST, 0))
            time.sleep(_STEP)
        _tell(handle, doing, wall())
        yield
        os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def holder(path: Path) -> str:
    """Who has the lock, and what for; empty if nobody has."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return ""
    try:
        if _is_taken(handle, shared=True):
            return ""
        return told(os.pread(handle, _LONGEST, 0))
    finally:
        os.close(handle)


def told(content: bytes) -> str:
    """What a lock's content says of its holder, as the end of a sentence. Pure."""
    try:
        said = json.loads(content)
        since = datetime.fromtimestamp(said["since"], UTC).astimezone()
        return (
            f"{said['who']} on {said['host']} is {said['doing']} since {since:%H:%M} "
            f"(pid {said['pid']})"
        )
    except (ValueError, KeyError, TypeError, OverflowError, OSError):
        return "somebody is working on it"


def _tell(handle: int, doing: str, now: float) -> None:
    said = {
        "who": user(),
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "doing": doing,
        "since": int(now),
    }
    os.ftruncate(handle, 0)
    os.pwrite(handle, json.dumps(said).encode(), 0)


def user() -> str:
    """Who this is, for those who read it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no name for this user id
        return f"user {os.getuid()}"


def _is_taken(handle: int, *, shared: bool = False) -> bool:
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _refusal(what: str, content: bytes) -> SwarmError:
    return SwarmError(
        Code.REFUSED,
        f"{what} is in use",
        why=told(content),
        remedy="wait until that has ended",
    )
