"""Finds the image that a reference means on a registry, and says how to get its layers."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from api.v1 import host_pb2
from runtime.image import manifest as manifests
from runtime.image import platforms
from runtime.image.layers import Obtain, Progress
from runtime.image.manifest import Config, Descriptor, Manifest
from runtime.image.platforms import Platform
from runtime.image.reference import Reference
from runtime.image.unpacker import Part

if TYPE_CHECKING:  # see runtime.image.asking
    from runtime.image.registry import Registry

_MAX_NESTING = 4


@dataclass(frozen=True)
class Resolved:
    """An image on a registry: `digest` is that of the manifest or index that its name leads to."""

    digest: str
    manifest: Manifest
    config: Config
    config_body: bytes


async def resolve(registry: "Registry", reference: Reference, want: Platform) -> Resolved:
    """The image for `want` behind `reference`. SwarmError says what is wrong with it."""
    what = f"image {reference.familiar()}"
    document = await registry.manifest(reference.digest or reference.tag)
    top = document.digest
    for _ in range(_MAX_NESTING):
        parsed = manifests.parse(document.body, document.media_type, what)
        if isinstance(parsed, Manifest):
            break
        document = await registry.manifest(parsed.choose(want, what).digest)
    else:
        raise manifests.malformed(what, "indexes within indexes without end")
    body = await registry.document(parsed.config)
    config = manifests.parse_config(body, len(parsed.layers), what)
    if config.platform is not None and not platforms.runs_on(config.platform, want):
        raise manifests.not_for_platform(what, want, [str(config.platform)])
    return Resolved(top, parsed, config, body)


def downloading(registry: "Registry", layer: Descriptor, target: Path) -> Obtain:
    """How to get one layer: into the file `target`, which may hold a part of it already."""

    async def obtain(publish: Progress) -> Part:
        def report(size: int) -> None:
            publish(
                host_pb2.ImageProgress(
                    item=layer.digest, status="downloading", current=size, total=layer.size
                )
            )

        await registry.download(layer, target, report)
        return Part(target, 0, layer.size)

    return obtain
