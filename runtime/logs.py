"""Reads a container's log across its rotation, from any line from the end, and goes on reading.

Blocking: for worker threads. Writes nothing; `log_rotation` moves the files that are read here.
"""

import os
from collections import deque
from pathlib import Path
from typing import BinaryIO

from runtime import log_lines
from runtime.driver import LogLine
from runtime.layout import ContainerPaths

_CHUNK = 256 << 10
_FIRST_WINDOW = 64 << 10
_ATTEMPTS = 10


class LogReader:
    """A position in the log. The files stay open, so that what was rotated away is still read."""

    def __init__(self, paths: ContainerPaths, tail: int = -1) -> None:
        """Stands before the last `tail` lines; -1: at the beginning of what is kept."""
        self._paths = paths
        self._rest = b""  # of a line that is not complete yet
        self._files: deque[BinaryIO] = deque()
        try:
            self._files.extend(self._open_all())
            if tail >= 0:
                self._seek_tail(tail)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Closes the files."""
        while self._files:
            self._files.pop().close()

    def read(self) -> list[LogLine]:
        """The next lines, some at a time; empty at the present end."""
        while True:
            if self._files:
                data = self._files[0].read(_CHUNK)
                if data:
                    lines = self._complete(data)
                    if lines:
                        return lines
                    continue
            if not self._advance():
                return []

    def _complete(self, data: bytes) -> list[LogLine]:
        *whole, self._rest = (self._rest + data).split(b"\n")
        return log_lines.parse_all(whole)

    def _open_all(self) -> list[BinaryIO]:
        """The old file and the present one, without one that came between."""
        for _ in range(_ATTEMPTS):
            old, new = _open(self._paths.old_log), _open(self._paths.log)
            if _inode(self._paths.old_log) == (None if old is None else _number(old)):
                return [file for file in (old, new) if file is not None]
            for file in (old, new):
                if file is not None:
                    file.close()
        raise OSError(f"{self._paths.log} is rotated faster than it can be opened")

    def _advance(self) -> bool:
        """At the end of a file: turns to the next, if there is one by now.

        conmon makes a new file only when it has closed the old one, so whoever sees the new one
        and then nothing more in the old one has seen all of it.
        """
        if len(self._files) > 1:
            self._files.popleft().close()
            return True
        following = self._following()
        if not following:
            self._restart_if_truncated()
            return False
        self._files.extend(following)  # behind the file at hand, which is read once more
        return True

    def _following(self) -> list[BinaryIO]:
        """Newer files than the one at hand, opened."""
        present = _number(self._files[0]) if self._files else None
        if present is not None and _inode(self._paths.log) in (present, None):
            return []
        found = self._open_all()
        if present is None:
            return found
        mine = os.fstat(self._files[0].fileno()).st_mtime_ns
        kept = []
        for file in found:
            status = os.fstat(file.fileno())
            # conmon may have cut the file at hand off: then it is gone, and the old file that is
            # still there came before it, so that its last line is older.
            if status.st_ino != present and (file is found[-1] or status.st_mtime_ns > mine):
                kept.append(file)
            else:
                file.close()
        return kept

    def _restart_if_truncated(self) -> None:
        if self._files and os.fstat(self._files[0].fileno()).st_size < self._files[0].tell():
            self._files[0].seek(0)
            self._rest = b""

    def _seek_tail(self, count: int) -> None:
        """Moves the first file, or files, to where the last `count` lines begin."""
        wanted = count
        for file in reversed(self._files):
            wanted -= _seek_tail(file, wanted)


def _open(path: Path) -> BinaryIO | None:
    try:
        return path.open("rb", buffering=0)
    except FileNotFoundError:
        return None


def _number(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_ino


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


def _seek_tail(file: BinaryIO, count: int) -> int:
    """Positions one file before its last `count` lines; how many it has of them."""
    size = file.seek(0, os.SEEK_END)
    window = _FIRST_WINDOW
    while True:
        begin = max(0, size - window)
        file.seek(begin)
        data = _read_exactly(file, size - begin)
        skipped = 0
        if begin:  # the window begins somewhere within a line
            skipped = data.find(b"\n") + 1
        start, found = log_lines.tail_start(data[skipped:], count)
        if begin == 0 or (found == count and start > 0):
            file.seek(begin + skipped + start)
            return found
        window *= 4


def _read_exactly(file: BinaryIO, size: int) -> bytes:
    pieces = []
    while size > 0:
        piece = file.read(size)
        if not piece:
            break
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)
