"""One entry of a tar as a file: made, with its content, its owner and its dates.

Runs chrooted, as root, in a process of its own: so no name leads out. What an archive may hold, and
where, is the affair of who calls.
"""

import errno
import os
import re
import stat
import tarfile
from collections.abc import Callable, Collection

from runtime.image.stream import CHUNK, ForwardReader, InvalidLayer
from runtime.image.tree import Tree

XATTR = "SCHILY.xattr."
"""What stands before the name of an extended attribute in a PAX header."""
_UNSUPPORTED = (errno.ENOTSUP, errno.EPERM)
_NANOS = 1_000_000_000
_MAX_SECONDS = 1 << 32
_SECONDS = re.compile(r"(-)?(\d{1,10})(?:\.(\d*))?", re.ASCII)

Put = Callable[[int, bytes], None]
"""Puts the next piece of content into an open file, where that stands."""


def hard_link(tree: Tree, path: str, member: tarfile.TarInfo, target: str = "") -> None:
    """Another name, at the canonical `path`, for a file that came before.

    `target`: what it is a name for, where that is called otherwise than the entry says.
    """
    target = tree.place(target or member.linkname)
    if target == path:
        return
    tree.clear(path)
    try:
        os.link(target, path, follow_symlinks=False)
    except (FileNotFoundError, PermissionError) as error:
        why = f"{member.name} is a hard link to {member.linkname}, which is no file in the layer"
        raise InvalidLayer(why) from error


def make(
    archive: tarfile.TarFile,
    reader: ForwardReader,
    path: str,
    member: tarfile.TarInfo,
    put: Put | None = None,
) -> None:
    """Makes it at `path`, where nothing is; neither a folder nor a hard link."""
    if member.issym():
        os.symlink(member.linkname, path)
    elif member.isfile():
        _file(archive, reader, path, member, put or _write)
    elif member.ischr() or member.isblk():
        kind = stat.S_IFCHR if member.ischr() else stat.S_IFBLK
        os.mknod(path, 0o600 | kind, os.makedev(member.devmajor, member.devminor))
    elif member.isfifo():
        os.mkfifo(path, 0o600)
    else:
        raise InvalidLayer(f"{member.name} is an entry of unknown type {member.type!r}")


def _file(
    archive: tarfile.TarFile, reader: ForwardReader, path: str, member: tarfile.TarInfo, put: Put
) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.open(path, flags, 0o600)
    try:
        if member.issparse():
            _write_sparse(archive, file, member)
            return
        reader.seek(member.offset_data)
        left = member.size
        while left:
            chunk = reader.read(min(CHUNK, left))
            if not chunk:
                raise InvalidLayer(f"it ends in the middle of {member.name}")
            put(file, chunk)
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


def set_attributes(path: str, member: tarfile.TarInfo, forbidden: Collection[str] = ()) -> None:
    """Owner, then mode (chown clears setuid), then extended attributes (chown clears caps).

    `forbidden`: how names of those begin that are left out.
    """
    os.chown(path, member.uid, member.gid, follow_symlinks=False)
    if not member.issym():
        os.chmod(path, member.mode & 0o7777)
    for key, value in member.pax_headers.items():
        if not key.startswith(XATTR):
            continue
        name = key.removeprefix(XATTR)
        if name.startswith(tuple(forbidden)):
            continue
        set_attribute(path, name, value.encode("utf-8", "surrogateescape"))


def set_attribute(path: str, name: str, value: bytes) -> None:
    """Sets an extended attribute; where the file system has none, as Docker, it goes on without."""
    try:
        os.setxattr(path, name, value, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise


def mtime(member: tarfile.TarInfo) -> int:
    """Nanoseconds since the epoch, exact where the archive is (a float would round)."""
    exact = _SECONDS.fullmatch(member.pax_headers.get("mtime", ""))
    if exact is None:
        seconds = int(member.mtime)
        return max(-_MAX_SECONDS, min(seconds, _MAX_SECONDS)) * _NANOS
    sign, whole, fraction = exact.groups(default="")
    nanoseconds = int(whole) * _NANOS + int(fraction[:9].ljust(9, "0"))
    return -nanoseconds if sign else nanoseconds
