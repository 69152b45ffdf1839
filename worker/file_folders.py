"""Folders in memory, one per task, for the secrets and configs of the task. Never on a disk.

Each is a tmpfs that only root may enter, as large as what is in it; the kernel is asked not to swap
it out, which it can promise from Linux 6.4 on. It outlives the daemon, as the container does that
mounts its files. Blocking: for worker threads. Decides nothing about which task gets what.
"""

import errno
import logging
import os
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path

from api.errors import Code, SwarmError
from hostkit import mount
from worker.task_files import TaskFile

log = logging.getLogger(__name__)

_PAGE = os.sysconf("SC_PAGE_SIZE")
_FLAGS = mount.MS_NOSUID | mount.MS_NODEV | mount.MS_NOEXEC


class FileFolders:
    """The folders below `root`, which is made when it is needed."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def folder(self, task_id: str) -> Path:
        """Where the files of a task are, if it has any."""
        return self._root / task_id

    def make(self, task_id: str, files: Sequence[TaskFile]) -> None:
        """Makes the folder with these files; REFUSED, and nothing is left, if that fails."""
        folder = self.folder(task_id)
        self.remove(task_id)
        try:
            folder.mkdir(mode=0o700, parents=True)
            _mount(folder, files)
            for file in files:
                _write(folder, file)
        except OSError as error:
            self.remove(task_id)
            raise SwarmError(
                Code.REFUSED,
                "the secrets and configs of the task cannot be put into memory",
                why=error.strerror or str(error),
            ) from error

    def remove(self, task_id: str) -> None:
        """Takes the folder away, also one that is not there; UNAVAILABLE if that fails."""
        folder = self.folder(task_id)
        try:
            while mount.unmount(folder):
                pass
            if folder.exists():
                shutil.rmtree(folder)
        except OSError as error:
            raise SwarmError(
                Code.UNAVAILABLE,
                f"the secrets and configs in {folder} cannot be removed",
                why=error.strerror or str(error),
            ) from error

    def sweep(self, kept: Collection[str]) -> None:
        """Takes away what a daemon left that died between a folder and its container."""
        if not self._root.exists():
            return
        for entry in sorted(os.listdir(self._root)):
            if entry not in kept:
                log.info("secrets and configs of task %s are left over: removing them", entry)
                self.remove(entry)


def _mount(folder: Path, files: Sequence[TaskFile]) -> None:
    pages = sum(-(-len(file.data) // _PAGE) for file in files)
    options = f"mode=0700,size={max(1, pages) * _PAGE},nr_inodes={len(files) + 1}"
    try:
        mount.mount("tmpfs", folder, "tmpfs", _FLAGS, f"{options},noswap")
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        mount.mount("tmpfs", folder, "tmpfs", _FLAGS, options)


def _write(folder: Path, file: TaskFile) -> None:
    handle = os.open(folder / file.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as out:
        out.write(file.data)
        os.fchown(handle, file.place.uid, file.place.gid)
        os.fchmod(handle, file.place.mode)  # last: a change of owner takes bits away
