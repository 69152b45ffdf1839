"""The lab driver: a swarm's worth of hosts out of namespaces on this one machine.

A lab is recorded before anything of it is made, and each host before it is; whatever crashes,
`down` finds all there is. Several labs may be up at once. It knows nothing of swarms (form.py).
"""

import asyncio
import contextlib
import os
import shutil
import sys
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from api.errors import Code, SwarmError, invalid
from hostkit import cgroup, netns, process
from machine import turns
from machine.drivers.lab import cgroups, command, cuts, etc, naming, network, record, registry
from machine.drivers.lab.host import LabHost
from machine.drivers.lab.naming import LabPaths
from machine.drivers.lab.record import HostRecord, LabRecord

_FORWARD_TIMEOUT = 15.0


class LabDriver:
    """One lab, made by `make` or found by `open`; fulfils machine.driver.Driver."""

    def __init__(self, paths: LabPaths, lab: LabRecord) -> None:
        self.paths = paths
        self._lab = lab

    @classmethod
    def make(
        cls,
        name: str = naming.DEFAULT_LAB,
        *,
        base: Path = naming.DEFAULT_BASE,
        daemon: Sequence[str] | None = None,
        expose: str = "",
        disk: int = 0,
    ) -> "LabDriver":
        """Record a new lab, as yet without hosts. EXISTS if there is one of that name.

        `daemon` is the template of the hosts' daemon (command.py), else swarmd beside this Python.
        `disk`: MiB of each host's disk of its own (disk.py); 0: a directory of this machine.
        """
        need_root()
        paths = record.lab_paths(name, base)
        if expose:
            naming.check_expose(expose)
        template = tuple(daemon) if daemon else command.swarmd(Path(sys.executable).parent)
        with turns.locked(base, f"the list of labs in {base}"):
            return cls._made(paths, template, expose, disk)

    @classmethod
    async def made_or_found(
        cls, name: str, *, base: Path = naming.DEFAULT_BASE, daemon: Sequence[str]
    ) -> "LabDriver":
        """The lab of that name, whoever made it; many may ask for it at once."""
        need_root()
        paths = record.lab_paths(name, base)
        async with turns.turn(base, f"the list of labs in {base}"):
            if (lab := record.load(paths)) is not None:
                return cls(paths, lab)
            return cls._made(paths, tuple(daemon), "", 0)

    @classmethod
    def _made(
        cls, paths: LabPaths, template: tuple[str, ...], expose: str, disk: int
    ) -> "LabDriver":
        """A new lab, on record. For who holds the lock of all labs."""
        _refuse_taken_names(paths)
        subnet = naming.free_subnet(_taken_subnets(paths.base))
        lab = LabRecord(paths.lab, subnet, template, expose, disk=disk)
        record.save(paths, lab)
        return cls(paths, lab)

    @classmethod
    def open(
        cls, name: str = naming.DEFAULT_LAB, *, base: Path = naming.DEFAULT_BASE
    ) -> "LabDriver":
        """A lab that was made before, be it by another process. NOT_FOUND if there is none."""
        need_root()
        paths = record.lab_paths(name, base)
        lab = record.load(paths)
        if lab is None and not paths.directory.is_dir():
            raise SwarmError(
                Code.NOT_FOUND,
                f"there is no lab {name}",
                remedy="make one with swarmctl lab up, or see them with swarmctl lab ls",
            )
        # A crash before the record leaves an empty directory: a lab of nothing.
        return cls(paths, lab or LabRecord(name, 0, ()))

    @property
    def name(self) -> str:
        """The lab's name."""
        return self._lab.name

    @property
    def expose(self) -> str:
        """ADDR:PORT at which the first manager is reachable from this machine, or empty."""
        return self._lab.expose

    @property
    def disk(self) -> int:
        """MiB of the disk that each host but the registry has of its own; 0 if none has."""
        return self._lab.disk

    def hosts(self) -> list[LabHost]:
        """Every host, in the order in which they were made."""
        return [self._host(host) for host in self._lab.hosts]

    def host(self, name: str) -> LabHost:
        """The host of that name; NOT_FOUND if the lab has none."""
        return self._host(self._lab.host(name))

    async def create(self, name: str) -> LabHost:
        """Make and start one more host: m1, w1, registry and so on."""
        (host,) = await self.create_all([name])
        return host

    async def create_all(
        self, names: Sequence[str], *, daemon: Sequence[str] = (), disk: int | None = None
    ) -> list[LabHost]:
        """Make those hosts that are not there, start all at once. A rerun after a crash goes on.

        `daemon` and `disk`: of these hosts, if not those that the lab was made with.
        """
        async with self._held():
            self._record(
                [name for name in names if name not in self._names()],
                tuple(daemon) or self._lab.command,
                self._lab.disk if disk is None else disk,
            )
            await asyncio.to_thread(network.make_bridge, self.name, self._lab.subnet)
        hosts = [self.host(name) for name in names]
        await all_of(host.start() for host in hosts)
        return hosts

    async def remove(self, name: str) -> None:
        """Kill a host and delete every trace of it."""
        host = self.host(name)
        await cuts.rejoin(self.name, name)
        await host.erase()
        async with self._held():
            self._save(tuple(each for each in self._lab.hosts if each.name != name))

    async def partition(self, first: str, second: str) -> None:
        """Keep two hosts from one another, until healed; restarts do not end it."""
        if first == second:
            raise invalid("host", f"{first} cannot be parted from itself")
        await cuts.part(self.name, self.host(first).name, self.host(second).name)

    async def heal(self, first: str = "", second: str = "") -> None:
        """Mend the link of `first` and end its partitions; with `second` only the one between
        the two; without hosts everything.
        """
        for name in filter(None, (first, second)):
            self.host(name)
        await cuts.rejoin(self.name, first, second)
        if not second:
            for name in (await cuts.current(self.name)).any_way:
                if first in ("", name):
                    await self.host(name).heal()

    async def links(self) -> dict[str, bool]:
        """Whether the link is whole, for every host that runs; of none of a lab that others take
        down just now.
        """
        try:
            plugged = await asyncio.to_thread(network.plugged, self.name)
            cut = (await cuts.current(self.name)).any_way
        except SwarmError:
            if await asyncio.to_thread(network.is_there, self.name):
                raise
            return {}
        return {name: name not in cut for name in sorted(plugged)}

    async def partitions(self) -> list[tuple[str, str]]:
        """Every pair of hosts that is kept apart."""
        return sorted((await cuts.current(self.name)).parted)

    async def start_forwarder(self) -> None:
        """Make the first manager reachable at `expose`, if the lab was made with one."""
        hierarchies = cgroup.detect()
        if not self.expose or cgroups.processes(hierarchies, self.paths.cgroup):
            return
        address, port = naming.check_expose(self.expose)
        cgroups.make(hierarchies, self.paths.cgroup)
        arguments = (
            address,
            str(port),
            str(netns.path(naming.bridge_namespace(self.name))),
            self.host("m1").address,
            str(naming.SWARM_PORT),
            self.paths.cgroup,
            str(self.paths.forwarder_log),
        )
        argv = [sys.executable, "-m", "machine.drivers.lab.forward", *arguments]
        started = await process.run(argv, timeout=_FORWARD_TIMEOUT, check=False, cwd="/")
        if started.code != 0:
            why = started.err.decode(errors="replace").strip()
            raise SwarmError(Code.UNAVAILABLE, f"cannot listen on {self.expose}", why=why)

    async def down(self) -> None:
        """Remove every trace of the lab, whatever state it is in. The record goes last."""
        await all_of(host.erase() for host in self.hosts())
        await self._dissolve()

    async def down_if_empty(self) -> None:
        """Remove what is left of a lab whose last host has gone, unless others have done so."""
        async with contextlib.AsyncExitStack() as held:
            if await self._entered(held):
                lab = record.load(self.paths)
                if lab is None or not lab.hosts:
                    await self._dissolve()

    async def _dissolve(self) -> None:
        await cgroups.remove(cgroup.detect(), self.paths.cgroup)
        await asyncio.to_thread(network.remove_bridge, self.name)
        async with turns.turn(self.paths.base, f"the list of labs in {self.paths.base}"):
            await asyncio.to_thread(shutil.rmtree, self.paths.directory)

    def _host(self, host: HostRecord) -> LabHost:
        return LabHost(self.paths.base, self._lab, host)

    def _names(self) -> set[str]:
        return {host.name for host in self._lab.hosts}

    @contextlib.asynccontextmanager
    async def _held(self) -> AsyncIterator[None]:
        """Holds the lab, with its record as others have left it; CONFLICT if they took it down."""
        async with contextlib.AsyncExitStack() as held:
            lab = record.load(self.paths) if await self._entered(held) else None
            if lab is None:
                raise SwarmError(
                    Code.CONFLICT, f"lab {self.name} was taken down meanwhile", remedy="try again"
                )
            self._lab = lab
            yield

    async def _entered(self, held: contextlib.AsyncExitStack) -> bool:
        """Takes the lock of the lab into `held`; False if there is no lab any more."""
        # Made anew, its directory would look like a lab.
        turn = turns.turn(self.paths.directory, f"lab {self.name}", make=False)
        try:
            await held.enter_async_context(turn)
        except FileNotFoundError:
            return False
        return True

    def _record(self, names: Iterable[str], command: tuple[str, ...], disk: int) -> None:
        """Put new hosts on record, give them their directory, and tell all hosts their names.

        For who holds the lock of the lab.
        """
        taken = {host.address: host.name for host in self._lab.hosts}
        fresh = []
        for name in names:
            address = self._address(name, taken)
            taken[address] = name
            is_registry = name == naming.REGISTRY
            template = registry.COMMAND if is_registry else command
            fresh.append(HostRecord(name, address, template, 0 if is_registry else disk))
        if not fresh:
            return
        if any(host.name == naming.REGISTRY for host in fresh):
            registry.check_installed()
        self._save((*self._lab.hosts, *fresh))
        for host in self.hosts():
            host.paths.directory.mkdir(mode=0o755, exist_ok=True)
            host.paths.settings.touch()
            etc.write(host.paths, self._lab.hosts)
            if host.name == naming.REGISTRY:
                registry.configure(host.paths)

    def _address(self, name: str, taken: Mapping[str, str]) -> str:
        subnet = self._lab.subnet
        if not naming.has_place(name):
            naming.check_host(name)
            return naming.free_address(subnet, taken)
        address = naming.host_address(subnet, name)
        if address in taken:
            raise SwarmError(
                Code.EXISTS, f"the address of {name} is taken", why=f"{taken[address]} has it"
            )
        return address

    def _save(self, hosts: tuple[HostRecord, ...]) -> None:
        self._lab = replace(self._lab, hosts=hosts)
        record.save(self.paths, self._lab)


def labs(base: Path = naming.DEFAULT_BASE) -> list[str]:
    """The names of all labs on this machine that are kept in `base`."""
    return record.labs(base)


def need_root() -> None:
    """DENIED, plainly, for anybody but root."""
    if os.geteuid() != 0:
        raise SwarmError(
            Code.DENIED,
            "a lab needs root",
            why="it makes namespaces, mounts and control groups",
            remedy="run this with sudo",
        )


async def all_of(work: Iterable[Coroutine[Any, Any, object]]) -> None:
    """Do all at once and to the end, then raise the first failure: no half is left running."""
    results = await asyncio.gather(*work, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result


def _refuse_taken_names(paths: LabPaths) -> None:
    if paths.directory.exists():
        raise SwarmError(
            Code.EXISTS,
            f"there is a lab {paths.lab}",
            remedy=f"take it down with swarmctl lab down --name {paths.lab}",
        )
    bridge = naming.bridge_namespace(paths.lab)
    if netns.exists(bridge):
        raise SwarmError(
            Code.EXISTS,
            f"network namespace {bridge} exists",
            why=f"it belongs to no lab in {paths.base}",
            remedy="choose another name for the lab",
        )


def _taken_subnets(base: Path) -> list[int]:
    found = (record.load(LabPaths(base, name)) for name in record.labs(base))
    return [lab.subnet for lab in found if lab is not None]
