"""Makes a node of a lab's host: nothing is installed, for its files are this machine's, swarmd's
too. What is left of a host's provisioning is its settings, and that its daemon runs with them.
"""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from api.errors import Code, SwarmError, invalid
from hostkit import clock
from machine.drivers.lab import form
from machine.drivers.lab.host import LabHost
from machine.drivers.lab.record import write_atomically
from machine.provisioning import Change, Kind, Problem, Tell, Wanted
from machine.remote import Remote
from machine.steps.state import leave
from machine.toml_text import toml

_ANSWERS = 90.0
"""Seconds that a daemon has until it answers."""
_STEP = 0.1
_LABS_OWN = frozenset({"state_dir", "run_dir", "cgroup_parent"})


@dataclass(frozen=True)
class Seen:
    """What a host has: its settings, and the version of the daemon that answers; "" if none."""

    settings: str
    version: str


def due(seen: Seen, settings: str, version: str) -> list[Change]:
    """What is not as it is to be. Pure."""
    changes = []
    if seen.settings != settings:
        changes.append(Change(Kind.CHANGE, "settings", "write the settings of swarmd"))
    if not seen.version:
        changes.append(Change(Kind.ADD, "service", "start swarmd", "it does not answer"))
    elif changes or seen.version != version:
        why = "the settings changed" if changes else f"it runs {seen.version}"
        changes.append(Change(Kind.RESTART, "service", "restart swarmd", why))
    return changes


def text_of(wanted: Wanted, host: str) -> str:
    """The settings as they are written; INVALID or UNSUPPORTED for what a lab cannot do. Pure."""
    if wanted.wheel is not None:
        raise SwarmError(
            Code.UNSUPPORTED,
            f"{host} cannot run another version than this swarmctl",
            why="a host of a lab has the files of its machine, swarmd's too",
            remedy="install that version here",
        )
    if wanted.hostname not in ("", host):
        raise invalid(
            "set-hostname",
            f"a host of a lab is called as there: {host}",
            remedy="leave --set-hostname out",
        )
    _refuse(wanted.settings)
    return toml(wanted.settings)


class LabProvisioner:
    """Of one host; see Provisioner. It goes there by the lab's own ways, not by the Remote."""

    def __init__(self, host: LabHost) -> None:
        self._host = host

    async def problems(self, remote: Remote, wanted: Wanted) -> Sequence[Problem]:
        """None: what this machine lacks, the lab says when it makes the host."""
        return ()

    async def changes(self, remote: Remote, wanted: Wanted) -> Sequence[Change]:
        """See Provisioner."""
        return due(await self._look(), text_of(wanted, self._host.name), wanted.version)

    async def prepare(self, remote: Remote, wanted: Wanted, tell: Tell) -> Sequence[Change]:
        """Nothing of it takes long."""
        return ()

    async def apply(self, remote: Remote, wanted: Wanted, tell: Tell) -> Sequence[Change]:
        """See Provisioner. The daemon is stopped before its settings change: one that runs has
        been started with what is written, wherever this was cut off.
        """
        text = text_of(wanted, self._host.name)
        seen = await self._look()
        changes = due(seen, text, wanted.version)
        for change in changes:
            tell(f"{change.kind.value} {change.what}")
        if changes:
            await self._host.stop_daemon()
            if seen.settings != text:
                write_atomically(self._host.paths.settings, text)
            await self._host.start_daemon()
        await self._answers(wanted.version)
        return changes

    async def roll_back(self, remote: Remote, tell: Tell) -> str:
        """Refused."""
        raise SwarmError(
            Code.UNSUPPORTED,
            f"{self._host.name} has no version to go back to",
            why="a host of a lab runs what is installed on its machine",
            remedy="install the other version here, then: swarmctl machine provision",
        )

    async def remove(self, remote: Remote, tell: Tell, *, force: bool = False) -> None:
        """Nothing was brought there that does not go with the host; nor is that refused."""
        if force:
            await leave(remote, str(self._host.paths.swarm_socket), tell)

    async def _look(self) -> Seen:
        """A daemon that has just been started is given the time to answer."""
        with contextlib.suppress(SwarmError):
            await self._host.wait_for_socket(self._host.paths.swarm_socket, _ANSWERS)
        path = self._host.paths.settings
        settings = path.read_text(encoding="utf-8") if path.exists() else ""
        return Seen(settings, await form.version(self._host))

    async def _answers(self, version: str) -> None:
        end = clock.monotonic() + _ANSWERS
        await self._host.wait_for_socket(self._host.paths.swarm_socket, _ANSWERS)
        while (told := await form.version(self._host)) != version:
            if clock.monotonic() >= end:
                raise SwarmError(
                    Code.INTERNAL,
                    f"swarmd of {self._host.name} does not answer as version {version}",
                    why=f"it answers as {told}" if told else self._host.last_words(),
                    remedy=f"see {self._host.paths.daemon_log}",
                )
            await asyncio.sleep(_STEP)


def _refuse(settings: Mapping[str, Any]) -> None:
    for name in sorted(_LABS_OWN & set(settings)):
        raise invalid("setting", f"{name} of a host of a lab is the lab's", remedy="leave it out")
