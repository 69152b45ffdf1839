"""Looks at every host of a cluster file, and asks a manager for the nodes. Changes nothing."""

import asyncio
import dataclasses
from collections.abc import Callable, Collection, Mapping
from typing import Any

from api.errors import SwarmError
from machine import manifest
from machine.provisioning import Provisioner, Wanted
from machine.remote import Remote
from machine.steps.settings import folders
from machine.swarm import answers
from machine.swarm.command import Swarmctl, failure, is_missing
from machine.swarm.seen import HostSeen, NodeSeen, Seen, Standing
from machine.swarm.wanted import HostWanted, Role, SwarmWanted

Ways = Mapping[str, Remote | SwarmError]
"""The way to each host, or why there is none."""
Installs = Callable[[HostWanted, str], Wanted | None]
_CHUNK = 100
_LOOKS = 5
_PAUSE = 2.0
INFO = ("system", "info", "--format", "json")


def swarmctl_of(host: HostWanted, remote: Remote) -> Swarmctl:
    """The swarmctl of a host, which finds its daemon also where its settings put it."""
    run_dir = host.swarmd.get("run_dir")
    return Swarmctl(remote, f"{run_dir}/swarmd.sock" if run_dir else "")


class Look:
    """One look. `installs` tells what a host that runs this version is to have; None: it may not be
    changed, and is only asked. `pause`: seconds between two questions to a leader that is in doubt.
    """

    def __init__(
        self,
        wanted: SwarmWanted,
        ways: Ways,
        provisioner: Provisioner,
        installs: Installs,
        *,
        together: int,
        pause: float = _PAUSE,
    ) -> None:
        self._pause = pause
        self._wanted = wanted
        self._ways = ways
        self._provisioner = provisioner
        self._installs = installs
        self._free = asyncio.Semaphore(together)

    async def take(self) -> Seen:
        """All of it, in parallel; a host that is not reached is part of the answer."""
        names = list(self._wanted.hosts)
        found = await asyncio.gather(*(self._host(name) for name in names))
        hosts = dict(zip(names, found, strict=True))
        cluster = next((h.cluster_id for h in self._by_rank(hosts) if h.cluster_id), "")
        if not cluster:
            return Seen(hosts)
        return await self._swarm(Seen(hosts, cluster_id=cluster))

    def _by_rank(self, hosts: Mapping[str, HostSeen]) -> list[HostSeen]:
        """Managers first: what they are in is the swarm that is meant."""
        return sorted(hosts.values(), key=lambda each: not each.is_manager)

    async def _host(self, name: str) -> HostSeen:
        remote = self._ways[name]
        if isinstance(remote, SwarmError):
            return HostSeen(error=str(remote))
        try:
            async with self._free:
                return await self._reached(self._wanted.hosts[name], remote)
        except SwarmError as error:
            return HostSeen(error=str(error))

    async def _reached(self, host: HostWanted, remote: Remote) -> HostSeen:
        found = await self._daemon(host, remote)
        install = None if host.is_absent else self._installs(host, found.version)
        if install is None:
            return found
        problems = await self._provisioner.problems(remote, install)
        changes: tuple[Any, ...] = ()
        if not any(each.fatal for each in problems):
            changes = tuple(await self._provisioner.changes(remote, install))
        return dataclasses.replace(found, problems=tuple(problems), changes=changes)

    async def _daemon(self, host: HostWanted, remote: Remote) -> HostSeen:
        done, book = await asyncio.gather(
            swarmctl_of(host, remote).attempt(*INFO), remote.read(manifest.PATH)
        )
        previous = manifest.decoded(book, host.name).previous
        if done.code == 0:
            found = answers.host_of(done.text)
            return dataclasses.replace(found, previous=previous)
        is_member = await remote.read(folders(host.swarmd).membership) is not None
        return HostSeen(
            is_installed=book is not None or not is_missing(done),
            previous=previous,
            standing=Standing.UNKNOWN if is_member else Standing.NONE,
        )

    async def _swarm(self, seen: Seen) -> Seen:
        """The nodes, as the first manager tells them that can."""
        trouble = "none of the hosts that were reached is a manager of it"
        for name, host in seen.hosts.items():
            remote = self._ways[name]
            if not host.is_manager or isinstance(remote, SwarmError):
                continue
            try:
                return await self._settled(swarmctl_of(self._wanted.hosts[name], remote), seen)
            except SwarmError as error:
                trouble = str(error)
        return dataclasses.replace(seen, trouble=trouble)

    async def _settled(self, manager: Swarmctl, seen: Seen) -> Seen:
        """A leader that was elected just now, or was held up, takes managers for lost that are
        there; it has some seconds to hear of them, or a plan would be refused for nothing.
        """
        for _ in range(_LOOKS - 1):
            found = await asked(manager, seen)
            if not _is_in_doubt(found):
                return found
            await asyncio.sleep(self._pause)
        return await asked(manager, seen)


def _is_in_doubt(seen: Seen) -> bool:
    """Whether managers are said to be lost whose own daemons say that they are there."""
    there = {each.node_id for each in seen.hosts.values() if each.standing is Standing.ACTIVE}
    seats = (each for each in seen.nodes.values() if each.is_seated)
    return any(not each.is_reachable and each.id in there for each in seats)


async def asked(manager: Swarmctl, seen: Seen) -> Seen:
    """What a manager tells of the swarm, beside what was seen."""
    nodes, cluster, homes = await asyncio.gather(
        nodes_by(manager),
        manager.call("swarm", "inspect"),
        manager.call("volume", "ls", "--format", answers.HOMES),
    )
    return dataclasses.replace(
        seen, nodes=nodes, spec=answers.cluster_of(cluster)[1], homes=answers.homes_of(homes)
    )


async def nodes_by(manager: Swarmctl) -> dict[str, NodeSeen]:
    """Every node, as this manager knows it."""
    ids = (await manager.call("node", "ls", "-q")).split()
    found: dict[str, NodeSeen] = {}
    for start in range(0, len(ids), _CHUNK):
        chunk = ids[start : start + _CHUNK]
        words = ("node", "inspect", "--format", "json", *chunk)
        done = await manager.attempt(*words)
        # One that was removed meanwhile fails the command, and the others are told.
        if done.code != 0 and not done.text.startswith("["):
            raise failure("a manager", words, done)
        found |= answers.nodes_of(done.text)
    return found


def in_scope(wanted: SwarmWanted, limit: Collection[str]) -> SwarmWanted:
    """The hosts that have to be looked at: those that may be changed, and every manager, also one
    that is to go: the swarm may be on it alone.
    """
    if not limit:
        return wanted
    hosts = {n: h for n, h in wanted.hosts.items() if n in limit or h.role is Role.MANAGER}
    return dataclasses.replace(wanted, hosts=hosts)
