"""What an image's name means on its registry just now: a digest, and platforms. Pulls nothing."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runtime.image import manifest as manifests
from runtime.image.manifest import Index
from runtime.image.platforms import Platform
from runtime.image.reference import Reference

if TYPE_CHECKING:  # see runtime.image.asking
    from runtime.image.registry import Registry

_ALSO_RUN_BY = {"386": "amd64", "arm": "arm64"}
"""Processors that run images of another one too, as runtime/image/platforms.py accepts them."""
_UNKNOWN = "unknown"
"""The platform of what is no image, as an attestation beside one."""


@dataclass(frozen=True)
class Identity:
    """`reference`: the name with the digest. `platforms`: of hosts that can run it; none: any."""

    reference: str
    platforms: tuple[Platform, ...]


async def identify(registry: "Registry", name: Reference) -> Identity:
    """Asks the registry; SwarmError if it cannot be had there, or is no image."""
    what = f"image {name.familiar()}"
    document = await registry.manifest(name.digest or name.tag)
    parsed = manifests.parse(document.body, document.media_type, what)
    if isinstance(parsed, Index):
        offered = [each.platform for each in parsed.manifests]
    else:
        body = await registry.document(parsed.config)
        offered = [manifests.parse_config(body, len(parsed.layers), what).platform]
    known = [each for each in offered if each is not None and each.architecture != _UNKNOWN]
    pinned = Reference(name.domain, name.path, name.tag, document.digest)
    return Identity(pinned.familiar(), tuple(_hosts(known)))


def _hosts(offered: Iterable[Platform]) -> Iterable[Platform]:
    """The hosts' platforms, each once, without variants: a host does not tell its own."""
    found: dict[Platform, None] = {}
    for each in offered:
        for architecture in (each.architecture, _ALSO_RUN_BY.get(each.architecture)):
            if architecture is not None:
                found[Platform(each.os, architecture)] = None
    return found
