"""Hosts that are there already, whoever made them: all that is known is how SSH gets there.

Nothing is made and nothing is removed, and nobody here can reach their power switch.
"""

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from api.address import split_address
from api.errors import Code, SwarmError, invalid
from api.host_api import PORT
from machine.driver import MachineDriver, MachineHost, Option, State
from machine.ssh.config import dialled
from machine.ssh.route import SSH_PORT
from machine.target import Target

_DIAL = 3.0
"""Seconds in which a host answers that runs."""


class Generic:
    """Tells of itself; see DriverKind."""

    name = "generic"
    help = "a host that is there already, by its SSH server"
    has_power = False
    options: Sequence[Option] = (
        Option(
            "ip-address", "Address or name of the host, or an alias of ~/.ssh/config", required=True
        ),
        Option("ssh-user", "User who may become root [~/.ssh/config, else root]", default=""),
        Option("ssh-port", "Port of its SSH server [~/.ssh/config, else 22]", kind=int, default=0),
        Option(
            "ssh-key",
            "Private key, copied into the store [the agent's, or your own]",
            default="",
            is_key=True,
        ),
        Option("ssh-jump", "Host to go through, [USER@]HOST[:PORT]; repeatable", multiple=True),
        Option("ssh-host-key", "Fingerprint that the host must show, SHA256:...", default=""),
        Option("ssh-no-agent", "Offer no keys of the agent", kind=bool, default=False),
        Option("engine-port", "Port of the host's own API", kind=int, default=PORT),
    )

    def driver(self, options: Mapping[str, Any], folder: Path) -> MachineDriver:
        """See DriverKind."""
        address = str(options.get("ip-address", ""))
        if not address:
            raise invalid("generic-ip-address", "the address of the host is needed")
        split_address(address, field="generic-ip-address", default_port=SSH_PORT)
        target = Target(
            host=address,
            user=str(options.get("ssh-user", "")),
            port=int(options.get("ssh-port", 0)),
            key=str(folder / key) if (key := str(options.get("ssh-key", ""))) else "",
            jump=tuple(options.get("ssh-jump", ())),
            agent=not options.get("ssh-no-agent", False),
            host_key=str(options.get("ssh-host-key", "")),
        )
        return GenericDriver(target)


GENERIC = Generic()


class GenericDriver:
    """Of one host; see MachineDriver."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def host(self, name: str) -> MachineHost:
        """See MachineDriver."""
        return GenericHost(name, self._target)

    async def create(self, name: str) -> MachineHost:
        """Makes nothing; INVALID if the key is not there."""
        key = self._target.key
        if key and not os.access(key, os.R_OK):
            raise invalid(
                "generic-ssh-key",
                f"cannot read the private key {key}",
                remedy="name another file, or leave it out for the agent's keys",
            )
        return self.host(name)

    async def remove(self, name: str) -> None:
        """The host is not ours: it stays."""


class GenericHost:
    """See MachineHost."""

    def __init__(self, name: str, target: Target) -> None:
        self.name = name
        self._target = target

    @property
    def address(self) -> str:
        """As the operator said it."""
        return self._target.host

    async def target(self) -> Target:
        """See MachineHost."""
        return self._target

    async def state(self) -> State:
        """RUNNING if its SSH server is there; UNAVAILABLE if that does not tell."""
        server = dialled(self._target)
        if server is None:
            raise SwarmError(Code.UNAVAILABLE, f"{self.name} is reached over other hosts only")
        try:
            async with asyncio.timeout(_DIAL):
                _, writer = await asyncio.open_connection(server.host, server.port)
        except (OSError, TimeoutError) as error:
            raise SwarmError(
                Code.UNAVAILABLE,
                f"{self.name} does not answer at {server.host}",
                why=str(error) or f"nothing within {_DIAL:g} s",
            ) from None
        writer.close()
        return State.RUNNING

    async def start(self) -> None:
        """Refused."""
        raise self._no_switch("started")

    async def stop(self) -> None:
        """Refused."""
        raise self._no_switch("stopped")

    async def kill(self) -> None:
        """Refused."""
        raise self._no_switch("killed")

    def _no_switch(self, verb: str) -> SwarmError:
        return SwarmError(
            Code.UNSUPPORTED,
            f"{self.name} cannot be {verb} from here",
            why="its driver is generic, which knows the host's SSH server and no power switch",
            remedy="use the switch, or the console of whoever gave you the host",
        )
