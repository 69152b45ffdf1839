"""Fills one empty volume from a container's root file system; `fills` runs it, and it ends with it.

    python -m runtime.fill_child ROOT TARGET VOLUME CONTAINER PARENT

Links of the image are followed as if ROOT were the root directory. PARENT: the pid of who runs it.
"""

import contextlib
import errno
import os
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from hostkit.doom import die_with_parent
from runtime import inside

COPYING, COPIED = ".swarm-copying", ".swarm-copied"
"""Within the volume: how the name begins of a copy that is not whole, one for each container; and
the one that was whole first, of which parts may have been moved.
"""
_TAKEN = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT)
"""Why a copy cannot become COPIED if another one has; who is done with that drops all others."""


def main() -> int:
    """The whole program; see the module."""
    root, target, volume, container, parent = sys.argv[1:]
    die_with_parent(int(parent))
    directory = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        source = inside.open_in(directory, target, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return 0  # the image has no folder there
    try:
        return fill(source, Path(volume), container)
    except OSError as error:
        sys.stderr.write(str(error))
        return 1


def fill(source: int, volume: Path, container: str) -> int:
    """Fills it, or goes on with that; the exit status of the copying.

    Others may do the same at once, on other hosts too: the first copy that is whole is everybody's.
    What lies in the volume may be anybody's work: no link in it is followed.
    """
    copied = volume / COPIED
    if not _has_content(volume) and os.listdir(source):
        own = volume / f"{COPYING}-{container}"
        _drop(own)
        code = _copy(source, own)
        if not _has_content(volume):
            if code:
                _drop(own)
                return code
            _become(own, copied)
    _move(copied, volume)
    if _has_content(volume):
        for name in filter(_is_copying, os.listdir(volume)):
            _drop(volume / name)
    return 0


def _has_content(volume: Path) -> bool:
    """Whether there is more than copies that are not whole."""
    return not all(map(_is_copying, os.listdir(volume)))


def _is_copying(name: str) -> bool:
    return name.startswith(COPYING)


def _copy(source: int, own: Path) -> int:
    own.mkdir()
    return _run(["cp", "-a", "--", f"/proc/self/fd/{source}/.", str(own)], source)


def _drop(path: Path) -> None:
    """Takes it away, however deep it is, and though somebody else does the same. What stays is in
    nobody's way.
    """
    _run(["rm", "-rf", "--one-file-system", "--", str(path)])


def _run(argv: Sequence[str], *handles: int) -> int:
    dying = partial(die_with_parent, os.getpid())
    done = subprocess.run(
        argv,
        pass_fds=handles,
        preexec_fn=dying,  # it may, in a process of one thread
        check=False,
    )
    return done.returncode


def _become(own: Path, copied: Path) -> None:
    try:
        own.rename(copied)
    except OSError as error:
        if error.errno not in _TAKEN:
            raise


def _move(copied: Path, volume: Path) -> None:
    """All entries up by one, and then whose the folder is and who may enter it. What is there
    already stays: the volume was filled meanwhile, and may be in use.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    try:
        whole = os.open(copied, flags | os.O_NOFOLLOW)
    except FileNotFoundError:
        return  # there was nothing to be moved, or all of it was
    top = os.open(volume, flags)
    for entry in os.listdir(whole):
        if not os.path.lexists(volume / entry):
            with contextlib.suppress(FileNotFoundError):  # somebody else has moved it
                os.rename(entry, entry, src_dir_fd=whole, dst_dir_fd=top)
    facts = os.fstat(whole)
    with contextlib.suppress(PermissionError):  # not every storage knows owners
        os.fchown(top, facts.st_uid, facts.st_gid)
    os.fchmod(top, facts.st_mode & 0o7777)
    _drop(copied)


if __name__ == "__main__":
    sys.exit(main())
