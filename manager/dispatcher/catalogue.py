"""Everything that nodes may be told of networks, each item made once for all of them. Pure.

An item is a network, an endpoint or a service in it, or another node as the underlay reaches it. It
is made anew when something changes that it is made of, and told on only if it differs.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol, TypeAlias, TypeVar

from api import states
from api.network_digest import digest
from api.networks import driver_of, is_encrypted, is_internal, mtu_of
from api.v1 import network_pb2, objects_pb2, specs_pb2, types_pb2
from manager.allocator.ipam import bare
from manager.allocator.networks import is_settled
from manager.state.changes import Event
from manager.state.networks import held, is_ingress, named_by, publishes
from manager.state.store import View

Network = objects_pb2.Network
Node = objects_pb2.Node
Service = objects_pb2.Service
Task = objects_pb2.Task
Item: TypeAlias = (
    network_pb2.NodeNetwork
    | network_pb2.NetworkEndpoint
    | network_pb2.NetworkService
    | network_pb2.NetworkPeer
)

T = TypeVar("T", Task, Service)

NETWORK, PEER, SERVICE, ENDPOINT = range(4)
"""Kinds of items, in the order in which they are told."""
UNDERLAY = ""
"""In the place of a network's id with peers, which belong to all."""
_HOSTNAME_LENGTH = 12
_VIP = specs_pb2.EndpointSpec.MODE_VIP
_BY_CLIENT = specs_pb2.EndpointSpec.STICKY_SOURCE_IP


class Key(NamedTuple):
    """What tells an item from all others."""

    kind: int
    network_id: str
    id: str


class Reader(Protocol):
    """Somebody who tells a node."""

    def hear(self, keys: Iterable[Key]) -> None:
        """These items are different now, or gone."""


class Catalogue:
    """The items of a cluster. `begin` first."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._items: dict[Key, Item] = {}
        self._of_network: dict[str, dict[Key, None]] = {}
        self._readers: dict[str, dict[Reader, None]] = {}
        self._everybodys = {UNDERLAY}
        self._digests: dict[str, bytes] = {}
        self.ingress = ""
        """The id of the ingress network, of which every node is told."""

    def enter(self, network_id: str, reader: Reader) -> None:
        """The reader wants to hear of items of this network."""
        self._readers.setdefault(network_id, {})[reader] = None

    def leave(self, network_id: str, reader: Reader) -> None:
        """It wants to no longer; nothing happens if it does not hear of them."""
        readers = self._readers.get(network_id, {})
        readers.pop(reader, None)
        if not readers:
            self._readers.pop(network_id, None)

    def tell(self, keys: Iterable[Key]) -> None:
        """Tells those of different items who want to hear of them: others cost nothing."""
        heard: dict[Reader, list[Key]] = {}
        for key in keys:
            of = UNDERLAY if key.network_id in self._everybodys else key.network_id
            for reader in self._readers.get(of, ()):
                heard.setdefault(reader, []).append(key)
        for reader, found in heard.items():
            reader.hear(found)

    def begin(self) -> None:
        """Makes every item from the state as it is."""
        self._items.clear()
        self._of_network.clear()
        self._digests.clear()
        self.ingress = ""
        for network in self._view.all(Network):
            self._note_ingress(network)
            self._refresh(Key(NETWORK, network.id, network.id))
        for node in self._view.all(Node):
            self._refresh(Key(PEER, UNDERLAY, node.id))
        for service in self._view.all(Service):
            self._refresh(*_of_service(service, self.ingress))
        for task in self._view.all(Task):
            self._refresh(*_of_task(task))

    def observe(self, event: Event) -> list[Key]:
        """Makes anew what the event changes; the items that are different now, or gone."""
        old, new = event.old, event.new
        if isinstance(event.object, Task):
            return self._refresh(*_both(map(_of_task, _present(old, new, Task))))
        if isinstance(event.object, Service):
            found = _present(old, new, Service)
            return self._refresh(*_both(_of_service(each, self.ingress) for each in found))
        if isinstance(event.object, Node):
            return self._refresh(*self._of_node(event))
        if isinstance(event.object, Network):
            return self._refresh_network(event.object, gone=new is None)
        return []

    def get(self, key: Key) -> Item | None:
        """The item, if there is one."""
        return self._items.get(key)

    def keys(self, network_id: str) -> Iterable[Key]:
        """The items of a network."""
        return list(self._of_network.get(network_id, ()))

    def digest(self, network_id: str) -> bytes | None:
        """Of all items of a network, or of all nodes (UNDERLAY); None if it cannot be told yet."""
        if network_id != UNDERLAY and Key(NETWORK, network_id, network_id) not in self._items:
            return None
        if network_id not in self._digests:
            items = (self._items[key] for key in self._of_network.get(network_id, ()))
            self._digests[network_id] = digest(items)
        return self._digests[network_id]

    def _refresh_network(self, network: Network, *, gone: bool) -> list[Key]:
        own = Key(NETWORK, network.id, network.id)
        if gone:
            changed = self._refresh(*self.keys(network.id))
            if self.ingress == network.id:
                self.ingress = ""
                changed += self._refresh(*self.keys(UNDERLAY))
            return changed
        if own not in self._items:
            # What was in it before it could be told of.
            services = _both(
                _of_service(each, self.ingress)
                for each in self._view.services_of_network(network.id)
            )
            tasks = _both(map(_of_task, self._view.tasks_of_network(network.id)))
            return [*self._refresh_ingress(network), *self._refresh(own, *services, *tasks)]
        return [*self._refresh_ingress(network), *self._refresh(own)]

    def _refresh_ingress(self, network: Network) -> list[Key]:
        """If it is another ingress network than before: what is said of it with others."""
        if self.ingress == network.id or not network.spec.ingress:
            return []
        self._note_ingress(network)
        publishing = (s for s in self._view.all(Service) if publishes(s.spec))
        services = (key for s in publishing for key in _of_service(s, self.ingress))
        peers = (Key(PEER, UNDERLAY, node.id) for node in self._view.all(Node))
        return self._refresh(*services, *peers)

    def _note_ingress(self, network: Network) -> None:
        if network.spec.ingress:
            self.ingress = network.id
            self._everybodys.add(network.id)

    def _of_node(self, event: Event) -> Iterator[Key]:
        yield Key(PEER, UNDERLAY, event.object.id)
        if _is_up(event.old) != _is_up(event.new):
            for task in self._view.tasks_of_node(event.object.id):
                yield from _of_task(task)

    def _refresh(self, *keys: Key) -> list[Key]:
        changed = []
        for key in dict.fromkeys(keys):
            before, item = self._items.get(key), self._make(key)
            if item == before:
                continue
            changed.append(key)
            self._digests.pop(key.network_id, None)
            if item is not None:
                self._items[key] = item
                self._of_network.setdefault(key.network_id, {})[key] = None
                continue
            del self._items[key]
            del self._of_network[key.network_id][key]
            if not self._of_network[key.network_id]:
                del self._of_network[key.network_id]
        return changed

    def _make(self, key: Key) -> Item | None:
        if key.kind == PEER:
            node = self._view.get(Node, key.id)
            return None if node is None else _peer(node, self.ingress)
        network = self._view.get(Network, key.network_id)
        if network is None or not is_settled(network):
            return None
        if key.kind == NETWORK:
            return self._network(network)
        if key.kind == SERVICE:
            service = self._view.get(Service, key.id)
            return None if service is None else _service(service, network)
        task = self._view.get(Task, key.id)
        return None if task is None else self._endpoint(task, network)

    def _network(self, network: Network) -> Item:
        ports = (c.spec.data_path_port for c in self._view.all(objects_pb2.Cluster))
        return network_pb2.NodeNetwork(
            id=network.id,
            name=network.spec.annotations.name,
            driver=driver_of(network.spec),
            vni=network.vni,
            pools=network.pools,
            internal=is_internal(network.spec),
            ingress=network.spec.ingress,
            encrypted=is_encrypted(network.spec),
            mtu=mtu_of(network.spec),
            attachable=network.spec.attachable,
            driver_options=network.spec.driver_options,
            data_path_port=next(ports, 0),
        )

    def _endpoint(self, task: Task, network: Network) -> Item | None:
        place = next((p for p in held(task.networks) if p.network_id == network.id), None)
        if place is None or not is_known(task):
            return None
        node = self._view.get(Node, task.node_id)
        if task.spec.HasField("attachment"):
            return _of_container(task, place)
        well = task.status.container.health != states.UNHEALTHY  # else its node is about to stop it
        runs = task.status.state == states.RUNNING and states.is_wanted(task) and well
        return network_pb2.NetworkEndpoint(
            network_id=network.id,
            task_id=task.id,
            name=f"{states.task_name(task)}.{task.id}",
            service_id=task.service_id,
            addresses=place.addresses,
            # Those of a service's tasks are the service's.
            aliases=() if task.service_id else place.aliases,
            node_id=task.node_id,
            serving=runs and _is_up(node),
            hostname=task.spec.container.hostname or task.id[:_HOSTNAME_LENGTH],
        )


def _of_container(task: Task, place: objects_pb2.NetworkAttachment) -> Item:
    """Found by its own name, by the beginning of its id as in Docker, and by its aliases."""
    held = task.spec.attachment
    return network_pb2.NetworkEndpoint(
        network_id=place.network_id,
        task_id=task.id,
        name=held.name,
        addresses=place.addresses,
        aliases=[held.container_id[:_HOSTNAME_LENGTH], *place.aliases],
        node_id=task.node_id,
        hostname=held.hostname,
    )


def is_known(task: Task) -> bool:
    """Whether the task is, or is about to be, on its node: nodes are told of its endpoints."""
    return states.ASSIGNED <= task.status.state <= states.RUNNING


def _of_task(task: Task) -> list[Key]:
    return [Key(ENDPOINT, place.network_id, task.id) for place in task.networks]


def _of_service(service: Service, ingress: str) -> list[Key]:
    found = {*named_by(service.spec.task), *(v.network_id for v in service.endpoint.virtual_ips)}
    if publishes(service.spec) and ingress:
        found.add(ingress)
    return [Key(SERVICE, network_id, service.id) for network_id in sorted(found)]


def _service(service: Service, network: Network) -> Item | None:
    """The service in a network; None while it has no virtual address there that it is to have."""
    virtual = [bare(v.address) for v in service.endpoint.virtual_ips if v.network_id == network.id]
    asked = [each for each in service.spec.task.networks if each.id == network.id]
    published = network.spec.ingress and publishes(service.spec)
    if not (asked or published):
        return None
    mode = service.spec.endpoint.mode
    overlay = network.vni != 0
    if overlay and mode == _VIP and not virtual:
        return None
    return network_pb2.NetworkService(
        network_id=network.id,
        service_id=service.id,
        name=service.spec.annotations.name,
        mode=mode if overlay else specs_pb2.EndpointSpec.MODE_DNSRR,
        virtual_ips=virtual,
        aliases=[alias for each in asked for alias in each.aliases],
        # In its own networks they are names: _80._tcp.web.
        ports=filter(lambda p: is_ingress(p) or not network.spec.ingress, service.endpoint.ports),
        sticky=service.spec.endpoint.sticky == _BY_CLIENT,
    )


def _peer(node: Node, ingress: str) -> Item | None:
    """None also of a node that is down: nothing is sent there, and what was sent there ends."""
    address = node.description.data_path_address or node.status.address
    if not address or not _is_up(node):
        return None
    own = [p for p in held(node.networks) if p.network_id == ingress]
    return network_pb2.NetworkPeer(
        node_id=node.id,
        data_path_address=address,
        ingress_addresses=[text for place in own for text in place.addresses],
        wireguard_key=node.description.wireguard_key,
        wireguard_address=node.description.wireguard_address,
        wireguard_port=node.description.wireguard_port,
    )


def _is_up(obj: object) -> bool:
    return isinstance(obj, Node) and obj.status.state != types_pb2.NODE_STATE_DOWN


def _present(old: object, new: object, kind: type[T]) -> list[T]:
    return [each for each in (old, new) if isinstance(each, kind)]


def _both(keys: Iterable[list[Key]]) -> list[Key]:
    return [key for some in keys for key in some]
