"""A FUSE file system whose server never answers: who looks into it waits, until it is killed."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from hostkit import mount


@contextlib.contextmanager
def silent_mount(target: Path) -> Iterator[None]:
    """Mounts it on a folder; gone afterwards, and whoever waits gets an error."""
    server = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    try:
        options = f"fd={server},rootmode=40000,user_id=0,group_id=0"
        mount.mount("silent", target, "fuse", options=options)
        try:
            yield
        finally:
            mount.unmount(target)
    finally:
        os.close(server)
