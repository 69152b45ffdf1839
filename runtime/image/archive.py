"""Reads archives of images: what `docker save`, skopeo, buildah and our own builder write.

Two forms in one tar: an OCI layout (preferred where both are there) or a docker-archive. The tar
stays as it is; layers are unpacked out of its middle. Blocking: for a thread.
"""

import io
import json
import posixpath
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

from api.errors import SwarmError
from runtime.image import digest as digests
from runtime.image import faults
from runtime.image.manifest import (
    MAX_DOCUMENT,
    MAX_LAYERS,
    Config,
    Descriptor,
    Index,
    Manifest,
    malformed,
    parse,
    parse_config,
)
from runtime.image.platforms import Platform
from runtime.image.reference import Reference
from runtime.image.reference import parse as parse_reference
from runtime.image.stream import NO_TAR, InvalidLayer
from runtime.image.unpacker import Part

WHAT = "the archive"
_MAX_MEMBERS = 100_000
_MAX_READ = 4 << 20
_MAX_NESTING = 4
_MAX_LINKS = 8
_FULL_NAME = "io.containerd.image.name"
_NAME = "org.opencontainers.image.ref.name"


@dataclass(frozen=True)
class Found:
    """One image in an archive: `names` that it goes by, and where its packed layers are."""

    id: str
    config: Config
    config_body: bytes
    layers: tuple[Part, ...]
    names: tuple[Reference, ...]


def read(path: Path, want: Platform) -> list[Found]:
    """All images of the uncompressed tar `path`; of several platforms, those for `want`.

    Raises SwarmError INVALID if it is no archive of images.
    """
    members = _Members(path)
    if "index.json" in members and "oci-layout" in members:
        return list(_oci(members, want))
    if "manifest.json" in members:
        return list(_docker(members))
    raise malformed(WHAT, "it holds neither an OCI layout nor a docker-archive")


class _BoundedFile(io.FileIO):
    """A file that gives no headers of gigabytes."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= _MAX_READ:
            raise InvalidLayer(f"a header of {size} bytes")
        return super().read(size)


class _Members:
    """Where each file of a tar is."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._parts: dict[str, Part] = {}
        self._links: dict[str, str] = {}
        try:
            with _BoundedFile(path) as file, tarfile.TarFile(fileobj=file, mode="r") as tar:
                self._scan(tar)
        except (*NO_TAR, InvalidLayer) as error:
            raise malformed(WHAT, f"not a tar ({error})") from error

    def __contains__(self, name: str) -> bool:
        return self._resolve(name) is not None

    def part(self, name: str) -> Part:
        """The file called `name`, through links within the archive."""
        part = self._resolve(name)
        if part is None:
            raise malformed(WHAT, f"{name!r} is missing")
        return part

    def read(self, name: str) -> bytes:
        """A small file."""
        part = self.part(name)
        if part.size > MAX_DOCUMENT:
            raise malformed(WHAT, f"{name!r} is larger than {MAX_DOCUMENT >> 20} MiB")
        with self._path.open("rb") as file:
            file.seek(part.offset)
            return file.read(part.size)

    def blob(self, descriptor: Descriptor) -> Part:
        """The blob of an OCI layout."""
        algorithm, _, encoded = descriptor.digest.partition(":")
        part = self.part(f"blobs/{algorithm}/{encoded}")
        if part.size != descriptor.size:
            expected, found = f"{descriptor.size} bytes", str(part.size)
            raise faults.mismatch(f"blob {descriptor.digest} in {WHAT}", expected, found)
        return part

    def read_blob(self, descriptor: Descriptor) -> bytes:
        """A small blob of an OCI layout, verified."""
        part = self.blob(descriptor)
        if part.size > MAX_DOCUMENT:
            raise malformed(WHAT, f"blob {descriptor.digest} is too large")
        algorithm, _, encoded = descriptor.digest.partition(":")
        body = self.read(f"blobs/{algorithm}/{encoded}")
        if not digests.matches(descriptor.digest, body):
            what = f"blob {descriptor.digest} in {WHAT}"
            raise faults.mismatch(what, descriptor.digest, digests.of(body))
        return body

    def _scan(self, tar: tarfile.TarFile) -> None:
        for count, member in enumerate(tar):
            if count >= _MAX_MEMBERS:
                raise InvalidLayer(f"more than {_MAX_MEMBERS} files")
            if member.size < 0:
                raise InvalidLayer(f"{member.name} has a negative size")
            name = _normalise(member.name)
            if member.issym():
                self._links[name] = _normalise(posixpath.join("/", name, "..", member.linkname))
            elif member.islnk():
                self._links[name] = _normalise(member.linkname)
            elif member.isfile() and not member.issparse():
                self._parts[name] = Part(self._path, member.offset_data, member.size)

    def _resolve(self, name: str) -> Part | None:
        name = _normalise(name)
        for _ in range(_MAX_LINKS):
            if name in self._parts:
                return self._parts[name]
            if name not in self._links:
                return None
            name = self._links[name]
        return None


def _normalise(name: str) -> str:
    return posixpath.normpath("/" + name.lstrip("/"))[1:]


def _oci(members: _Members, want: Platform) -> Iterator[Found]:
    index = parse(members.read("index.json"), "", WHAT)
    if not isinstance(index, Index):
        raise malformed(WHAT, "index.json is not an index")
    for entry in index.manifests:
        manifest = _innermost(members, entry, want)
        body = members.read_blob(manifest.config)
        config = parse_config(body, len(manifest.layers), WHAT)
        layers = tuple(members.blob(layer) for layer in manifest.layers)
        names = _names_of(entry)
        yield Found(manifest.config.digest, config, body, layers, names)


def _innermost(members: _Members, entry: Descriptor, want: Platform) -> Manifest:
    for _ in range(_MAX_NESTING):
        document = parse(members.read_blob(entry), entry.media_type, WHAT)
        if isinstance(document, Manifest):
            return document
        entry = document.choose(want, WHAT)
    raise malformed(WHAT, "indexes within indexes without end")


def _names_of(entry: Descriptor) -> tuple[Reference, ...]:
    """The full name that containerd and Docker write, else the name of OCI if it is a full one.

    A bare word there, as skopeo and the specification's own examples write, is a tag of nothing.
    """
    full = entry.annotations.get(_FULL_NAME)
    if full:
        return (_deserved(parse_reference(full), entry.digest),)
    name = entry.annotations.get(_NAME, "")
    if ":" not in name and "/" not in name:
        return ()
    try:
        found = parse_reference(name)
    except SwarmError:
        return ()
    return (_deserved(found, entry.digest),)


def _deserved(name: Reference, digest: str) -> Reference:
    """A name with a digest is given to the very content alone; `digest` is empty if unknown."""
    if name.digest not in ("", digest):
        raise malformed(WHAT, f"what it calls {name.familiar()} has not that digest")
    return name


def _docker(members: _Members) -> Iterator[Found]:
    try:
        entries = json.loads(members.read("manifest.json"))
    except (ValueError, RecursionError) as error:
        raise malformed(WHAT, "manifest.json is not JSON") from error
    if not isinstance(entries, list) or not entries:
        raise malformed(WHAT, "manifest.json lists no images")
    for entry in entries:
        config_name, layers, tags = _docker_entry(entry)
        body = members.read(config_name)
        config = parse_config(body, len(layers), WHAT)
        parts = tuple(members.part(name) for name in layers)
        # The digest of a name is a manifest's, and there is none in this form.
        names = tuple(_deserved(parse_reference(tag), "") for tag in tags)
        yield Found(digests.of(body), config, body, parts, names)


def _docker_entry(entry: object) -> tuple[str, list[str], list[str]]:
    if not isinstance(entry, dict):
        raise malformed(WHAT, "manifest.json holds what is no image")
    config, layers, tags = entry.get("Config"), entry.get("Layers"), entry.get("RepoTags") or []
    if not isinstance(config, str) or not _is_names(layers) or not _is_names(tags):
        raise malformed(WHAT, "manifest.json lacks Config, Layers or RepoTags")
    if len(layers) > MAX_LAYERS:
        raise malformed(WHAT, f"more than {MAX_LAYERS} layers")
    return config, layers, tags


def _is_names(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)
