"""The folders of a daemon: made, and held against a second daemon for as long as this one lives.

Two daemons on one run directory would take each other's socket, on one state directory each other's
containers. What is in the folders is the affair of those who own it.
"""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from api.errors import Code, SwarmError

STATE_MODE = 0o700
"""Images hold setuid programs, which no user of this host may reach by their path."""
RUN_MODE = 0o755
"""Members of the group that may use the socket have to get to it."""


@contextmanager
def held(folders: Mapping[Path, int]) -> Iterator[None]:
    """Holds each folder, made with its mode if it is missing, under a lock (flock) meanwhile.

    The kernel drops the locks when the process dies. SwarmError: REFUSED if another daemon holds
    one of them, UNAVAILABLE if one cannot be made.
    """
    with ExitStack() as stack:
        for path, mode in folders.items():
            stack.callback(os.close, _hold(path, mode))
        yield


def _hold(path: Path, mode: int) -> int:
    try:
        _make(path, mode)
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise SwarmError(
            Code.UNAVAILABLE,
            f"cannot use the folder {path}",
            why=error.strerror or str(error),
            remedy="check the path, its owner and the disk, or name another folder",
        ) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise SwarmError(
            Code.REFUSED,
            f"cannot use the folder {path}",
            why="another swarmd uses it",
            remedy="stop that one, or give this one its own --state-dir and --run-dir",
        ) from error
    return handle


def _make(path: Path, mode: int) -> None:
    """Makes the folder with exactly this mode; one that is there keeps its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.mkdir(mode=mode)
    except FileExistsError:
        return
    path.chmod(mode)  # whatever the umask took away
