"""Folders of the host that a container is to see, looked at before anything is made."""

from collections.abc import Iterable
from pathlib import Path

from api.errors import invalid
from runtime import mounts
from runtime.driver import ContainerRequest


def check(request: ContainerRequest) -> None:
    """Makes those that are to be made; INVALID if one is not there, or cannot be made."""
    for field, source, make in mounts.binds_to_check(request.spec):
        if source.exists():
            continue
        if not make:
            raise invalid(
                field,
                f"{source} does not exist on this host",
                remedy="make it, or have it made with bind-create-src",
            )
        try:
            source.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise invalid(field, f"{source} cannot be made", why=str(error)) from None


def settle(found: Iterable[mounts.Mount]) -> None:
    """Changes the mounts of a container to what is there: crun takes no file to be read-only with
    all below it, and nothing is below a file.
    """
    for mount in found:
        if mounts.ALL_READ_ONLY in mount["options"] and not Path(mount["source"]).is_dir():
            mount["options"] = [
                mounts.READ_ONLY if option == mounts.ALL_READ_ONLY else option
                for option in mount["options"]
            ]
