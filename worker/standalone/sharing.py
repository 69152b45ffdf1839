"""Containers that share the network stack of another one, as `--network container:NAME` asks."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from api.v1 import containers_pb2
from runtime.driver import ContainerDriver
from runtime.inside import read_text
from worker.container import ContainerExecutor
from worker.node_networks import Joined, NodeNetworks
from worker.standalone import refusals
from worker.standalone.clothes import dressed, find, shares

Container = containers_pb2.Container
Known = Callable[[], Sequence[Container]]
"""All containers of the host that are no tasks."""


class Sharing:
    """Of one host."""

    def __init__(
        self,
        known: Known,
        driver: ContainerDriver,
        executor: ContainerExecutor,
        networks: NodeNetworks,
    ) -> None:
        self._known = known
        self._driver = driver
        self._executor = executor
        self._networks = networks

    async def lend(self, name: str) -> Joined:
        """The stack of a container that runs, for another one; REFUSED if it does not run."""
        owner = find(self._known(), name)
        if owner is None:
            raise refusals.unknown(name)
        state = next((each for each in await self._driver.list() if each.id == owner.id), None)
        if state is None or state.phase != "running":
            raise refusals.runs_not(owner)
        root = Path("/proc", str(state.pid))
        addresses = await self._networks.addresses(owner.id)
        own = [text.partition("/")[0] for each in addresses.values() for text in each]
        try:
            resolv_conf = await asyncio.to_thread(read_text, root / "root", "etc/resolv.conf")
        except OSError:  # it has ended just now
            raise refusals.runs_not(owner) from None
        return Joined(str(root / "ns/net"), tuple(own), resolv_conf)

    async def end(self, container_id: str) -> None:
        """Kills who shares the stack of the container with this id."""
        known = self._known()
        for each in known:
            owner = shares(each, known)
            if owner is not None and owner.id == container_id:
                await self._executor.terminate(dressed(each))
