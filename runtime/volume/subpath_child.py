"""Binds something within a volume to a place outside of it; `subpaths` runs it.

    python -m runtime.volume.subpath_child VOLUME PATH TARGET

Links are followed as if the volume were the root directory. Exit status 2: there is no such thing.
"""

import os
import stat
import sys
from pathlib import Path

from hostkit import mount
from runtime import inside

_NOT_THERE = 2


def main() -> int:
    """The whole program; see the module."""
    volume, below, target = sys.argv[1:]
    root = os.open(volume, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        found = inside.open_in(root, below, os.O_PATH | os.O_CLOEXEC)
    except OSError as error:
        sys.stderr.write(error.strerror or str(error))
        return _NOT_THERE
    try:
        if stat.S_ISDIR(os.fstat(found).st_mode):
            os.mkdir(target)
        else:
            os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        mount.mount(f"/proc/self/fd/{found}", Path(target), "none", mount.MS_BIND | mount.MS_REC)
    except OSError as error:
        sys.stderr.write(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
