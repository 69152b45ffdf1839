"""What the makers of machines and of swarms ask of whoever installs a host.

`machine.provision` fulfils it. What is wanted is data, and so is every answer: nothing here says
how a host is changed, and nothing here knows of swarms.
"""

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from machine.remote import Remote


@dataclass(frozen=True)
class Wanted:
    """What a host is to have when it is a node."""

    version: str  # of our distribution
    settings: Mapping[str, Any] = field(default_factory=dict)  # /etc/swarm/swarmd.toml
    hostname: str = ""  # "": stays as it is
    bundle: Path | None = None  # dependencies for hosts that do not reach PyPI
    files: Sequence[tuple[str, bytes, int]] = field(default=(), repr=False)
    """Further ones (path, content, mode), as those of its API, that swarmd reads anew by itself."""
    wheel: Path | None = None  # our distribution of that version; None: this swarmctl's own


class Kind(enum.Enum):
    """What a change does, by the sign that plans show it with."""

    ADD = "+"
    CHANGE = "~"
    REMOVE = "-"
    RESTART = "!"


@dataclass(frozen=True)
class Change:
    """One thing that is not as wanted: `step` names who mends it, `why` what was found."""

    kind: Kind
    step: str
    what: str
    why: str = ""


@dataclass(frozen=True)
class Problem:
    """Why a host cannot be a node yet, and the exact remedy. `fatal`: nothing may be changed."""

    what: str
    remedy: str
    fatal: bool = True


DETAIL = "  "
LONG = frozenset({"packages", "version"})
"""Steps that take long and touch nothing that runs; `prepare` does them. A version that runs is
made anew only if it could not be started any more.
"""

Tell = Callable[[str], None]
"""Takes one line about what is done now, for progress. One that begins with DETAIL is of a program
that works: of use while it is the last one.
"""


class Provisioner(Protocol):
    """Looks at hosts and makes them nodes. Every call may be repeated; what is right is left."""

    async def problems(self, remote: Remote, wanted: Wanted) -> Sequence[Problem]:
        """Preflight: changes nothing."""
        ...

    async def changes(self, remote: Remote, wanted: Wanted) -> Sequence[Change]:
        """What `apply` would do, in its order; empty: the host is as wanted. Changes nothing."""
        ...

    async def apply(self, remote: Remote, wanted: Wanted, tell: Tell) -> Sequence[Change]:
        """Does it, step by step, each written to the host's journal; returns what was done.

        Goes on where an earlier run was cut off. SwarmError names the step that failed.
        """
        ...

    async def prepare(self, remote: Remote, wanted: Wanted, tell: Tell) -> Sequence[Change]:
        """Of `apply` what takes long and touches nothing that runs; `apply` does the rest."""
        ...

    async def roll_back(self, remote: Remote, tell: Tell) -> str:
        """Makes the version before the present one the present one; returns it. REFUSED if none."""
        ...

    async def remove(self, remote: Remote, tell: Tell, *, force: bool = False) -> None:
        """Takes from the host all that `apply` brought; what was there before stays.

        REFUSED while the host is, or may be, in a swarm; `force`: leaves that first, if it can.
        """
        ...
