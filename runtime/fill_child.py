"""Fills one empty volume from a container's root file system; `fills` runs it.

    python -m runtime.fill_child ROOT TARGET VOLUME

Links of the image are followed as if ROOT were the root directory.
"""

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from runtime import inside

COPYING, COPIED = ".swarm-copying", ".swarm-copied"
"""Within the volume: a copy that is not whole, and one of which parts may have been moved."""


def main() -> int:
    """The whole program; see the module."""
    root, target, volume = sys.argv[1:]
    directory = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        source = inside.open_in(directory, target, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return 0  # the image has no folder there
    try:
        return fill(source, Path(volume))
    except OSError as error:
        sys.stderr.write(str(error))
        return 1


def fill(source: int, volume: Path) -> int:
    """Fills it, or goes on with that; the exit status of the copying.

    What lies in the volume may be anybody's work: no link in it is followed.
    """
    copying, copied = volume / COPYING, volume / COPIED
    if os.path.lexists(copying):
        shutil.rmtree(copying)
    if not os.path.lexists(copied):
        if os.listdir(volume) or not os.listdir(source):
            return 0
        copying.mkdir()
        argv = ["cp", "-a", "--", f"/proc/self/fd/{source}/.", str(copying)]
        done = subprocess.run(argv, pass_fds=[source], check=False)
        if done.returncode:
            shutil.rmtree(copying, ignore_errors=True)
            return done.returncode
        copying.rename(copied)
    _move(copied, volume)
    return 0


def _move(copied: Path, volume: Path) -> None:
    """All entries up by one, and then whose the folder is and who may enter it."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    top = os.open(volume, flags)
    whole = os.open(copied, flags | os.O_NOFOLLOW)
    for entry in os.listdir(whole):
        os.rename(entry, entry, src_dir_fd=whole, dst_dir_fd=top)
    facts = os.fstat(whole)
    with contextlib.suppress(PermissionError):  # not every storage knows owners
        os.fchown(top, facts.st_uid, facts.st_gid)
    os.fchmod(top, facts.st_mode & 0o7777)
    copied.rmdir()


if __name__ == "__main__":
    sys.exit(main())
