"""Hosts of a lab as machines of an operator's store: entered from here, since they have no SSH.

A lab that was made for machines goes with the last of them.
"""

import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from api.errors import Code, SwarmError, invalid
from machine.distribution import wheel
from machine.driver import MachineHost, State
from machine.drivers.lab import command, disk, naming
from machine.drivers.lab.driver import LabDriver
from machine.drivers.lab.host import LabHost
from machine.drivers.lab.provisioner import LabProvisioner
from machine.provisioning import Provisioner
from machine.target import Target


def check_disk(size: int) -> int:
    """`size` in MiB if a disk may have it, or 0 for none; else INVALID."""
    if size and size < disk.MINIMUM:
        raise invalid("lab-disk", f"a disk has {disk.MINIMUM} MiB at least")
    return size


class LabMachines:
    """Of one host in one lab; see MachineDriver."""

    def __init__(
        self, lab: str, host: str, size: int = 0, *, base: Path = naming.DEFAULT_BASE
    ) -> None:
        self._lab = lab
        self._host = host
        self._size = size
        self._base = base

    def host(self, name: str) -> MachineHost:
        """See MachineDriver."""
        return LabMachine(name, self._lab, self._host, self._base)

    async def create(self, name: str) -> MachineHost:
        """See MachineDriver. Its swarmd is that of this very installation."""
        template = command.with_settings(Path(sys.executable).parent)
        lab = await LabDriver.made_or_found(self._lab, base=self._base, daemon=template)
        await lab.create_all([self._host], daemon=template, disk=self._size)
        return self.host(name)

    async def remove(self, name: str) -> None:
        """See MachineDriver."""
        lab = opened(self._lab, self._base)
        if lab is None:
            return
        if any(each.name == self._host for each in lab.hosts()):
            await lab.remove(self._host)
        await lab.down_if_empty()


class LabMachine:
    """See MachineHost and EnteredHost. Each call looks anew what there is."""

    def __init__(self, name: str, lab: str, host: str, base: Path) -> None:
        self.name = name
        self._lab = lab
        self._host = host
        self._base = base

    @property
    def address(self) -> str:
        """In the lab's own network, which this machine itself is not in; "" before it is made."""
        found = self._found()
        return found.address if found else ""

    @property
    def socket(self) -> Path:
        """See EnteredHost."""
        return naming.HostPaths(self._base, self._lab, self._host).swarm_socket

    @property
    def version(self) -> str:
        """See EnteredHost."""
        return metadata.version(wheel.NAME)

    async def target(self) -> Target:
        """Its address alone: nobody goes there by SSH."""
        return Target(self._there().address)

    async def state(self) -> State:
        """One that is not made yet, or was taken down with its lab, is stopped."""
        found = self._found()
        return await found.state() if found else State.STOPPED

    async def start(self) -> None:
        """Boots it, or lets it go on where it was paused; its daemon runs afterwards."""
        host = self._there()
        if await host.state() is State.PAUSED:
            await host.resume()
        await host.start()
        await host.start_daemon()

    async def stop(self) -> None:
        """Shuts it down: the daemon first, then the rest."""
        if found := self._found():
            await found.stop()

    async def kill(self) -> None:
        """Power failure."""
        if found := self._found():
            await found.kill()

    def entering(self, argv: Sequence[str], *, terminal: bool = False) -> list[str]:
        """See EnteredHost."""
        host = self._there()
        if host.pid() is None:
            raise SwarmError(
                Code.REFUSED,
                f"{self.name} does not run",
                remedy=f"start it: swarmctl machine start {self.name}",
            )
        values = [f"{name}={value}" for name, value in host.environment().items()]
        # Else a program would not know which terminal it draws on.
        clean = ["env", *values] if terminal else ["env", "-i", *values]
        return host.entering([*clean, *argv], terminal=terminal)

    def provisioner(self) -> Provisioner:
        """See EnteredHost."""
        return LabProvisioner(self._there())

    def _found(self) -> LabHost | None:
        lab = opened(self._lab, self._base)
        hosts = lab.hosts() if lab else []
        return next((each for each in hosts if each.name == self._host), None)

    def _there(self) -> LabHost:
        found = self._found()
        if found is None:
            raise SwarmError(
                Code.NOT_FOUND,
                f"lab {self._lab} has no host {self._host}",
                why="it was not made yet, or was taken down",
                remedy=f"make it: swarmctl machine provision {self.name}; "
                f"or forget it: swarmctl machine rm {self.name}",
            )
        return found


def opened(lab: str, base: Path) -> LabDriver | None:
    """The lab of that name; None if there is none."""
    try:
        return LabDriver.open(lab, base=base)
    except SwarmError as error:
        if error.code is not Code.NOT_FOUND:
            raise
        return None
