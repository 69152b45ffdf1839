"""Turns the entries of a layer's tar into files, in the form that overlayfs wants.

The rules are the OCI image specification's ("layer.md"): whiteouts become character devices 0:0,
opaque whiteouts an extended attribute. Runs as root, chrooted into the layer's directory: names
with `..`, absolute ones and links to elsewhere stay inside. Imports nothing late.
"""

import errno
import os
import posixpath
import re
import stat
import tarfile
from dataclasses import dataclass

from runtime.image.stream import CHUNK, ForwardReader, InvalidLayer, LimitExceeded
from runtime.image.tree import Tree

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_RESERVED = ".wh..wh."
_XATTR = "SCHILY.xattr."
# Overlayfs obeys its own attributes (redirects lead anywhere); nobody else may write trusted ones.
_FORBIDDEN_XATTRS = ("trusted.", "user.overlay.")
_UNSUPPORTED = (errno.ENOTSUP, errno.EPERM)
_NANOS = 1_000_000_000
_MAX_SECONDS = 1 << 32
_SECONDS = re.compile(r"(-)?(\d{1,10})(?:\.(\d*))?", re.ASCII)


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
        except (tarfile.TarError, ValueError, OverflowError) as error:
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
            self._tree.make(path, _mtime(member))
            _set_attributes(path, member)
        elif member.islnk():
            self._hard_link(path, member)
        else:
            self._tree.clear(path)
            self._make(archive, path, member)
            _set_attributes(path, member)
            os.utime(path, ns=(_mtime(member),) * 2, follow_symlinks=False)

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

    def _hard_link(self, path: str, member: tarfile.TarInfo) -> None:
        target = self._tree.place(member.linkname)
        if target == path:
            return
        self._tree.clear(path)
        try:
            os.link(target, path, follow_symlinks=False)
        except (FileNotFoundError, PermissionError) as error:
            why = (
                f"{member.name} is a hard link to {member.linkname}, which is no file in the layer"
            )
            raise InvalidLayer(why) from error

    def _make(self, archive: tarfile.TarFile, path: str, member: tarfile.TarInfo) -> None:
        if member.issym():
            os.symlink(member.linkname, path)
        elif member.isfile():
            self._file(archive, path, member)
        elif member.ischr() or member.isblk():
            kind = stat.S_IFCHR if member.ischr() else stat.S_IFBLK
            os.mknod(path, 0o600 | kind, os.makedev(member.devmajor, member.devminor))
        elif member.isfifo():
            os.mkfifo(path, 0o600)
        else:
            raise InvalidLayer(f"{member.name} is an entry of unknown type {member.type!r}")

    def _file(self, archive: tarfile.TarFile, path: str, member: tarfile.TarInfo) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        file = os.open(path, flags, 0o600)
        try:
            if member.issparse():
                _write_sparse(archive, file, member)
                return
            self._reader.seek(member.offset_data)
            left = member.size
            while left:
                chunk = self._reader.read(min(CHUNK, left))
                if not chunk:
                    raise InvalidLayer(f"it ends in the middle of {member.name}")
                _write(file, chunk)
                left -= len(chunk)
        finally:
            os.close(file)


def _write(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def _write_sparse(archive: tarfile.TarFile, file: int, member: tarfile.TarInfo) -> None:
    content = archive.extractfile(member)
    if content is None:
        raise InvalidLayer(f"{member.name} has no content")
    while chunk := content.read(CHUNK):
        if chunk.count(0) == len(chunk):
            os.lseek(file, len(chunk), os.SEEK_CUR)
        else:
            _write(file, chunk)
    os.ftruncate(file, member.size)


def _set_attributes(path: str, member: tarfile.TarInfo) -> None:
    """Owner, then mode (chown clears setuid), then extended attributes (chown clears caps)."""
    os.chown(path, member.uid, member.gid, follow_symlinks=False)
    if not member.issym():
        os.chmod(path, member.mode & 0o7777)
    for key, value in member.pax_headers.items():
        if not key.startswith(_XATTR):
            continue
        name = key.removeprefix(_XATTR)
        if name.startswith(_FORBIDDEN_XATTRS):
            continue
        try:
            data = value.encode("utf-8", "surrogateescape")
            os.setxattr(path, name, data, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _UNSUPPORTED:  # this file system has none: as Docker, go on
                raise


def _mtime(member: tarfile.TarInfo) -> int:
    """Nanoseconds since the epoch, exact where the archive is (a float would round)."""
    exact = _SECONDS.fullmatch(member.pax_headers.get("mtime", ""))
    if exact is None:
        seconds = int(member.mtime)
        return max(-_MAX_SECONDS, min(seconds, _MAX_SECONDS)) * _NANOS
    sign, whole, fraction = exact.groups(default="")
    nanoseconds = int(whole) * _NANOS + int(fraction[:9].ljust(9, "0"))
    return -nanoseconds if sign else nanoseconds
