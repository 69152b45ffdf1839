"""Where connections go on this host: its ports, and virtual addresses in its tasks. Blocks.

It puts `overlay_net.balance` and `overlay_net.ingress` to what the managers told and the links that
there are. It remembers what it made, so that what has not changed costs nothing.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from api.v1 import specs_pb2
from overlay_net.backends import Backends, Gathering
from overlay_net.balance import shell as balance
from overlay_net.balance.views import View, view
from overlay_net.fabric.hardware import bridge_name, hardware_address, shown
from overlay_net.fabric.picture import Leg, On
from overlay_net.ingress.host import Node
from overlay_net.ingress.ports import Mesh, Port, PortKey, mesh, of
from overlay_net.ingress.shell import Ingress
from overlay_net.ingress.task import Task as Published
from overlay_net.nft import LibNft
from worker.network_book import ENDPOINT, NETWORK, Book, Endpoint, Network, News
from worker.task_place import Place

Legs = Callable[[str], Iterable[Leg]]
"""The legs of a sandbox, or of the host, by the file of its namespace."""

_INGRESS = "ing"


class Guide:
    """Of the node of this id, in the namespace of file `host`; `book` changes under it."""

    def __init__(self, node_id: str, nft: LibNft, host: str, book: Book, legs: Legs) -> None:
        self._node_id = node_id
        self._host = host
        self._book = book
        self._legs = legs
        self._balance = balance.Balance(nft)
        self._ingress = Ingress(nft)
        self._gatherings: dict[str, Gathering] = {}
        self._views: dict[str, View] = {}
        self._former: dict[str, View] = {}
        self._nodes: frozenset[str] | None = None
        self._led: dict[str, tuple[Published, frozenset[str]]] = {}
        self._is_publishing = True  # as far as is known: an earlier daemon may have

    def hear(self, news: News) -> None:
        """The book has changed."""
        if news.has_peers():
            self._nodes = None
            self._former |= self._views
            self._views.clear()
            self._gatherings.clear()
        for network_id in news.networks():
            if former := self._views.pop(network_id, None):
                self._former[network_id] = former
        for key in news.removed:
            if key.kind == NETWORK:
                self._gatherings.pop(key.id, None)
                self._former.pop(key.id, None)
            elif key.kind == ENDPOINT and (found := self._gatherings.get(key.network_id)):
                found.drop(key.id)
        for item in news.updated:
            if isinstance(item, Endpoint) and (found := self._gatherings.get(item.network_id)):
                self._gather(found, item)

    def publishes(self, places: Iterable[Place]) -> bool:
        """Whether the swarm publishes any port here: a service, or a task of these for its node.

        Or did until just now: while tasks are there that were published, connections to them go on.
        """
        network = self._book.ingress()
        return (
            any(self.everywhere())
            or (network is not None and len(self._backends(network.id).living) > 0)
            or any(each.ports and not each.lone for each in places)
        )

    def everywhere(self) -> Iterator[specs_pb2.PortConfig]:
        """The ports that every node publishes."""
        network = self._book.ingress()
        for service in () if network is None else self._book.services(network.id).values():
            yield from service.ports

    def published_by(self, task_id: str) -> Iterator[specs_pb2.PortConfig]:
        """Those of them by which a task is reached."""
        network = self._book.ingress()
        if network is not None and (own := self._book.endpoints(network.id).get(task_id)):
            service = self._book.services(network.id).get(own.service_id)
            yield from () if service is None else service.ports

    def publish(
        self, places: Iterable[tuple[Place, str]], bridges: Iterable[str], *, look: bool = False
    ) -> None:
        """The ports of this node. `places`: its tasks, and the files of their sandboxes; `bridges`:
        by which they reach it. `look`: believe the kernel, not the memory.
        """
        here = list(places)
        node = self._node(here, bridges)
        if node is None:
            if self._is_publishing:
                self.remove(bridges)
            return
        self._is_publishing = True
        self._ingress.apply_node(node, self._mesh(here), look=look)

    def published(self, places: Iterable[tuple[Place, str]]) -> frozenset[PortKey]:
        """The ports of this host that lead to containers."""
        ports = self._mesh(places).ports
        return frozenset((each.protocol, each.published, each.host_ip) for each in ports)

    def lead(self, place: Place, path: str, *, look: bool = False, new: bool = False) -> None:
        """Where a task's connections go, and by what way its answers. `new`: its network stack was
        made just now.
        """
        network, leg = self._book.ingress(), self._leg(path)
        if network is not None and leg is not None:
            wished = self._published(network, leg, path), self._macs()
            if look or self._led.get(place.task_id) != wished:
                self._led.pop(place.task_id, None)
                self._ingress.apply_task(*wished, look=look)
                self._led[place.task_id] = wished
        known = {network_id: self._view(network_id) for network_id in place.networks}
        self._balance.apply(self._sandbox(place, path), known, look=look, new=new)

    def node_differences(
        self, places: Iterable[tuple[Place, str]], bridges: Iterable[str]
    ) -> list[str]:
        """How this node's ports differ from what they ought to be, in words. Changes nothing."""
        here = list(places)
        node = self._node(here, bridges)
        return [] if node is None else self._ingress.node_differences(node, self._mesh(here))

    def task_differences(self, place: Place, path: str) -> list[str]:
        """The same of where a task's connections go, and by what way its answers."""
        network, leg = self._book.ingress(), self._leg(path)
        told: list[str] = []
        if network is not None and leg is not None:
            published = self._published(network, leg, path)
            told += self._ingress.task_differences(published, self._macs())
        known = {network_id: self._view(network_id) for network_id in place.networks}
        return told + self._balance.differences(self._sandbox(place, path), known)

    def renew(self, path: str) -> None:
        """An interface there was made anew: what went with the old one is made again."""
        self._led = {task: led for task, led in self._led.items() if led[0].namespace != Path(path)}
        self._ingress.renew(Path(path))

    def take_mended(self) -> list[str]:
        """What looks found other than it was left, and put right, in words; each is told once."""
        return [*self._ingress.take_mended(), *self._balance.take_mended()]

    def forget(self, place: Place, path: str) -> None:
        """A task is gone; its namespace may end."""
        self._led.pop(place.task_id, None)
        self._balance.forget(self._sandbox(place, path))
        self._ingress.forget(Path(path))

    def remove(self, bridges: Iterable[str]) -> None:
        """This node publishes nothing more. `bridges`: as of `publish`."""
        network = self._book.ingress()
        pools = () if network is None else tuple(pool.subnet for pool in network.pools)
        node = Node(self._node_id, Path(self._host), "", 0, pools, tuple(bridges))
        self._ingress.remove_node(node)
        self._is_publishing = False

    def _node(self, places: Iterable[tuple[Place, str]], bridges: Iterable[str]) -> Node | None:
        """This node as it publishes; None: it does not."""
        network, leg, host = self._book.ingress(), self._leg(self._host), Path(self._host)
        if network is not None and leg is not None:
            pools = tuple(pool.subnet for pool in network.pools)
            ipv6 = any(":" in pool for pool in pools)
            return Node(self._node_id, host, leg.name, leg.mtu, pools, tuple(bridges), ipv6)
        if any(place.lone and place.ports for place, _ in places):
            # What stands on bridges of this host needs no network of the swarm.
            return Node(self._node_id, host, "", 0, (), tuple(bridges))
        return None

    def _published(self, network: Network, leg: Leg, path: str) -> Published:
        pools = tuple(pool.subnet for pool in network.pools)
        return Published(Path(path), leg.name, pools, self._way_out(path))

    def _mesh(self, places: Iterable[tuple[Place, str]]) -> Mesh:
        own: list[Port] = []
        for place, path in places:
            if way := self._way_out(path):
                own += [of(port, way) for port in place.ports]
        network = self._book.ingress()
        if network is None:
            return mesh((), Backends({}, frozenset()), own)
        return mesh(self._book.services(network.id).values(), self._backends(network.id), own)

    def _macs(self) -> frozenset[str]:
        """The hardware addresses of all nodes' legs in the ingress network."""
        if self._nodes is None:
            self._nodes = frozenset(
                shown(hardware_address(peer.ingress_addresses))
                for peer in self._book.peers.values()
                if peer.ingress_addresses
            )
        return self._nodes

    def _view(self, network_id: str) -> View:
        if network_id not in self._views:
            self._views[network_id] = view(
                self._book.services(network_id).values(),
                self._backends(network_id),
                self._former.pop(network_id, None),
            )
        return self._views[network_id]

    def _backends(self, network_id: str) -> Backends:
        found = self._gatherings.get(network_id)
        if found is None:
            found = self._gatherings[network_id] = Gathering()
            for endpoint in self._book.endpoints(network_id).values():
                self._gather(found, endpoint)
        return found.backends()

    def _gather(self, gathering: Gathering, endpoint: Endpoint) -> None:
        """One whose node is down or removed is gone, whatever is said of it."""
        if endpoint.node_id in self._book.peers:
            gathering.put(endpoint)
        else:
            gathering.drop(endpoint.task_id)

    def _sandbox(self, place: Place, path: str) -> balance.Sandbox:
        networks = (self._book.networks.get(network_id) for network_id in place.networks)
        pools = tuple(pool.subnet for each in networks if each for pool in each.pools)
        return balance.Sandbox(place.task_id, Path(path), place.networks, pools)

    def _leg(self, path: str) -> Leg | None:
        """Who stands there in the ingress network."""
        return next((leg for leg in self._legs(path) if leg.name.startswith(_INGRESS)), None)

    def _way_out(self, path: str) -> tuple[str, ...]:
        """A task's addresses on bridges of this host, at most one of each family; none on those of
        internal networks, in which nothing is led from outside.
        """
        networks = self._book.networks.values()
        closed = {bridge_name(each.id) for each in networks if each.internal}
        found: dict[bool, str] = {}
        for leg in self._legs(path):
            if leg.on is On.BRIDGE and leg.parent not in closed:
                for address in sorted(leg.addresses):
                    found.setdefault(":" in address, address.partition("/")[0])
        return tuple(found.values())
