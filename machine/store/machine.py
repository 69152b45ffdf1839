"""What the operator's store knows of one machine: how it is reached, what was wanted of it last,
and how far that came. Pure: `now` is given, nothing is read or written.

What runs on a host is never in here: the host is asked.
"""

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from api.errors import SwarmError, invalid
from machine.target import Target

UNIX = "unix://"
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9.-]{0,62}")


class Phase(enum.Enum):
    """How the last work on a machine ended, or that it has not."""

    NEW = "new"  # recorded, and nothing done yet
    CHANGING = "changing"  # being worked on; with nobody at its lock: that work was cut off
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True)
class Wish:
    """What was wanted last: of `machine.provisioning.Wanted` that which outlives one run."""

    version: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)  # of swarmd, as JSON takes them
    labels: Mapping[str, str] = field(default_factory=dict)  # of the node
    hostname: str = ""


@dataclass(frozen=True)
class Machine:
    """One machine. `options` are its driver's, by their names without the dashes of a flag."""

    name: str
    target: Target
    driver: str = "generic"
    options: Mapping[str, Any] = field(default_factory=dict)
    wish: Wish = field(default_factory=Wish)
    phase: Phase = Phase.NEW
    step: str = ""  # being done, or failed at
    error: str = ""  # what it failed with
    version: str = ""  # that was installed last
    api: str = ""  # HOST:PORT of the host's own API, or unix://PATH; "": it has none yet
    names: tuple[str, ...] = ()  # beside the address, that its server certificate is for
    created: float = 0.0  # seconds since 1970
    changed: float = 0.0

    @property
    def is_entered(self) -> bool:
        """Whether it is a part of this workstation: entered from here, without SSH, and spoken to
        over a socket, without certificates.
        """
        return self.api.startswith(UNIX)

    @property
    def url(self) -> str:
        """Where its API is, as SWARM_HOST takes it; "" if it has none yet."""
        return self.api if self.is_entered or not self.api else f"tcp://{self.api}"

    @property
    def api_address(self) -> str:
        """The address that its API is reached at; "" if it is not reached over a network."""
        return "" if self.is_entered else self.api.rpartition(":")[0].strip("[]")

    def at(self, step: str, now: float) -> "Machine":
        """It is being worked on, at this step."""
        return replace(self, phase=Phase.CHANGING, step=step, error="", changed=now)

    def failed(self, error: SwarmError, now: float) -> "Machine":
        """The work failed at the step it was at; `provision` goes on there, `rm` cleans up."""
        return replace(self, phase=Phase.FAILED, error=str(error), changed=now)

    def ready(self, version: str, now: float) -> "Machine":
        """The work is done."""
        return replace(self, phase=Phase.READY, step="", error="", version=version, changed=now)


def check_name(name: str) -> str:
    """The name itself, which is also a folder's; INVALID if it is none."""
    if not _NAME.fullmatch(name):
        raise invalid(
            "name",
            f"{name!r} is no name for a machine",
            why="it takes letters, digits, '-' and '.', begins with a letter or digit, "
            "and has 63 characters at most",
        )
    return name
