"""The image of a task's container: what is here, else from its registry."""

import logging

from api.errors import Code, SwarmError
from api.v1 import specs_pb2
from runtime.image.store import ImageStore, StoredImage
from worker.logins import login_of

log = logging.getLogger(__name__)


async def image_of(images: ImageStore, spec: specs_pb2.ContainerSpec) -> StoredImage:
    """The image by its digest if it is pinned; what is here under that needs no registry.

    NOT_FOUND, whatever the registry says.
    """
    return await _had(images, spec.pinned_image.reference or spec.image, spec.image, spec)


async def mounted_images(
    images: ImageStore, spec: specs_pb2.ContainerSpec
) -> dict[str, StoredImage]:
    """The images that are mounted in the container, by their places in it; as `image_of`, with the
    same login.
    """
    return {
        each.target: await _had(images, each.source, each.source, spec)
        for each in spec.mounts
        if each.type == specs_pb2.Mount.TYPE_IMAGE
    }


async def _had(
    images: ImageStore, name: str, said: str, spec: specs_pb2.ContainerSpec
) -> StoredImage:
    try:
        return images.get(name)
    except SwarmError as error:
        if error.code is not Code.NOT_FOUND:
            raise
    login = login_of(spec)
    log.info("pulling %s", name)
    try:
        return await images.pull(name, credentials=login)
    except SwarmError as error:
        # Never temporary: another node may be able to get it, and Docker says it so.
        why = f"{error.what}: {error.why}" if error.why else error.what
        raise SwarmError(
            Code.NOT_FOUND, f"No such image: {said}", why=why, remedy=error.remedy
        ) from error
