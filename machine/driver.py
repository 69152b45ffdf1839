"""What every source of hosts can do: give them, take them back, and move their power switch.

A driver knows nothing of swarms; what is installed on a host and started there is the business
of the modules that use one. Drivers for `swarmctl machine` may be of others: a package offers a
DriverKind as an entry point of the group `swarm.machine_drivers` (docs/how-to).
"""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from machine.provisioning import Provisioner
from machine.target import Target


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


@dataclass(frozen=True)
class Option:
    """One thing that a driver wants to be told when it makes a host.

    It becomes the flag `--DRIVER-NAME` and the environment variable DRIVER_NAME, as
    `--generic-ssh-user` and GENERIC_SSH_USER. Its value is in the record of the machine, so it
    must be none that others may not read: a driver takes such from the environment itself.
    """

    name: str  # as "ssh-user"
    help: str
    kind: type[str] | type[int] | type[bool] = str
    default: str | int | bool | None = None
    required: bool = False
    multiple: bool = False  # may be repeated; its value is then a list
    is_path: bool = False  # made absolute: commands are given anywhere
    is_key: bool = False  # a file that is copied into the machine's folder, under its name there


class MachineHost(Host, Protocol):
    """A host that can be installed over SSH."""

    async def target(self) -> Target:
        """How its SSH server is reached now; UNAVAILABLE while that cannot be said."""
        ...


@runtime_checkable
class EnteredHost(Protocol):
    """A MachineHost on this very machine, which is entered from here: it has no SSH server.

    Its daemon is spoken to over its socket, and it knows itself what is to be done to be a node.
    """

    @property
    def socket(self) -> Path:
        """Where its daemon answers, as seen from here."""
        ...

    @property
    def version(self) -> str:
        """The one that its daemon is once it is started anew: it is not installed there."""
        ...

    def entering(self, argv: Sequence[str], *, terminal: bool = False) -> list[str]:
        """What to execute here so that `argv` runs there as root, in the host's environment.

        `terminal`: standard input is a terminal, of which it is to be the foreground job.
        """
        ...

    def provisioner(self) -> Provisioner:
        """Makes a node of it, and of no other host."""
        ...


class MachineDriver(Protocol):
    """Makes, finds and removes one operator's hosts of one kind, as he chose it by options."""

    def host(self, name: str) -> MachineHost:
        """The host of that name, whether it is there or not. Touches nothing."""
        ...

    async def create(self, name: str) -> MachineHost:
        """Make and start a host. It is recorded first: whatever fails, `remove` cleans up.

        A host that is there already, as after a `create` that was cut off, is started and given.
        """
        ...

    async def remove(self, name: str) -> None:
        """Kill the host and delete every trace of it, its disk included. None is no error."""
        ...


class DriverKind(Protocol):
    """What a driver tells of itself, before anybody has chosen it."""

    @property
    def name(self) -> str:
        """As `--driver` takes it: letters, digits and dashes."""
        ...

    @property
    def help(self) -> str:
        """What its hosts are, in a line."""
        ...

    @property
    def options(self) -> Sequence[Option]:
        """What it wants to be told."""
        ...

    @property
    def has_power(self) -> bool:
        """Whether start, stop and kill do something; otherwise they are refused."""
        ...

    def driver(self, options: Mapping[str, Any], folder: Path) -> MachineDriver:
        """The driver as these options make it; INVALID, before anything changes, if they are wrong.

        `folder`: the machine's own in the operator's store, for keys and the like.
        """
        ...
