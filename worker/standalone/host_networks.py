"""Networks of this host alone as others use them: kept on the disk, and built. A thin shell.

What they are and who has which address is `local_networks`' affair, the kernel `worker.networks`'.
"""

from collections.abc import Iterable

from api.errors import Code, SwarmError
from api.ids import IdSource
from api.v1 import network_pb2, objects_pb2, specs_pb2
from worker.node_networks import NodeNetworks
from worker.standalone.local_networks import LocalNetworks
from worker.standalone.storage import LocalStorage, place_of
from worker.task_place import BRIDGE
from worker.uninterrupted import uninterrupted

Network = objects_pb2.Network
Endpoint = network_pb2.NetworkEndpoint


class HostNetworks:
    """Of one host; `local` is what was kept. One call at a time changes one owner."""

    def __init__(
        self, local: LocalNetworks, storage: LocalStorage, networks: NodeNetworks, ids: IdSource
    ) -> None:
        self.local = local
        self._storage = storage
        self._networks = networks
        self._ids = ids

    async def create(self, spec: specs_pb2.NetworkSpec) -> Network:
        """A network of this host; see LocalNetworks."""
        self.local.check(spec)
        if BRIDGE not in self._networks.drivers():
            raise SwarmError(Code.UNSUPPORTED, "this host builds no networks")
        used = await self._networks.used_subnets()
        made = self.local.create(self._ids(), spec, used)
        try:
            await self._storage.write([made])
        except BaseException:
            del self.local.networks[made.id]
            raise
        return made

    async def remove(self, key: str) -> str:
        """The id of the network that is gone; see LocalNetworks."""
        gone = self.local.remove(key)
        try:
            await self._storage.write(gone=[place_of(gone)])
        except SwarmError:
            self.local.networks[gone.id] = gone
            raise
        return gone.id

    async def find(self, key: str) -> Network | None:
        """A network of this host; the default bridge is made if it was not there yet."""
        if key != BRIDGE:
            return self.local.find(key)
        return self.local.bridge(await self._networks.used_subnets())

    async def give(self, network: Network, endpoint: Endpoint, asked: Iterable[str] = ()) -> None:
        """Puts somebody into the network; nothing happens to who is there already."""
        key = (network.id, endpoint.task_id)
        if key in self.local.endpoints:
            return
        items = self.local.give(network, endpoint, asked)
        try:
            await self._storage.write([network, self.local.endpoints[key]])
        except SwarmError:  # nothing is there that would have to be written as gone
            self.local.take_back(endpoint.task_id, network.id)
            raise
        except BaseException:
            await self.take_back(endpoint.task_id, network.id)
            raise
        try:
            await self._networks.own(items)
        except BaseException:
            await self.take_back(endpoint.task_id, network.id)
            raise

    async def take_back(self, owner: str, network_id: str = "") -> None:
        """Who leaves one network of this host, or all; stays in them if the disk refuses."""
        await uninterrupted(self._take_back(owner, network_id))

    async def _take_back(self, owner: str, network_id: str) -> None:
        leaving = self.local.places(owner, network_id)
        if leaving:
            await self._storage.write(gone=map(place_of, leaving))
            await self._networks.own((), self.local.take_back(owner, network_id))
