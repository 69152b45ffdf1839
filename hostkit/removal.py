"""Deletes folders that others filled: of any depth, and never what is mounted in them.

`shutil.rmtree` calls itself once a level, and follows mounts. Blocking: for worker threads.
"""

import errno
import os
from dataclasses import dataclass
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True)
class _Level:
    """One folder on the way down: which it is, and the folders that are still in it."""

    identity: tuple[int, int]
    folders: list[str]


def remove_tree(top: Path) -> None:
    """Deletes the folder with all that is in it.

    OSError as the kernel says; EBUSY where it, or a folder in it, has something mounted on it.
    """
    here = os.open(top.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        mount = _mount_of(here)
        way = [_Level(_identity(here), [top.name])]
        while way[-1].folders:
            here = _moved(here, way[-1].folders[-1])
            if _mount_of(here) != mount:
                raise _refusal(errno.EBUSY, top, way)
            way.append(_emptied(here))
            while not way[-1].folders and len(way) > 1:
                way.pop()
                here = _moved(here, "..")
                if _identity(here) != way[-1].identity:  # somebody moved it: that is elsewhere
                    raise _refusal(errno.ESTALE, top, way)
                os.rmdir(way[-1].folders.pop(), dir_fd=here)
    finally:
        os.close(here)


def _emptied(folder: int) -> _Level:
    """A folder whose files are deleted."""
    folders = []
    with os.scandir(folder) as entries:
        for entry in list(entries):
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
            else:
                os.unlink(entry.name, dir_fd=folder)
    return _Level(_identity(folder), folders)


def _moved(folder: int, name: str) -> int:
    """The folder of this name in `folder`, which is closed: the depth costs no descriptors."""
    found = os.open(name, _FOLDER, dir_fd=folder)
    os.close(folder)
    return found


def _identity(folder: int) -> tuple[int, int]:
    status = os.fstat(folder)
    return status.st_dev, status.st_ino


def _mount_of(folder: int) -> str:
    """Tells a bind mount of the same file system too, which the number of the device does not."""
    lines = Path(f"/proc/self/fdinfo/{folder}").read_text().splitlines()
    return next(line for line in lines if line.startswith("mnt_id:"))


def _refusal(number: int, top: Path, way: list[_Level]) -> OSError:
    place = top.parent.joinpath(*(level.folders[-1] for level in way if level.folders))
    return OSError(number, os.strerror(number), str(place))
