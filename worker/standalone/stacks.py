"""Network stacks of all containers of a host, be they tasks or not, as executors ask for them.

To what `worker.networks` makes by what managers tell, it adds what they know nothing of: places on
the default bridge, and stacks that several containers share. Those end with the one who lends it:
else a stack would live on with an address that is somebody else's by then.
"""

from collections.abc import Awaitable, Callable, Collection

from api.states import task_name
from api.v1 import network_pb2, objects_pb2, specs_pb2
from worker.node_networks import Joined, NodeNetworks
from worker.standalone.clothes import SHARED
from worker.standalone.host_networks import HostNetworks
from worker.task_place import BRIDGE, is_lone, is_on_bridge

Task = objects_pb2.Task
Lend = Callable[[str], Awaitable[Joined]]
"""The stack of the container with this name."""
EndSharers = Callable[[str], Awaitable[None]]
"""Ends who shares the stack of the container with this id."""

_HOSTNAME_LENGTH = 12


class Stacks:
    """TaskNetworks. `lend` and `end_sharers` are set by who knows the containers."""

    def __init__(self, networks: NodeNetworks, host: Callable[[], HostNetworks]) -> None:
        self._networks = networks
        self._host = host
        self.lend: Lend | None = None
        self.end_sharers: EndSharers | None = None

    async def join(self, task: Task) -> Joined | None:
        """See TaskNetworks."""
        for network in task.spec.networks:
            if is_lone(task) and network.target.startswith(SHARED) and self.lend is not None:
                return await self.lend(network.target.removeprefix(SHARED))
        if is_on_bridge(task) and not is_lone(task):
            await self._place_on_bridge(task)
        return await self._networks.join(task)

    async def ports(self, task_id: str) -> Collection[specs_pb2.PortConfig]:
        """See TaskNetworks."""
        return await self._networks.ports(task_id)

    async def drained(self, task: Task) -> None:
        """See TaskNetworks."""
        await self._networks.drained(task)

    async def leave(self, task_id: str) -> None:
        """See TaskNetworks."""
        if self.end_sharers is not None:
            await self.end_sharers(task_id)
        await self._networks.leave(task_id)
        await self._host().take_back(task_id)

    async def _place_on_bridge(self, task: Task) -> None:
        host = self._host()
        bridge = await host.find(BRIDGE)
        assert bridge is not None  # noqa: S101 - it is made where it was not there
        endpoint = network_pb2.NetworkEndpoint(
            task_id=task.id,
            name=f"{task_name(task)}.{task.id}",
            hostname=task.spec.container.hostname or task.id[:_HOSTNAME_LENGTH],
        )
        await host.give(bridge, endpoint)
