"""Directories of a layer while it is unpacked: made, replaced, and left with the right dates.

Runs chrooted, so every path is absolute and none leads out. Keeps directories under their canonical
names (no symbolic link in them), because their dates are set last, when nothing touches them again.
"""

import contextlib
import os
import posixpath
import stat

from runtime.image.stream import InvalidLayer

OPAQUE = "trusted.overlay.opaque"
MAX_DEPTH = 256
"""Directories within each other, at most: whoever removes the tree may walk it by recursion."""


def lstat(path: str) -> os.stat_result | None:
    """What `path` itself is, or None if there is nothing."""
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None


def is_whiteout(status: os.stat_result) -> bool:
    """Whether this is overlayfs's mark that a name of a lower layer is gone."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


class Tree:
    """The directories of one layer, under the root of this (chrooted) process."""

    def __init__(self) -> None:
        self._mtimes = {"/": 0}  # nanoseconds; what no entry dates is dated 0

    def place(self, name: str) -> str:
        """The canonical path for an entry called `name`; its parents are made where missing."""
        path = posixpath.normpath("/" + name.lstrip("/"))
        if path == "/":
            return path
        parent, base = posixpath.split(path)
        if parent not in self._mtimes:
            parent = self._parents(parent)
        return posixpath.join(parent, base)

    def make(self, path: str, mtime: int) -> None:
        """A directory at the canonical `path`, in place of whatever else stands there."""
        status = lstat(path)
        opaque = status is not None and is_whiteout(status)
        if status is None or not stat.S_ISDIR(status.st_mode):
            if path.count("/") > MAX_DEPTH:
                raise InvalidLayer(f"directories nested more than {MAX_DEPTH} deep")
            if status is not None:
                os.unlink(path)
            os.mkdir(path, 0o755)
            if opaque:
                self.hide_lower(path)
        self._mtimes[path] = mtime

    def clear(self, path: str) -> None:
        """Removes whatever stands at the canonical `path`, so that an entry can be made there."""
        status = lstat(path)
        if status is None:
            return
        if stat.S_ISDIR(status.st_mode):
            self._remove(path)
        else:
            os.unlink(path)

    def white_out(self, path: str) -> None:
        """Marks that the name `path` of lower layers is gone; what this layer has there stays."""
        status = lstat(path)
        if status is None:
            os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(0, 0))
            os.utime(path, ns=(0, 0), follow_symlinks=False)
        elif stat.S_ISDIR(status.st_mode):
            self.hide_lower(path)

    def hide_lower(self, path: str) -> None:
        """Makes a directory opaque: what lower layers have in it is gone."""
        os.setxattr(path, OPAQUE, b"y", follow_symlinks=False)

    def finish(self) -> None:
        """Dates the directories, the deepest first."""
        for path in sorted(self._mtimes, reverse=True):
            os.utime(path, ns=(self._mtimes[path],) * 2, follow_symlinks=False)

    def _parents(self, path: str) -> str:
        """The canonical name of the directory `path`, made as far as it is missing."""
        current = "/"
        for component in path.split("/")[1:]:
            child = posixpath.join(current, component)
            if child not in self._mtimes:
                child = self._parent(child)
            current = child
        return current

    def _parent(self, path: str) -> str:
        status = lstat(path)
        if status is None or is_whiteout(status):
            self.make(path, 0)
            return path
        real = os.path.realpath(path) if stat.S_ISLNK(status.st_mode) else path
        if real not in self._mtimes:
            raise InvalidLayer(f"{path} is used as a directory and is none")
        return real

    def _remove(self, top: str) -> None:
        if top == "/":
            raise InvalidLayer("an entry in place of the root directory")
        pending = [top]
        found = []
        while pending:
            directory = pending.pop()
            found.append(directory)
            with os.scandir(directory) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                    else:
                        os.unlink(entry.path)
        for directory in reversed(found):
            os.rmdir(directory)
            with contextlib.suppress(KeyError):
                del self._mtimes[directory]
