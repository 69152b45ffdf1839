"""Builds images: directory trees become layers of an OCI layout. The same trees, the same digests.

The inverse of unpacking: overlayfs's whiteouts and opaque directories become whiteout files again,
so the upper directory of a container is a tree that can be built from. Runs no commands.
"""

import asyncio
import contextlib
import hashlib
import io
import json
import os
import stat
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import IO, Any, cast

import zstandard
from isal import igzip

from runtime.image import digest as digests
from runtime.image import platforms
from runtime.image.layout import write_index
from runtime.image.manifest import OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST
from runtime.image.platforms import Platform
from runtime.image.reference import parse
from runtime.image.tree import OPAQUE, is_whiteout

_XATTR = "SCHILY.xattr."
_KEPT_XATTRS = ("user.", "security.capability", "system.posix_acl_")


class Compression(Enum):
    """How the layers are packed; the value is the end of their media type."""

    PLAIN = ""
    GZIP = "+gzip"
    ZSTD = "+zstd"


@dataclass(frozen=True)
class ImageSource:
    """One image to build: `layers` are directory trees, the lowest first.

    `config` is the `config` object of OCI: Cmd, Entrypoint, Env, User, WorkingDir, ExposedPorts...
    """

    layers: tuple[Path, ...]
    config: Mapping[str, Any] = field(default_factory=dict)
    platform: Platform | None = None  # None: this host's
    compression: Compression = Compression.GZIP


async def build_layout(
    destination: Path, images: Sequence[ImageSource], *, reference: str, created: float = 0.0
) -> str:
    """Makes the directory `destination` an OCI layout of the image called `reference`.

    Several images make an index, one per platform. Every date, also of files, is `created`, in
    seconds since the epoch. Returns the digest of the manifest or index.
    """
    name = str(parse(reference))
    return await asyncio.to_thread(_build, destination, images, name, int(created))


def _build(destination: Path, images: Sequence[ImageSource], name: str, created: int) -> str:
    (destination / "blobs" / "sha256").mkdir(parents=True)
    entries = [_image(destination, image, created) for image in images]
    top = entries[0]
    if len(entries) > 1:
        body = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
        top = _document(destination, OCI_INDEX, body)
    tag = name.rpartition(":")[2]
    notes = {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": tag}
    write_index(destination, {**top, "annotations": notes})
    return str(top["digest"])


def _image(destination: Path, image: ImageSource, created: int) -> dict[str, Any]:
    """Writes all blobs of one image; the descriptor of its manifest."""
    platform = image.platform or platforms.host()
    packed = [_layer(destination, tree, image.compression, created) for tree in image.layers]
    named = {"os": platform.os, "architecture": platform.architecture}
    if platform.variant:
        named["variant"] = platform.variant
    moment = datetime.fromtimestamp(created, UTC).isoformat().replace("+00:00", "Z")
    config = {
        **named,
        "created": moment,
        "config": dict(image.config),
        "rootfs": {"type": "layers", "diff_ids": [diff_id for _, diff_id in packed]},
        "history": [{"created": moment, "created_by": "build_layout"} for _ in packed],
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": _document(destination, OCI_CONFIG, config),
        "layers": [descriptor for descriptor, _ in packed],
    }
    return {**_document(destination, OCI_MANIFEST, manifest), "platform": named}


def _document(destination: Path, media_type: str, content: Mapping[str, Any]) -> dict[str, Any]:
    body = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
    digest = digests.of(body)
    (destination / "blobs" / "sha256" / digests.encoded(digest)).write_bytes(body)
    return {"mediaType": media_type, "digest": digest, "size": len(body)}


def _layer(
    destination: Path, tree: Path, compression: Compression, created: int
) -> tuple[dict[str, Any], str]:
    """Writes one layer; its descriptor and its diff id."""
    blobs = destination / "blobs" / "sha256"
    temporary = blobs / ".layer"
    with temporary.open("wb") as file:
        packed = _Hashed(file)
        with _compressor(compression, cast(IO[bytes], packed)) as compressed:
            plain = _Hashed(compressed)
            _pack(tree, cast(IO[bytes], plain), created)
    temporary.rename(blobs / digests.encoded(packed.digest()))
    descriptor = {
        "mediaType": OCI_LAYER + compression.value,
        "digest": packed.digest(),
        "size": packed.size,
    }
    return descriptor, plain.digest()


class _Hashed(io.RawIOBase):
    """Writes on to a file, counting and hashing."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:  # noqa: ANN401  # any buffer
        written = memoryview(data).nbytes
        self._file.write(data)
        self._hash.update(data)
        self.size += written
        return written

    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"


@contextlib.contextmanager
def _compressor(compression: Compression, file: IO[bytes]) -> Iterator[IO[bytes]]:
    if compression is Compression.GZIP:
        with igzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:  # type: ignore[no-untyped-call]
            yield cast(IO[bytes], packed)
    elif compression is Compression.ZSTD:
        with zstandard.ZstdCompressor().stream_writer(file, closefd=False) as writer:
            yield writer
    else:
        yield file


def _pack(tree: Path, file: IO[bytes], created: int) -> None:
    """Writes the tree as a tar: sorted, with one date for all, owners as numbers."""
    links: dict[tuple[int, int], str] = {}
    with tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        for path, name in _walk(tree):
            _add(tar, path, name, created, links)


def _walk(tree: Path) -> Iterator[tuple[Path, str]]:
    """Everything below `tree`, parents first, with its name in the archive."""
    pending = [tree]
    while pending:
        directory = pending.pop()
        for path in sorted(directory.iterdir(), key=lambda each: os.fsencode(each.name)):
            yield path, str(path.relative_to(tree))
            if path.is_dir() and not path.is_symlink():
                pending.append(path)


def _add(
    tar: tarfile.TarFile,
    path: Path,
    name: str,
    created: int,
    links: dict[tuple[int, int], str],
) -> None:
    status = path.lstat()
    if is_whiteout(status):
        tar.addfile(_entry(str(Path(name).with_name(f".wh.{path.name}")), created))
        return
    if stat.S_ISSOCK(status.st_mode):
        return  # no archive holds sockets
    entry = _describe(path, name, status, created)
    first = links.setdefault((status.st_dev, status.st_ino), name)
    if stat.S_ISREG(status.st_mode) and first != name:
        entry.type, entry.linkname, entry.size = tarfile.LNKTYPE, first, 0
        tar.addfile(entry)
    elif stat.S_ISREG(status.st_mode):
        with path.open("rb") as content:
            tar.addfile(entry, content)
    else:
        tar.addfile(entry)
        if stat.S_ISDIR(status.st_mode) and _is_opaque(path):
            tar.addfile(_entry(f"{name}/.wh..wh..opq", created))


def _describe(path: Path, name: str, status: os.stat_result, created: int) -> tarfile.TarInfo:
    entry = _entry(name, created)
    entry.mode = stat.S_IMODE(status.st_mode)
    entry.uid, entry.gid = status.st_uid, status.st_gid
    kind = stat.S_IFMT(status.st_mode)
    entry.type = _TYPES[kind]
    if kind == stat.S_IFREG:
        entry.size = status.st_size
    elif kind == stat.S_IFLNK:
        entry.linkname = str(path.readlink())
    elif kind in (stat.S_IFCHR, stat.S_IFBLK):
        entry.devmajor, entry.devminor = os.major(status.st_rdev), os.minor(status.st_rdev)
    entry.pax_headers = {
        _XATTR + key: os.getxattr(path, key, follow_symlinks=False).decode(
            "utf-8", "surrogateescape"
        )
        for key in sorted(os.listxattr(path, follow_symlinks=False))
        if key.startswith(_KEPT_XATTRS)
    }
    return entry


_TYPES = {
    stat.S_IFREG: tarfile.REGTYPE,
    stat.S_IFDIR: tarfile.DIRTYPE,
    stat.S_IFLNK: tarfile.SYMTYPE,
    stat.S_IFCHR: tarfile.CHRTYPE,
    stat.S_IFBLK: tarfile.BLKTYPE,
    stat.S_IFIFO: tarfile.FIFOTYPE,
}


def _entry(name: str, created: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.mtime = created
    return entry


def _is_opaque(path: Path) -> bool:
    try:
        return os.getxattr(path, OPAQUE) == b"y"
    except OSError:
        return False  # it has no such attribute, or may not be asked
