"""Whether a path that a plugin told may be given to a container."""

from collections.abc import Sequence
from pathlib import Path

from api.errors import SwarmError
from runtime.volume.look import DEADLINE, look
from runtime.volume.plugin import faults

_NEVER = (Path("/proc"), Path("/sys"), Path("/dev"), Path("/boot"))


def reason_against(path: Path, kept: Sequence[Path]) -> str:
    """Why no volume is there, all links followed; empty: nothing speaks against it. Pure.

    `kept`: folders of the daemon's own; nothing in them is a plugin's, nor what they lie in.
    """
    if path == Path("/"):
        return "that is the whole host"
    for folder in _NEVER:
        if path.is_relative_to(folder):
            return f"what is in {folder} is no volume"
    for folder in kept:
        if path.is_relative_to(folder) or folder.is_relative_to(path):
            return f"{folder} belongs to swarmd"
    return ""


async def checked(
    name: str, verb: str, told: str, kept: Sequence[Path], timeout: float = DEADLINE
) -> Path:
    """The folder that a plugin told, all links followed; SwarmError if it is none, or not to be
    given away. It is looked at by a child process, for its storage may hang.
    """
    if not told:
        raise faults.lied(name, verb, "it tells no Mountpoint")
    try:
        seen = await look(Path(told), timeout)
    except SwarmError as error:
        raise faults.stuck(name, told, error) from error
    if seen is None:
        raise faults.lied(name, verb, f"nothing is at its Mountpoint {told}")
    if not seen.is_folder:
        raise faults.lied(name, verb, f"its Mountpoint {told} is no folder")
    against = reason_against(seen.path, kept)
    if against:
        raise faults.lied(name, verb, f"its Mountpoint {told} is refused: {against}")
    return seen.path
