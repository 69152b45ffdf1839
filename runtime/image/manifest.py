"""Manifests, indexes and configurations of images: parsed from JSON and checked. Pure.

Knows OCI's and Docker's media types (schema 2). A document that could be read as two kinds is
refused (CVE-2021-41190), as is one that would need more layers than overlayfs stacks.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from api.errors import Code, SwarmError
from runtime.image import digest as digests
from runtime.image import platforms
from runtime.image.platforms import Platform

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"

INDEX_TYPES = (OCI_INDEX, DOCKER_LIST)
ACCEPTED = (OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST)
_MAX_BLOB = 1 << 50
_LAYER_PREFIXES = (
    OCI_LAYER,
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
)
_COMPRESSIONS = ("", "+gzip", ".gzip", "+zstd", ".zstd")

MAX_DOCUMENT = 4 << 20
"""Bytes of a manifest or a configuration, at most, as in containerd and Docker."""
MAX_LAYERS = 500
"""As many as overlayfs stacks (OVL_MAX_STACK)."""


@dataclass(frozen=True)
class Descriptor:
    """Points at a blob: what it is, its digest, and how many bytes it has."""

    media_type: str
    digest: str
    size: int
    platform: Platform | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """One image: its configuration and its compressed layers, lowest first."""

    config: Descriptor
    layers: tuple[Descriptor, ...]


@dataclass(frozen=True)
class Index:
    """Several images under one name, mostly for several platforms."""

    manifests: tuple[Descriptor, ...]

    def choose(self, want: Platform, what: str) -> Descriptor:
        """The best manifest for `want`; `what` names the image in the error that lists the rest."""
        chosen = platforms.choose([entry.platform for entry in self.manifests], want)
        if chosen is not None:
            return self.manifests[chosen]
        offered = sorted({str(m.platform) for m in self.manifests if m.platform})
        raise not_for_platform(what, want, [name for name in offered if "unknown" not in name])


@dataclass(frozen=True)
class Config:
    """What the configuration of an image says, as far as pulling needs it."""

    document: Mapping[str, Any]
    diff_ids: tuple[str, ...]
    platform: Platform | None
    created: float | None  # seconds since the epoch


def not_for_platform(what: str, want: Platform, offered: list[str]) -> SwarmError:
    """No image for `want`; lists the platforms that there are images for."""
    return SwarmError(
        Code.NOT_FOUND,
        f"{what} has no image for {want}",
        why=f"it is offered for {', '.join(offered)}" if offered else "it names no platform",
        remedy="choose another image, or name one of those platforms",
    )


def malformed(what: str, why: str) -> SwarmError:
    """Content that was delivered as asked for, but is not what it claims to be."""
    return SwarmError(
        Code.INVALID, f"{what} is malformed", why=why, remedy="push or save the image again"
    )


def parse(body: bytes, media_type: str, what: str) -> Manifest | Index:
    """The manifest or index in `body`, which came as `media_type` (may be empty)."""
    document = _object(body, what)
    version = document.get("schemaVersion")
    if version == 1:
        raise SwarmError(
            Code.UNSUPPORTED,
            f"{what} has a manifest of schema 1",
            why="that format has been obsolete since 2017 and cannot be verified",
            remedy="push the image again with a present-day tool",
        )
    if version != 2:  # noqa: PLR2004
        raise malformed(what, f"schemaVersion is {version!r} and not 2")
    declared = document.get("mediaType") or media_type
    if "manifests" in document and ("layers" in document or "config" in document):
        raise malformed(what, "it could be an index as well as a manifest")
    if "manifests" in document:
        if declared and declared not in INDEX_TYPES:
            raise malformed(what, f"it holds an index, but its type is {declared!r}")
        return Index(tuple(_descriptor(m, what) for m in _array(document, "manifests", what)))
    if declared in INDEX_TYPES:
        raise malformed(what, f"its type is {declared!r}, but it holds no manifests")
    return _manifest(document, what)


def parse_config(body: bytes, layers: int | None, what: str) -> Config:
    """The configuration in `body`, of an image of so many layers (None: not known before)."""
    document = _object(body, what)
    rootfs = document.get("rootfs")
    if not isinstance(rootfs, dict):
        raise malformed(what, "its configuration has no rootfs")
    diff_ids = tuple(_array(rootfs, "diff_ids", what, optional=True))
    if not all(isinstance(each, str) and digests.is_valid(each) for each in diff_ids):
        raise malformed(what, "rootfs.diff_ids holds what is no digest")
    if layers is not None and len(diff_ids) != layers:
        raise malformed(what, f"{layers} layers in the manifest, {len(diff_ids)} in the rootfs")
    return Config(document, diff_ids, _platform(document), _moment(document.get("created")))


def _manifest(document: Mapping[str, Any], what: str) -> Manifest:
    config = _descriptor(document.get("config"), what)
    layers = tuple(_descriptor(layer, what) for layer in _array(document, "layers", what))
    if config.media_type not in (OCI_CONFIG, DOCKER_CONFIG):
        raise SwarmError(
            Code.INVALID,
            f"{what} is not an image of a container",
            why=f"its configuration is of type {config.media_type!r}",
        )
    if config.size > MAX_DOCUMENT:
        raise malformed(what, f"its configuration is larger than {MAX_DOCUMENT >> 20} MiB")
    if len(layers) > MAX_LAYERS:
        raise malformed(what, f"{len(layers)} layers are more than the {MAX_LAYERS} of overlayfs")
    for layer in layers:
        if not is_layer(layer.media_type):
            raise SwarmError(
                Code.UNSUPPORTED, f"{what} has a layer of unknown type", why=layer.media_type
            )
    return Manifest(config, layers)


def is_layer(media_type: str) -> bool:
    """Whether this is a layer that can be unpacked: a tar, plain or with gzip or zstd."""
    return any(
        media_type.startswith(prefix) and media_type.removeprefix(prefix) in _COMPRESSIONS
        for prefix in _LAYER_PREFIXES
    )


def _object(body: bytes, what: str) -> dict[str, Any]:
    if len(body) > MAX_DOCUMENT:
        raise malformed(what, f"larger than {MAX_DOCUMENT >> 20} MiB")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise malformed(what, f"not JSON ({error})") from error
    if not isinstance(document, dict):
        raise malformed(what, "not a JSON object")
    return document


def _array(
    document: Mapping[str, Any], key: str, what: str, *, optional: bool = False
) -> list[Any]:
    value = document.get(key)
    if value is None and optional:
        return []
    if not isinstance(value, list):
        raise malformed(what, f"{key} is not a list")
    return value


def _descriptor(value: object, what: str) -> Descriptor:
    if not isinstance(value, dict):
        raise malformed(what, "a descriptor is missing")
    media_type, digest, size = (value.get(key) for key in ("mediaType", "digest", "size"))
    if not isinstance(media_type, str):
        raise malformed(what, "a descriptor has no mediaType")
    if not isinstance(digest, str) or not digests.is_valid(digest):
        raise malformed(what, f"{digest!r} is not a digest")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= _MAX_BLOB:
        raise malformed(what, f"{size!r} is not a size")
    notes = value.get("annotations")
    annotations = {k: v for k, v in notes.items() if isinstance(v, str)} if (
        isinstance(notes, dict)
    ) else {}  # fmt: skip
    return Descriptor(media_type, digest, size, _platform(value.get("platform")), annotations)


def _platform(value: object) -> Platform | None:
    if not isinstance(value, dict):
        return None
    os, architecture, variant = (value.get(key) for key in ("os", "architecture", "variant"))
    if not isinstance(architecture, str) or not architecture:
        return None
    return platforms.normalise(
        os if isinstance(os, str) else "",
        architecture,
        variant if isinstance(variant, str) else "",
    )


def _moment(value: object) -> float | None:
    if not isinstance(value, str):
        return None
    try:
        return datetime.fromisoformat(value).timestamp()
    except (ValueError, OverflowError):
        return None
