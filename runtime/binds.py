"""Folders of the host that a container is to see, looked at before anything is made."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from api.errors import SwarmError, invalid
from hostkit.together import together
from runtime import mounts
from runtime.driver import ContainerRequest
from runtime.volume.look import look


async def answer(request: ContainerRequest) -> None:
    """DEADLINE if the file system of one does not answer: it would hold whoever asks for good."""
    found = mounts.binds_to_check(request.spec)
    await together(*(_answers(field, source) for field, source, _ in found))


async def _answers(field: str, source: Path) -> None:
    try:
        await look(source)
    except SwarmError as error:
        raise SwarmError(
            error.code,
            f"{source} does not answer",
            why=str(error),
            remedy="check the storage behind it",
            field=field,
        ) from error


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
