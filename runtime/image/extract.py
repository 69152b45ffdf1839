"""Turns the entries of a layer's tar into files, in the form that overlayfs wants.

The rules are the OCI image specification's ("layer.md"): whiteouts become character devices 0:0,
opaque whiteouts an extended attribute. Runs as root, chrooted into the layer's directory: names
with `..`, absolute ones and links to elsewhere stay inside. Imports nothing late.
"""

import os
import posixpath
import tarfile
from dataclasses import dataclass

from runtime.image import members
from runtime.image.stream import NO_TAR, ForwardReader, InvalidLayer, LimitExceeded
from runtime.image.tree import Tree

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_RESERVED = ".wh..wh."
# Overlayfs obeys its own attributes (redirects lead anywhere); nobody else may write trusted ones.
_FORBIDDEN_XATTRS = ("trusted.", "user.overlay.")


@dataclass
class Totals:
    """What a layer came to: its entries, and the bytes of its files."""

    entries: int = 0
    size: int = 0


class Extractor:
    """Unpacks one archive below the root of this process."""

    def __init__(self, reader: ForwardReader, *, max_entries: int, max_bytes: int) -> None:
        self._reader = reader
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._tree = Tree()
        self._totals = Totals()

    def run(self) -> Totals:
        """Unpacks all entries. Raises InvalidLayer, or OSError if the system refuses."""
        try:
            archive = tarfile.TarFile(
                fileobj=self._reader,  # type: ignore[arg-type]  # only read, seek, tell are used
                mode="r",
                encoding="utf-8",
                errors="surrogateescape",
            )
            while (member := archive.next()) is not None:
                self._entry(archive, member)
                archive.members = []  # type: ignore[attr-defined]  # else it keeps every header
        except NO_TAR as error:
            raise InvalidLayer(f"not a tar archive ({error})") from error
        if self._reader.last.strip(b"\0"):
            raise InvalidLayer("garbage where the header of an entry belongs")
        self._tree.finish()
        return self._totals

    def _entry(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        self._totals.entries += 1
        if self._totals.entries > self._max_entries:
            raise LimitExceeded(f"it has more than {self._max_entries} entries")
        if member.size < 0:
            raise InvalidLayer(f"{member.name} has a negative size")
        if member.isfile():
            self._totals.size += member.size
            if self._totals.size > self._max_bytes:
                raise LimitExceeded(f"it unpacks to more than {self._max_bytes} bytes")
        if f"/{_RESERVED}" in posixpath.dirname("/" + member.name):
            return  # aufs's own book-keeping
        path = self._tree.place(member.name)
        base = posixpath.basename(path)
        if base.startswith(_WHITEOUT):
            self._whiteout(path, base)
        elif member.isdir():
            self._tree.make(path, members.mtime(member))
            members.set_attributes(path, member, _FORBIDDEN_XATTRS)
        elif member.islnk():
            members.hard_link(self._tree, path, member)
        else:
            self._tree.clear(path)
            members.make(archive, self._reader, path, member)
            members.set_attributes(path, member, _FORBIDDEN_XATTRS)
            os.utime(path, ns=(members.mtime(member),) * 2, follow_symlinks=False)

    def _whiteout(self, path: str, base: str) -> None:
        parent = posixpath.dirname(path)
        if base == _OPAQUE:
            self._tree.hide_lower(parent)
            return
        hidden = base.removeprefix(_WHITEOUT)
        if base.startswith(_RESERVED):
            return
        if hidden in ("", ".", ".."):
            raise InvalidLayer(f"a whiteout of {hidden!r}")
        self._tree.white_out(posixpath.join(parent, hidden))
