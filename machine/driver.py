"""What every source of hosts can do: give them, take them back, and move their power switch.

A driver knows nothing of swarms; what is installed on a host and started there is the business
of the modules that use one.
"""

import enum
from collections.abc import Sequence
from typing import Protocol


class State(enum.Enum):
    """What a host does, as its driver sees it from outside."""

    RUNNING = "running"
    PAUSED = "paused"  # every process of it is stopped where it stands
    STOPPED = "stopped"  # no process is left; its disk is


class Host(Protocol):
    """One host, running or not. Two of these with one name speak of the same host."""

    @property
    def name(self) -> str:
        """What its driver, and the other hosts, call it."""
        ...

    @property
    def address(self) -> str:
        """IP address at which the other hosts reach it."""
        ...

    async def state(self) -> State:
        """What it does now."""
        ...

    async def start(self) -> None:
        """Boot it, with its disk as it was. A running host stays as it is."""
        ...

    async def stop(self) -> None:
        """Shut it down in order. A stopped host stays as it is."""
        ...

    async def kill(self) -> None:
        """Power failure: nobody, inside or outside, is told. A stopped host stays as it is."""
        ...


class Driver(Protocol):
    """Makes, finds and removes hosts of one kind."""

    def hosts(self) -> Sequence[Host]:
        """Every host it made, also those that a crash left half-made."""
        ...

    def host(self, name: str) -> Host:
        """The host of that name; NOT_FOUND if there is none."""
        ...

    async def create(self, name: str) -> Host:
        """Make and start a host. It is recorded first: whatever fails, `remove` cleans up."""
        ...

    async def remove(self, name: str) -> None:
        """Kill the host and delete every trace of it, its disk included."""
        ...
