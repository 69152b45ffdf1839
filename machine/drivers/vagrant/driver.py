"""Hosts that are virtual machines of a Vagrantfile: made, started and removed by `vagrant`."""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from api.errors import Code, SwarmError, invalid
from hostkit.process import run
from machine import turns
from machine.driver import MachineDriver, MachineHost, Option, State
from machine.drivers.vagrant.said import address_in, is_missing, state_in, target_in
from machine.target import Target

_ASK = 60.0
_UP = 1800.0
"""Seconds. A box may have to be fetched, and an emulated machine boots for minutes."""
_DOWN = 300.0
_ADDRESSES = "ip -4 route show default; ip -o -4 addr show scope global"


class Vagrant:
    """Tells of itself; see DriverKind."""

    name = "vagrant"
    help = "a virtual machine of a Vagrantfile"
    has_power = True
    options: Sequence[Option] = (
        Option("folder", "Folder of the Vagrantfile", default=".", is_path=True),
        Option("machine", "Name of the machine in the Vagrantfile [as the machine's]", default=""),
        Option("provider", "Vagrant's provider, as libvirt [the Vagrantfile's]", default=""),
        Option("address", "Address at which other hosts reach it [as SSH does]", default=""),
    )

    def driver(self, options: Mapping[str, Any], folder: Path) -> MachineDriver:
        """See DriverKind."""
        where = Path(str(options.get("folder") or ".")).absolute()
        if not (where / "Vagrantfile").is_file():
            raise invalid(
                "vagrant-folder", f"there is no Vagrantfile in {where}", remedy="name its folder"
            )
        return VagrantDriver(
            where,
            machine=str(options.get("machine", "")),
            provider=str(options.get("provider", "")),
            address=str(options.get("address", "")),
        )


VAGRANT = Vagrant()


class VagrantDriver:
    """Of one Vagrantfile; see MachineDriver."""

    def __init__(
        self, folder: Path, *, machine: str = "", provider: str = "", address: str = ""
    ) -> None:
        self._folder = folder
        self._machine = machine
        self._provider = provider
        self._address = address

    def host(self, name: str) -> MachineHost:
        """See MachineDriver."""
        return self._host(name)

    async def create(self, name: str) -> MachineHost:
        """See MachineDriver."""
        host = self._host(name)
        await host.start()
        await host.target()
        return host

    async def remove(self, name: str) -> None:
        """See MachineDriver."""
        host = self._host(name)
        if await host.is_made():
            await host.vagrant("destroy", "-f", timeout=_DOWN)

    def _host(self, name: str) -> "VagrantHost":
        return VagrantHost(name, self._folder, self._machine or name, self._provider, self._address)


class VagrantHost:
    """See MachineHost. `machine`: its name in the Vagrantfile."""

    def __init__(self, name: str, folder: Path, machine: str, provider: str, address: str) -> None:
        self.name = name
        self._folder = folder
        self._machine = machine
        self._provider = provider
        self._address = address

    @property
    def address(self) -> str:
        """As the operator said it; once SSH's was asked for, that."""
        return self._address

    async def state(self) -> State:
        """What Vagrant says; one that was not made yet is stopped."""
        return await self.known_state() or State.STOPPED

    async def known_state(self) -> State | None:
        """What Vagrant says; None of one that was not made yet."""
        output = await self.vagrant("status", "--machine-readable", timeout=_ASK)
        return state_in(output, self._machine)

    async def is_made(self) -> bool:
        """Whether there is something to destroy, be it in a state that nobody knows."""
        output = await self.vagrant("status", "--machine-readable", timeout=_ASK)
        return not is_missing(output, self._machine)

    async def target(self) -> Target:
        """See MachineHost."""
        if await self.known_state() is not State.RUNNING:
            raise SwarmError(
                Code.UNAVAILABLE,
                f"{self.name} does not run",
                why="Vagrant says how to get into a machine only while it runs",
                remedy=f"start it: swarmctl machine start {self.name}",
            )
        target = target_in(await self.vagrant("ssh-config", timeout=_ASK), self._machine)
        self._address = self._address or await self._seen_by_others(target.host)
        return target

    async def _seen_by_others(self, host: str) -> str:
        """Its address, where SSH goes to a port of this machine; UNAVAILABLE if it has none."""
        if not host.startswith("127."):
            return host
        address = address_in(await self.vagrant("ssh", "-c", _ADDRESSES, timeout=_ASK))
        if not address:
            raise SwarmError(
                Code.UNAVAILABLE,
                f"{self.name} has no address at which it is reached",
                why="it is in no network but the one that Vagrant forwards its SSH port from",
                remedy="give it a private_network in the Vagrantfile, or name the address: "
                "--vagrant-address",
            )
        return address

    async def start(self) -> None:
        """Makes it, if it is not there yet, and boots it. The Vagrantfile's provisioners run."""
        provider = (f"--provider={self._provider}",) if self._provider else ()
        # Processes side by side would make the networks of a provider twice.
        async with turns.turn(self._folder, f"the machines of {self._folder}", patience=_UP):
            await self.vagrant("up", *provider, timeout=_UP)

    async def stop(self) -> None:
        """Shuts it down in order."""
        await self.vagrant("halt", timeout=_DOWN)

    async def kill(self) -> None:
        """Power failure."""
        await self.vagrant("halt", "--force", timeout=_DOWN)

    async def vagrant(self, verb: str, *words: str, timeout: float) -> str:
        """What a command about this machine says."""
        if shutil.which("vagrant") is None:
            raise SwarmError(
                Code.UNSUPPORTED,
                f"{self.name} is a machine of Vagrant, which is not here",
                remedy="install it: apt-get install vagrant, and a provider, as vagrant-libvirt",
            )
        argv = ["vagrant", verb, *words, self._machine]
        # Our own Vagrantfile would make a swarm of its machines, which is somebody else's work now.
        environment = {**os.environ, "SWARM_APPLY": "no"}
        return (await run(argv, timeout=timeout, cwd=self._folder, env=environment)).text
