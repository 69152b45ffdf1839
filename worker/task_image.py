"""The image of a task's container: what is here, else from its registry."""

import logging

from api.errors import Code, SwarmError
from api.v1 import host_pb2, specs_pb2
from runtime.image.store import ImageStore, StoredImage
from worker.executor import Progress
from worker.logins import login_of

log = logging.getLogger(__name__)


class Coming:
    """What has come of the images of one task, from what the image store tells of each layer."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._layers: dict[str, tuple[int, int]] = {}
        self._most = 0

    def __call__(self, told: host_pb2.ImageProgress) -> None:
        """Passes on that there is more than ever: what comes once more is no progress."""
        if told.status != "downloading":
            return
        self._layers[told.item] = (told.current, told.total)
        came = sum(current for current, _ in self._layers.values())
        if came > self._most:
            self._most = came
            self._progress(came, sum(total for _, total in self._layers.values()))


async def image_of(
    images: ImageStore, spec: specs_pb2.ContainerSpec, coming: Coming
) -> StoredImage:
    """The image by its digest if it is pinned; what is here under that needs no registry.

    NOT_FOUND, whatever the registry says.
    """
    name = spec.pinned_image.reference or spec.image
    return await _had(images, name, spec.image, spec, coming)


async def mounted_images(
    images: ImageStore, spec: specs_pb2.ContainerSpec, coming: Coming
) -> dict[str, StoredImage]:
    """The images that are mounted in the container, by their places in it; as `image_of`, with the
    same login.
    """
    return {
        each.target: await _had(images, each.source, each.source, spec, coming)
        for each in spec.mounts
        if each.type == specs_pb2.Mount.TYPE_IMAGE
    }


async def _had(
    images: ImageStore, name: str, said: str, spec: specs_pb2.ContainerSpec, coming: Coming
) -> StoredImage:
    try:
        return images.get(name)
    except SwarmError as error:
        if error.code is not Code.NOT_FOUND:
            raise
    login = login_of(spec)
    log.info("pulling %s", name)
    try:
        return await images.pull(name, progress=coming, credentials=login)
    except SwarmError as error:
        # Never temporary: another node may be able to get it, and Docker says it so.
        why = f"{error.what}: {error.why}" if error.why else error.what
        raise SwarmError(
            Code.NOT_FOUND, f"No such image: {said}", why=why, remedy=error.remedy
        ) from error
