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
    name = spec.pinned_image.reference or spec.image
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
            Code.NOT_FOUND, f"No such image: {spec.image}", why=why, remedy=error.remedy
        ) from error
