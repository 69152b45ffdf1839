"""Folders of the host that a container is to see, looked at before anything is made."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

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


def settle(found: Iterable[dict[str, Any]]) -> None:
    """Of mounts in a runtime configuration: nothing is below a file, and crun takes one that is to
    be read-only with all below it for a folder.
    """
    for mount in found:
        options = mount["options"]
        if "rro" in options and not Path(mount["source"]).is_dir():
            options[options.index("rro")] = "ro"
