"""Waits until the managers see what has to be before a plan goes on. Changes nothing.

Each wait looks again and again, and says at its end what was still missing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass

from api.errors import Code, SwarmError
from machine.provisioning import Tell
from machine.swarm.answers import host_of, live_tasks
from machine.swarm.command import Swarmctl
from machine.swarm.look import INFO
from machine.swarm.managers import Managers
from machine.swarm.quorum import bears_absence, bears_loss
from machine.swarm.seen import TO_UNLOCK, HostSeen, NodeSeen, Standing
from machine.swarm.wanted import Role

_SHOWN = 5
_RUNNING = "running"


@dataclass(frozen=True)
class Patience:
    """Seconds that each wait may take, and between two looks."""

    ready: float = 120.0
    drain: float = 600.0
    quorum: float = 120.0
    look: float = 1.0


class Waits:
    """Of one run. `clock`: seconds of any steady clock."""

    def __init__(self, managers: Managers, patience: Patience, clock: Callable[[], float]) -> None:
        self._managers = managers
        self._patience = patience
        self._clock = clock

    async def quorum(self, host: str, node_id: str, *, goes: bool, tell: Tell) -> None:
        """Until the other managers can do without this one, for a while or for ever."""
        bears = bears_loss if goes else bears_absence

        async def look() -> str:
            nodes = await self._managers.nodes(host)
            if bears(nodes.values(), node_id):
                return ""
            away = [n for n in nodes.values() if n.is_seated and not n.is_reachable]
            names = ", ".join(sorted(n.hostname or n.id for n in away))
            return f"too few managers are there: {names or 'none'} not reached"

        await self._until(look, self._patience.quorum, f"{host} cannot be spared", tell)

    async def node_id(self, host: str, itself: Swarmctl, tell: Tell) -> str:
        """Which node a host is, as it says itself; until its daemon answers."""
        found = ""

        async def look() -> str:
            nonlocal found
            found = host_of(await itself.call(*INFO)).node_id
            return "" if found else "it is no node yet"

        await self._until(look, self._patience.ready, f"{host} did not become ready", tell)
        return found

    async def ready(
        self,
        host: str,
        node_id: str,
        itself: Swarmctl,
        role: Role,
        version: str,
        tell: Tell,
        *,
        but: Collection[str] = (),
    ) -> None:
        """Until the node is ready, has its role, and with `version` runs that and all its tasks,
        `but` those of these names, which waited before.

        It has to say so itself, too: after a restart the managers may not know yet that it was
        away, and the next one would be restarted while this one is. It is asked first: that it is
        locked nobody else can tell, least of all where it is the only manager.
        """

        async def look() -> str:
            found = host_of(await itself.call(*INFO))
            if found.standing is Standing.LOCKED:
                return f"it is locked: {TO_UNLOCK}"
            node = (await self._managers.nodes(host)).get(node_id)
            missing = lacks(node, role, version) or _lacks_touch(found)
            if missing or not version:
                return missing
            waiting = [t for t in await self.waiting(host, node_id) if t[0] not in but]
            return f"{len(waiting)} tasks do not run yet: {_names(waiting)}" if waiting else ""

        await self._until(look, self._patience.ready, f"{host} did not become ready", tell)

    async def unseated(self, host: str, node_id: str, tell: Tell) -> None:
        """Until a node that was demoted has given up its place among the managers."""

        async def look() -> str:
            node = (await self._managers.nodes(host)).get(node_id)
            return "it has its seat still" if node is not None and node.is_seated else ""

        await self._until(look, self._patience.quorum, f"{host} remains a manager", tell)

    async def empty(self, host: str, node_id: str, tell: Tell) -> None:
        """Until no task is left on the node."""

        async def look() -> str:
            tasks = await self._tasks(host, node_id)
            return f"{len(tasks)} tasks are left: {_names(tasks)}" if tasks else ""

        await self._until(look, self._patience.drain, f"{host} does not become empty", tell)

    async def waiting(self, host: str, node_id: str) -> list[tuple[str, str]]:
        """Tasks of the node that are to run and do not: their names and states."""
        return [each for each in await self._tasks(host, node_id) if each[1] != _RUNNING]

    async def _tasks(self, host: str, node_id: str) -> list[tuple[str, str]]:
        words = ("node", "ps", "--format", "json", "--no-resolve", node_id)
        return live_tasks(await self._managers.call(*words, but=host))

    async def _until(
        self, look: Callable[[], Awaitable[str]], patience: float, what: str, tell: Tell
    ) -> None:
        """Looks until nothing is missing. Managers that do not answer are waited for as well."""
        end, said = self._clock() + patience, ""
        while True:
            try:
                missing = await look()
            except SwarmError as error:
                if error.code not in (Code.UNAVAILABLE, Code.DEADLINE):
                    raise
                missing = str(error)
            if not missing:
                return
            if missing != said:
                tell(missing)
                said = missing
            if self._clock() >= end:
                raise SwarmError(Code.DEADLINE, what, why=f"after {patience:g} s {missing}")
            await asyncio.sleep(self._patience.look)


def _lacks_touch(found: HostSeen) -> str:
    return "" if found.standing is Standing.ACTIVE else "it has not reached the managers yet"


def lacks(node: NodeSeen | None, role: Role, version: str) -> str:
    """What a node lacks to be ready; "" if nothing."""
    if node is None:
        return "the managers do not know it"
    if not node.is_ready:
        return "the managers have not heard of it"
    if version and node.version != version:
        return f"it runs {node.version or 'another version'}, not {version}"
    if role is Role.MANAGER and not (node.is_seated and node.is_reachable):
        return "the other managers do not reach it as a manager"
    if role is Role.WORKER and node.is_seated:
        return "it is a manager still"
    return ""


def _names(tasks: list[tuple[str, str]]) -> str:
    shown = ", ".join(f"{name} ({state})" for name, state in sorted(tasks)[:_SHOWN])
    return shown if len(tasks) <= _SHOWN else f"{shown} and more"
