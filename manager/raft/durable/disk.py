"""The folder that the log lives in: the few disk operations whose order durability rests on.

The write-ahead log and the snapshots reach the disk through `Disk` alone, so that the same code
runs on a simulated disk that crashes between any two of them. Knows nothing of records.
"""

import fcntl
import os
from pathlib import Path
from typing import Protocol

from api.errors import Code, SwarmError

_DIRECTORY_MODE = 0o700
_FILE_MODE = 0o600


class Disk(Protocol):
    """Files with plain names in one folder. Calls block and fail with OSError.

    What a power failure leaves: of a file, the bytes of the last `fdatasync`, and any part of what
    was appended since, as zeros, garbage, or not at all; of names, those of the last `fsync_dir`,
    and each later create, rename and remove either done or not. One process at a time; of its
    threads, one at a time for each file.
    """

    def create(self, name: str) -> None:
        """Makes an empty file; FileExistsError if there is one. Its name needs `fsync_dir`."""

    def append(self, name: str, data: bytes) -> None:
        """Writes at the end of a file; durable after `fdatasync` of the same name."""

    def fdatasync(self, name: str) -> None:
        """Makes a file's bytes durable, also those that a former process appended.

        After a failure nothing is known of them, and a second call may falsely succeed (Linux
        drops the dirty pages and forgets): never call it again, stop.
        """

    def truncate(self, name: str, length: int) -> None:
        """Cuts a file to `length` bytes, durable on return."""

    def rename(self, old: str, new: str) -> None:
        """Renames, in place of a file that has the new name; needs `fsync_dir`."""

    def remove(self, name: str) -> None:
        """Removes a file; needs `fsync_dir`."""

    def close(self, name: str) -> None:
        """Says that nothing more is appended to a file. Not a sync."""

    def fsync_dir(self) -> None:
        """Makes creates, renames and removes durable."""

    def list(self) -> list[str]:
        """The names of the files, sorted."""

    def read(self, name: str) -> bytes:
        """A whole file."""


class DirectoryDisk:
    """A folder of this host, made if missing (0700) and locked against a second process."""

    def __init__(self, path: Path) -> None:
        _make_durably(path)
        self._path = path
        self._files: dict[str, int] = {}
        self._directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(self._directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._directory)
            raise SwarmError(
                Code.REFUSED,
                f"cannot use {path}",
                why="another process holds its lock",
                remedy="stop the other swarmd, or give this one a state folder of its own",
            ) from None

    def create(self, name: str) -> None:
        """Makes an empty file, 0600."""
        self._files[name] = self._open(name, os.O_CREAT | os.O_EXCL)

    def append(self, name: str, data: bytes) -> None:
        """Writes all of `data`, or raises with an unknown part of it written."""
        file = self._file(name)
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(file, rest) :]

    def fdatasync(self, name: str) -> None:
        """Syncs through the descriptor that wrote: the kernel reports a write error to that one."""
        os.fdatasync(self._file(name))

    def truncate(self, name: str, length: int) -> None:
        """Cuts and syncs, the new length included."""
        os.ftruncate(self._file(name), length)
        os.fsync(self._file(name))

    def rename(self, old: str, new: str) -> None:
        """Renames; an open descriptor goes on under the new name."""
        os.rename(_plain(old), _plain(new), src_dir_fd=self._directory, dst_dir_fd=self._directory)
        self.close(new)
        if old in self._files:
            self._files[new] = self._files.pop(old)

    def remove(self, name: str) -> None:
        """Removes a file."""
        self.close(name)
        os.unlink(_plain(name), dir_fd=self._directory)

    def close(self, name: str) -> None:
        """Closes the file's descriptor, if one is open."""
        file = self._files.pop(name, None)
        if file is not None:
            os.close(file)

    def fsync_dir(self) -> None:
        """Syncs the folder itself."""
        os.fsync(self._directory)

    def list(self) -> list[str]:
        """The names of the regular files; links and folders are not ours."""
        with os.scandir(self._directory) as found:
            return sorted(each.name for each in found if each.is_file(follow_symlinks=False))

    def read(self, name: str) -> bytes:
        """A whole file, from the disk rather than the page cache.

        After a failed write the cache holds, marked as clean, bytes that never reached the disk.
        """
        file = self._open(name, 0)
        with os.fdopen(file, "rb") as stream:
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            return stream.read()

    def release(self) -> None:
        """Closes everything and gives up the lock. The disk is not used afterwards."""
        for name in list(self._files):
            self.close(name)
        os.close(self._directory)

    def _file(self, name: str) -> int:
        if name not in self._files:
            self._files[name] = self._open(name, 0)
        return self._files[name]

    def _open(self, name: str, flags: int) -> int:
        flags |= os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(_plain(name), flags, _FILE_MODE, dir_fd=self._directory)


def _plain(name: str) -> str:
    if "/" in name or name in {"", ".", ".."}:
        raise ValueError(f"{name!r} is not a plain file name")
    return name


def _make_durably(path: Path) -> None:
    """Makes the folder and, where they are missing, those above it; syncs the names on the way."""
    if path.is_dir():
        return
    _make_durably(path.parent)
    path.mkdir(mode=_DIRECTORY_MODE, exist_ok=True)
    above = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(above)
    finally:
        os.close(above)
