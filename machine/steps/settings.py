"""swarmd.toml: the text that is written, and what steps have to know of it. Pure."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from api.errors import Code, SwarmError
from machine import toml_text
from machine.layout import SETTINGS, STATE

HEAD = "# Written by swarmctl, which at its next run puts back what is changed here.\n"
_RUN, _CGROUP = "/run/swarm", "/swarm"
_SOCKET = "swarmd.sock"


@dataclass(frozen=True)
class Folders:
    """Where a daemon keeps what."""

    state: str = STATE
    run: str = _RUN
    cgroup: str = _CGROUP

    @property
    def socket(self) -> str:
        """Where it answers."""
        return f"{self.run}/{_SOCKET}"

    @property
    def membership(self) -> str:
        """The file that is there while it is in a swarm, whether it runs or not."""
        return f"{self.state}/swarm/membership.json"


def text(settings: Mapping[str, Any]) -> bytes:
    """The content of the file."""
    return (HEAD + toml_text.toml(settings)).encode()


def folders_of(content: bytes) -> Folders:
    """The folders of a daemon with that file; those by default where it cannot be read."""
    try:
        return folders(settings_of(content))
    except SwarmError:
        return Folders()


def settings_of(content: bytes) -> dict[str, Any]:
    """What the file says; INVALID if it cannot be read."""
    try:
        return tomllib.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise SwarmError(
            Code.INVALID,
            f"{SETTINGS} of the host cannot be read",
            why=str(error),
            remedy="mend it there, or move it away",
        ) from None


def folders(settings: Mapping[str, Any]) -> Folders:
    """The folders of a daemon with these settings."""
    return Folders(
        str(settings.get("state_dir", STATE)),
        str(settings.get("run_dir", _RUN)),
        str(settings.get("cgroup_parent", _CGROUP)),
    )
