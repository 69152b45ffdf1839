"""What a daemon clears up when it has started."""

import logging

from api.errors import SwarmError
from runtime.image.store import ImageStore

logger = logging.getLogger(__name__)


async def tidy(images: ImageStore) -> None:
    """Frees what interrupted pulls of former runs left on the disk."""
    try:
        freed = await images.collect_garbage()
    except (OSError, SwarmError) as error:
        logger.warning("remains of interrupted pulls stay on the disk: %s", error)
    else:
        if freed:
            logger.info("freed %d bytes that interrupted pulls had left", freed)
