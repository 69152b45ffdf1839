"""Writes the archive of all that is below the root of this process: see layout.

Runs chrooted: the content is others' work, and may change under its hands. A link is never
followed, and nothing but files is opened. Sockets are left out, as in any tar.
"""

import base64
import errno
import hashlib
import os
import stat
import tarfile
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

from runtime.image.members import XATTR
from runtime.image.stream import CHUNK
from runtime.image.tree import MAX_DEPTH
from runtime.volume.copying import layout
from runtime.volume.copying.layout import (
    DATA,
    END,
    HEAD,
    HOLES,
    SUMS,
    End,
    Head,
    sum_line,
    written,
)

_BLOCK = 512
_EMPTY = bytes(CHUNK)
_SHOWN = 200
_NANOS = 1_000_000_000
_KINDS = {
    stat.S_IFREG: tarfile.REGTYPE,
    stat.S_IFDIR: tarfile.DIRTYPE,
    stat.S_IFLNK: tarfile.SYMTYPE,
    stat.S_IFIFO: tarfile.FIFOTYPE,
    stat.S_IFCHR: tarfile.CHRTYPE,
    stat.S_IFBLK: tarfile.BLKTYPE,
}


class ChangedError(Exception):
    """The content changed, and nobody said that it may."""


class Found(NamedTuple):
    """Something in the volume; `path` is absolute."""

    path: str
    status: os.stat_result


class Writer:
    """Writes one archive. `live`: the content may change meanwhile; `sums`: an empty file."""

    def __init__(self, write: Callable[[bytes], object], sums: BinaryIO, *, live: bool) -> None:
        self._out = write
        self._sums = sums
        self._live = live
        self._hash = hashlib.sha256()
        self._names: dict[tuple[int, int], str] = {}
        self._entries = 0
        self._changed = 0

    def run(self, name: str, labels: dict[str, str]) -> End:
        """Writes all of it. OSError if something cannot be read, ChangedError if it changes."""
        entries, size = count()
        self._note(HEAD, written(Head(name, labels, entries, size)))
        for found in walk():
            self._entry(found)
        self._put_sums()
        end = End(self._hash.hexdigest(), self._entries, self._changed)
        self._note(END, written(end))
        self._write(bytes(2 * _BLOCK))
        return end

    def _entry(self, found: Found) -> None:
        kind = _KINDS.get(stat.S_IFMT(found.status.st_mode))
        if kind is None:
            return
        try:
            info = self._info(found, kind)
            if info.type == tarfile.REGTYPE:
                self._file(found, info)
                return
        except FileNotFoundError:
            self._note_change(found.path)
            return
        self._begin(info)

    def _info(self, found: Found, kind: bytes) -> tarfile.TarInfo:
        status = found.status
        info = tarfile.TarInfo(DATA + found.path.rstrip("/"))
        info.type, info.mode = kind, stat.S_IMODE(status.st_mode)
        info.uid, info.gid, info.mtime = status.st_uid, status.st_gid, status.st_mtime_ns // _NANOS
        headers = {"mtime": _exact(status.st_mtime_ns)}
        info.pax_headers = headers
        if kind in (tarfile.CHRTYPE, tarfile.BLKTYPE):
            info.devmajor, info.devminor = os.major(status.st_rdev), os.minor(status.st_rdev)
        if kind != tarfile.DIRTYPE and status.st_nlink > 1:
            first = self._names.setdefault((status.st_dev, status.st_ino), info.name)
            if first != info.name:
                info.type, info.linkname = tarfile.LNKTYPE, first
                return info
        if kind == tarfile.SYMTYPE:
            info.linkname = os.readlink(found.path)
        for name in os.listxattr(found.path, follow_symlinks=False):
            value = os.getxattr(found.path, name, follow_symlinks=False)
            if "=" in name:
                headers[layout.odd_header(name)] = base64.b64encode(value).decode()
            else:
                headers[XATTR + name] = value.decode("utf-8", "surrogateescape")
        return info

    def _file(self, found: Found, info: tarfile.TarInfo) -> None:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        file = os.open(found.path, flags)
        try:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode):
                raise FileNotFoundError
            info.size = status.st_size
            if _on_disk(status) < status.st_size:
                info.pax_headers = {**info.pax_headers, HOLES: "1"}
            self._begin(info)
            digest, is_whole = self._content(file, info)
            after = os.fstat(file)
        finally:
            os.close(file)
        self._sums.write(sum_line(digest, info.name))
        is_same = (after.st_size, after.st_mtime_ns) == (status.st_size, status.st_mtime_ns)
        if not (is_whole and is_same):
            self._note_change(found.path)

    def _content(self, file: int, info: tarfile.TarInfo) -> tuple[str, bool]:
        """Just as many bytes as it says, and whether all were there: zeros for those that are gone
        by now. What is a hole is not read.
        """
        digest = hashlib.sha256()
        position, is_whole = 0, True
        data_until = 0 if HOLES in info.pax_headers else info.size
        while position < info.size:
            if position == data_until:
                begin, data_until = _next_data(file, position, info.size)
                for zeros in _zeros(begin - position):
                    digest.update(zeros)
                    self._write(zeros)
                position = begin
                continue
            data = os.pread(file, min(CHUNK, data_until - position), position)
            if not data:
                is_whole = False
                data = bytes(min(CHUNK, data_until - position))
            digest.update(data)
            self._write(data)
            position += len(data)
        self._pad(info.size)
        return digest.hexdigest(), is_whole

    def _note_change(self, path: str) -> None:
        self._changed += 1
        if not self._live:
            raise ChangedError(path)

    def _put_sums(self) -> None:
        info = _noted(SUMS, self._sums.tell())
        self._sums.seek(0)
        self._write(info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))
        while data := self._sums.read(CHUNK):
            self._write(data)
        self._pad(info.size)

    def _note(self, name: str, data: bytes) -> None:
        info = _noted(name, len(data))
        self._write(info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))
        self._write(data)
        self._pad(len(data))

    def _begin(self, info: tarfile.TarInfo) -> None:
        self._entries += 1
        self._write(info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))

    def _pad(self, size: int) -> None:
        self._write(bytes(-size % _BLOCK))

    def _write(self, data: bytes) -> None:
        self._hash.update(data)
        self._out(data)


def walk() -> Iterator[Found]:
    """Everything below the root, a folder before what is in it; what has gone is left out."""
    pending = ["/"]
    while pending:
        path = pending.pop()
        try:
            status = os.lstat(path)
            yield Found(path, status)
            if stat.S_ISDIR(status.st_mode):
                if path.count("/") >= MAX_DEPTH:
                    why = f"folders nested more than {MAX_DEPTH} deep cannot be restored"
                    raise OSError(errno.ELOOP, why, path[:_SHOWN])
                names = sorted(os.listdir(path), reverse=True)
                pending += [os.path.join(path, name) for name in names]
        except (FileNotFoundError, NotADirectoryError):
            continue


def count() -> tuple[int, int]:
    """How many entries there are, and how many bytes of a disk their files take."""
    entries = size = 0
    seen: set[tuple[int, int]] = set()
    for found in walk():
        entries += 1
        status = found.status
        if stat.S_ISREG(status.st_mode):
            if status.st_nlink > 1:
                if (status.st_dev, status.st_ino) in seen:
                    continue
                seen.add((status.st_dev, status.st_ino))
            size += min(status.st_size, _on_disk(status))
    return entries, size


def _next_data(file: int, position: int, size: int) -> tuple[int, int]:
    """Where the next part of a file begins that is no hole, and where it ends."""
    try:
        begin = os.lseek(file, position, os.SEEK_DATA)
        end = os.lseek(file, begin, os.SEEK_HOLE)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return size, size  # a hole up to its end, or the end came nearer
    return min(begin, size), min(end, size)


def _zeros(count: int) -> Iterator[bytes]:
    while count > 0:
        yield _EMPTY[:count]
        count -= len(_EMPTY)


def _on_disk(status: os.stat_result) -> int:
    return status.st_blocks * _BLOCK


def _noted(name: str, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o600
    return info


def _exact(nanoseconds: int) -> str:
    sign = "-" if nanoseconds < 0 else ""
    seconds, rest = divmod(abs(nanoseconds), _NANOS)
    return f"{sign}{seconds}.{rest:09d}"
