"""Asks the managers of a swarm, through their hosts: any of them answers for all."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from api.errors import Code, SwarmError
from machine.swarm.command import Swarmctl
from machine.swarm.look import nodes_by
from machine.swarm.seen import NodeSeen

T = TypeVar("T")
_NEXT = (Code.UNAVAILABLE, Code.DEADLINE, Code.UNSUPPORTED)
"""Errors after which another manager may know better."""


class Managers:
    """Those that were found, and become managers or cease to on the way. `names` are of hosts."""

    def __init__(self, all_of: Mapping[str, Swarmctl], names: Sequence[str]) -> None:
        self._all = all_of
        self._names = list(names)

    def add(self, host: str) -> None:
        """Says that the host has a manager from now on."""
        if host in self._all and host not in self._names:
            self._names.append(host)

    def drop(self, host: str) -> None:
        """Says that it has none any more."""
        if host in self._names:
            self._names.remove(host)

    def each(self) -> list[tuple[str, Swarmctl]]:
        """Their hosts, and the way to ask them."""
        return [(name, self._all[name]) for name in self._names]

    async def call(self, *words: str, but: str = "", timeout: float = 180.0) -> str:
        """What a command prints on a manager; on that of host `but` only if no other answers."""
        return await self.ask(lambda ctl: ctl.call(*words, timeout=timeout), but)

    async def nodes(self, but: str = "") -> dict[str, NodeSeen]:
        """Every node by its id."""
        return await self.ask(nodes_by, but)

    async def ask(self, question: Callable[[Swarmctl], Awaitable[T]], but: str = "") -> T:
        """The answer of the first manager that gives one; the last error if none does."""
        error = SwarmError(Code.UNAVAILABLE, "no manager of the swarm was reached")
        for name in sorted(self._names, key=lambda each: each == but):
            try:
                return await question(self._all[name])
            except SwarmError as failed:
                if failed.code not in _NEXT:
                    raise
                error = failed
        raise error
