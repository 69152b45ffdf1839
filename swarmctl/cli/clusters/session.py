"""The hosts of a cluster file, reached over SSH for the time of one command, and looked at."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from getpass import getuser
from pathlib import Path

from api.errors import Code, SwarmError
from hostkit.clock import boot, monotonic
from machine.certs.host_papers import host_papers, is_certified_here, settings
from machine.distribution.bundle import check
from machine.distribution.own import Distribution, given, own
from machine.provision import Installer
from machine.provisioning import Wanted
from machine.remote import Remote
from machine.ssh.connection import Circumstances
from machine.ssh.host_keys import KnownHosts
from machine.ssh.remote import SshRemote
from machine.store.machine import Machine
from machine.store.store import Store
from machine.swarm.hands import RemoteHands
from machine.swarm.lock import Lock
from machine.swarm.look import Look, Ways, in_scope
from machine.swarm.seen import Seen
from machine.swarm.waits import Patience
from machine.swarm.wanted import HostWanted, SwarmWanted
from swarmctl.cli.commands.machine.asking import keyring, tell_pinned


@dataclass(frozen=True)
class Means:
    """What the operator brings along."""

    limit: Sequence[str] = ()
    together: int = 10
    distribution: Path | None = None  # a wheel of ours; None: what this program is
    bundle: Path | None = None
    patience: Patience = field(default_factory=Patience)


class Session:
    """One command's. Made by `opened` alone."""

    def __init__(self, wanted: SwarmWanted, means: Means, store: Store) -> None:
        self.wanted = wanted
        self.means = means
        self.store = store
        self.installer = Installer(who())
        self._distribution: Distribution | None = None
        self.ways: Ways = {}

    @property
    def distribution(self) -> Distribution:
        """What is installed where another version is wanted than runs."""
        if self._distribution is None:
            wheel = self.means.distribution
            self._distribution = given(wheel) if wheel else own()
        return self._distribution

    @property
    def remotes(self) -> dict[str, Remote]:
        """The ways to the hosts that were reached."""
        ways = self.ways.items()
        return {name: way for name, way in ways if not isinstance(way, SwarmError)}

    def install(self, host: HostWanted, version: str) -> Wanted | None:
        """What a host is to have that runs this version; None: it is not to be touched."""
        if self.means.limit and host.name not in self.means.limit:
            return None
        version = self.wanted.version or version or self.distribution.version
        is_other = version == self.distribution.version and self.means.distribution is not None
        return Wanted(
            version=version,
            settings={**settings(), **host.swarmd},
            hostname=host.hostname,
            bundle=self.means.bundle,
            files=self._papers(host),
            wheel=self.means.distribution if is_other else None,
        )

    async def look(self) -> Seen:
        """Every host, and what a manager tells of nodes."""
        look = Look(
            self.wanted, self.ways, self.installer, self.install, together=self.means.together
        )
        return await look.take()

    async def ask(self) -> Seen:
        """The same without what is installed on the hosts."""
        look = Look(self.wanted, self.ways, self.installer, _nothing, together=self.means.together)
        return await look.take()

    def hands(self, seen: Seen) -> RemoteHands:
        """What carries out a plan that was made of this."""
        return RemoteHands(
            self.wanted,
            seen,
            self.remotes,
            self.installer,
            self.install,
            patience=self.means.patience,
            clock=monotonic,
        )

    def certified(self, host: HostWanted) -> Machine | None:
        """The machine of the store that the host is, if our own authority certifies its API."""
        machine = self.store.get(host.name) if self.store.has(host.name) else None
        if machine is None or machine.target.host != host.target.host:
            return None
        return machine if is_certified_here(self.store, machine) else None

    def lock(self, doing: str, message: str) -> Lock:
        """The lock on every host that was reached; `doing`: as "apply of prod"."""
        text = f"{who()}: {doing}" + (f" ({message})" if message else "")
        managers = [each.name for each in self.wanted.managers()]
        return Lock(os.urandom(16).hex(), text, self.remotes, managers, boot)

    def _papers(self, host: HostWanted) -> tuple[tuple[str, bytes, int], ...]:
        """For the host's API, if it is a machine of this store: whose authority else would sign?"""
        machine = self.certified(host)
        if machine is None:
            return ()
        return tuple((f.path, f.content, f.mode) for f in host_papers(self.store, machine).files)


@contextlib.asynccontextmanager
async def opened(wanted: SwarmWanted, means: Means) -> AsyncIterator[Session]:
    """Ways to the hosts of the file, of `limit` and of the managers if there is one. A host that is
    not reached is no error here; NOT_FOUND for a name of `limit` that is no host of the file,
    INVALID if wheel and bundle are not what they should be.
    """
    _all_known(wanted, means.limit)
    session = Session(in_scope(wanted, means.limit), means, Store.open())
    if means.bundle is not None:
        check(means.bundle, session.distribution.path)
    around = Circumstances(KnownHosts(session.store.known_hosts), keyring(), tell_pinned)
    free = asyncio.Semaphore(means.together)

    async def way(host: HostWanted) -> Remote | SwarmError:
        async with free:
            try:
                return await SshRemote.connect(host.name, host.target, around)
            except SwarmError as error:
                return error

    try:
        found = await asyncio.gather(*map(way, session.wanted.hosts.values()))
        session.ways = dict(zip(session.wanted.hosts, found, strict=True))
        yield session
    finally:
        closing = (each.close() for each in session.remotes.values())
        await asyncio.gather(*closing, return_exceptions=True)


def _all_known(wanted: SwarmWanted, names: Sequence[str]) -> None:
    unknown = [each for each in names if each not in wanted.hosts]
    if unknown:
        raise SwarmError(
            Code.NOT_FOUND,
            f"there is no host {', '.join(unknown)} in the cluster file",
            remedy="name hosts as it does",
        )


def _nothing(host: HostWanted, version: str) -> None:
    """What is installed on hosts that are only asked."""


def who() -> str:
    """The operator, as hosts and colleagues are told."""
    try:
        user = getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
