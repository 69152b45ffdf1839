"""Reads the archive of a volume into the empty root of this process, and checks all of it: see
layout.

Runs chrooted, and refuses what a volume's archive has no use for: names that are absolute or lead
upwards, entries outside of `data/`, devices unless they were asked for. Of a file only as much is
written as there was room for before.
"""

import base64
import hashlib
import os
import tarfile
from dataclasses import dataclass
from typing import BinaryIO

from runtime.image import members
from runtime.image.stream import CHUNK, NO_TAR, ForwardReader, InvalidLayer, LimitExceeded
from runtime.image.tree import Tree
from runtime.volume.copying.layout import (
    DATA,
    END,
    HEAD,
    HOLES,
    LARGEST_NOTE,
    ODD,
    SUMS,
    End,
    Head,
    end_of,
    head_of,
    odd_name,
    sum_line,
)

_PAGE = 4096


@dataclass(frozen=True, slots=True)
class Limits:
    """`size`: bytes that may be written; `devices`: whether there may be any."""

    size: int
    devices: bool
    entries: int = 100_000_000


class Reader:
    """Reads one archive. `sums`: an empty file."""

    def __init__(self, reader: ForwardReader, sums: BinaryIO, limits: Limits) -> None:
        self._reader = reader
        self._sums = sums
        self._limits = limits
        self._tree = Tree()
        self._entries = 0
        self._size = 0
        self._digest = hashlib.sha256()
        self._holes = False

    def run(self) -> tuple[Head, End]:
        """Reads and checks everything. InvalidLayer, or OSError if the system refuses."""
        try:
            archive = tarfile.TarFile(
                fileobj=self._reader,  # type: ignore[arg-type]  # only read, seek, tell are used
                mode="r",
                encoding="utf-8",
                errors="surrogateescape",
            )
            head = head_of(self._noted(self._next(archive), HEAD))
            if head.size > self._limits.size:
                raise LimitExceeded(
                    f"it takes {head.size} bytes, and only {self._limits.size} are free"
                )
            member = self._content(archive)
            self._check_sums(member)
            end = self._end(archive)
        except NO_TAR as error:
            raise InvalidLayer(f"not a tar archive ({error})") from error
        self._tree.finish()
        return head, end

    def _content(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        """Makes all that there is below `data/`; the entry that comes after it."""
        while (member := self._next(archive)).name == DATA or member.name.startswith(f"{DATA}/"):
            self._entries += 1
            if self._entries > self._limits.entries:
                raise LimitExceeded(f"it has more than {self._limits.entries} entries")
            self._entry(archive, member)
        return member

    def _entry(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        path = self._tree.place(_inner(member.name))
        if member.isdir():
            self._tree.make(path, members.mtime(member))
            _set_attributes(path, member)
            return
        if path == "/":
            raise InvalidLayer(f"{DATA} is not a folder")
        if member.islnk():
            members.hard_link(self._tree, path, member, _inner(member.linkname))
            return
        if (member.ischr() or member.isblk()) and not self._limits.devices:
            raise InvalidLayer(f"{member.name} is a device, and none were asked for")
        self._tree.clear(path)
        self._digest, self._holes = hashlib.sha256(), HOLES in member.pax_headers
        if member.issparse():
            raise InvalidLayer(f"{member.name} is a sparse entry")
        members.make(archive, self._reader, path, member, self._put)
        if member.isfile():
            os.truncate(path, member.size)
            self._sums.write(sum_line(self._digest.hexdigest(), member.name))
        _set_attributes(path, member)
        os.utime(path, ns=(members.mtime(member),) * 2, follow_symlinks=False)

    def _put(self, file: int, data: bytes) -> None:
        self._digest.update(data)
        view = memoryview(data)
        while view:
            page = view[:_PAGE] if self._holes else view
            if self._holes and bytes(page).count(0) == len(page):
                os.lseek(file, len(page), os.SEEK_CUR)
                view = view[len(page) :]
                continue
            done = os.write(file, page)
            self._size += done
            if self._size > self._limits.size:
                raise LimitExceeded(f"it unpacks to more than {self._limits.size} free bytes")
            view = view[done:]

    def _check_sums(self, member: tarfile.TarInfo) -> None:
        if member.name != SUMS or member.size != self._sums.tell():
            raise InvalidLayer("its sums are not those of its files")
        self._sums.seek(0)
        self._reader.seek(member.offset_data)
        left = member.size
        while left:
            data = self._reader.read(min(CHUNK, left))
            if not data or data != self._sums.read(len(data)):
                raise InvalidLayer("its sums are not those of its files")
            left -= len(data)

    def _end(self, archive: tarfile.TarFile) -> End:
        self._reader.seek(archive.offset)
        whole = self._reader.so_far()
        end = end_of(self._noted(self._next(archive), END))
        if end.sha256 != whole or end.entries != self._entries:
            raise InvalidLayer("its hash is not the one that it ends with")
        self._reader.drain()
        return end

    def _next(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        member = archive.next()
        archive.members = []  # type: ignore[attr-defined]  # else it keeps every header
        if member is None:
            raise InvalidLayer("it ends early")
        return member

    def _noted(self, member: tarfile.TarInfo, name: str) -> bytes:
        if member.name != name or member.size > LARGEST_NOTE:
            raise InvalidLayer("it is not the archive of a volume")
        self._reader.seek(member.offset_data)
        return self._reader.read(member.size)


def _set_attributes(path: str, member: tarfile.TarInfo) -> None:
    members.set_attributes(path, member)
    for header, value in member.pax_headers.items():
        if header.startswith(ODD):
            members.set_attribute(path, odd_name(header), base64.b64decode(value, validate=True))


def _inner(name: str) -> str:
    """The place of an entry, as seen from within the volume."""
    parts = name.split("/")
    if parts[0] != DATA or ".." in parts:
        raise InvalidLayer(f"{name!a} leads out of the volume")
    return "/" + "/".join(parts[1:])
