"""What a process does first that changes its root directory to work on files of others, and last.

It ends when the daemon does, and is never a fork of it. Import everything before `confine`: after
it there is nothing to import.
"""

import ctypes
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_MAX_MEMORY = 1 << 30


def confine(libc: ctypes.CDLL, root: Path, parent: int) -> None:
    """From now on `root` is all that there is; memory is bounded; we end with `parent`."""
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the daemon has gone")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    limit = _MAX_MEMORY if hard == resource.RLIM_INFINITY else min(hard, _MAX_MEMORY)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    os.umask(0)
    os.chroot(root)
    os.chdir("/")


def sync(libc: ctypes.CDLL) -> None:
    """Puts the files on disk: after a rename, a crash must not leave empty ones behind."""
    root = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    try:
        if libc.syncfs(root) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
    finally:
        os.close(root)


def system_failure(error: OSError | MemoryError) -> dict[str, Any]:
    """The error for whoever started the process."""
    if isinstance(error, OSError):
        place = f" ({os.fsdecode(error.filename)!a})" if error.filename else ""
        return {"error": f"{error.strerror}{place}", "kind": "system", "errno": error.errno}
    return {"error": "it needs more than 1 GiB of memory", "kind": "limit"}
