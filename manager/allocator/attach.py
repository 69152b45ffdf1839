"""What services, tasks and nodes are to have in networks, and how they come to it or give it back.

Pure. Addresses that are given back come to rest in their network (`Network.resting`) by the same
write: until every node that is up has confirmed that it does not know them any more
(manager/dispatcher/rests.py), nobody gets them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

from api import states
from api.networks import OVERLAY, driver_of, is_encrypted
from api.v1 import objects_pb2, specs_pb2
from manager.allocator import ports
from manager.allocator.book import Book, owner_of
from manager.allocator.ipam import bare, parsed
from manager.state.changes import copy
from manager.state.networks import PortKey, held, holds, is_ingress, named_by, publishes
from manager.state.store import View

Attachment = objects_pb2.NetworkAttachment
Network = objects_pb2.Network
Node = objects_pb2.Node
Service = objects_pb2.Service
Task = objects_pb2.Task

_VIP = specs_pb2.EndpointSpec.MODE_VIP


class NotYet(Exception):
    """Something is not to be had now. `why`, for people; `network_id`: where it may come from."""

    def __init__(self, why: str, network_id: str = "") -> None:
        super().__init__(why)
        self.why = why
        self.network_id = network_id


class Networks:
    """The networks that can be attached to, as one decision sees them."""

    def __init__(
        self, view: View, book: Book, is_settled: Callable[[Network], bool], hint: Callable[[], str]
    ) -> None:
        """`hint`: the subnet with which a network that is full could grow, or nothing."""
        self._view = view
        self._book = book
        self._is_settled = is_settled
        self._hint = hint
        self.ingress = next((n for n in view.all(Network) if n.spec.ingress), None)

    def usable(self, network_id: str) -> Network:
        """A network that can be attached to; NotYet."""
        network = self._view.get(Network, network_id)
        if network is None:
            raise NotYet(f"network {network_id} was removed", network_id)
        if not self._is_settled(network):
            why = network.pending or "its subnet is being chosen"
            raise NotYet(f"network {network.spec.annotations.name}: {why}", network_id)
        return network

    def publishing(self) -> Network:
        """The ingress network; NotYet."""
        if self.ingress is None:
            raise NotYet(
                "there is no ingress network for published ports; "
                "swarmctl network create --ingress --driver overlay ingress"
            )
        return self.usable(self.ingress.id)

    def take(
        self, obj: Task | Service | Node, network: Network, asked: Iterable[str] = ()
    ) -> list[str]:
        """Addresses for the object, one of each family, those `asked` for among them; NotYet."""
        wanted = [parsed(text) for text in asked]
        given = self._book.take(owner_of(obj), network.id, wanted)
        if given is not None:
            return given
        if wanted:
            raise NotYet(
                f"network {network.spec.annotations.name}: {' or '.join(asked)} cannot be had: "
                "somebody has it, or had it just now, or it is not handed out",
                network.id,
            )
        room = self._book.room(network.id)
        full = room.full() if room is not None else "it"
        hint = self._hint()
        name = network.spec.annotations.name
        remedy = f"; swarmctl network update --add-subnet {hint} {name}" if hint else ""
        raise NotYet(f"network {name}: {full} has no free address{remedy}", network.id)


def endpoint_of(
    service: Service, networks: Networks, is_free: Callable[[PortKey], bool]
) -> objects_pb2.Endpoint:
    """What the service is to hold from now on; NotYet, and nothing is taken for good."""
    made = objects_pb2.Endpoint()
    for network in _with_virtual_ip(service, networks):
        present = [v for v in service.endpoint.virtual_ips if v.network_id == network.id]
        if present:
            made.virtual_ips.extend(present)
            continue
        for address in networks.take(service, network):
            made.virtual_ips.add(network_id=network.id, address=address)
    asked = service.spec.endpoint.ports
    made.ports.extend(ports.settled(asked, service.endpoint.ports, is_free))
    return made


def _with_virtual_ip(service: Service, networks: Networks) -> Iterator[Network]:
    """An overlay alone has virtual addresses: other networks end at their node."""
    if service.spec.endpoint.mode == _VIP:
        for network_id in named_by(service.spec.task):
            network = networks.usable(network_id)
            if driver_of(network.spec) == OVERLAY:
                yield network
    if publishes(service.spec):
        yield networks.publishing()


def is_settled(service: Service, networks: Networks) -> bool:
    """Whether the service holds all that it is to hold; NotYet where that cannot be known."""
    wanted = {network.id for network in _with_virtual_ip(service, networks)}
    asked, published = service.spec.endpoint.ports, service.endpoint.ports
    return {v.network_id for v in service.endpoint.virtual_ips} == wanted and (
        len(asked) == len(published) and all(map(_is_published, asked, published))
    )


def _is_published(asked: specs_pb2.PortConfig, made: specs_pb2.PortConfig) -> bool:
    if asked.published_port or not is_ingress(asked):
        return made == asked
    filled = specs_pb2.PortConfig()
    filled.CopyFrom(asked)
    filled.published_port = made.published_port
    return made.published_port > 0 and made == filled


def attached(task: Task, networks: Networks) -> list[Attachment]:
    """The places in networks for a new task; NotYet."""
    made = []
    for asked in task.spec.networks:
        if asked.id:
            network = networks.usable(asked.id)
            made.append(
                Attachment(
                    network_id=network.id,
                    addresses=networks.take(task, network, asked.addresses),
                    aliases=asked.aliases,
                    driver_options=asked.driver_options,
                    driver=driver_of(network.spec),
                    encrypted=is_encrypted(network.spec),
                )
            )
    if task.published:
        network = networks.publishing()
        if all(each.network_id != network.id for each in made):
            addresses = networks.take(task, network)
            encrypted = is_encrypted(network.spec)
            made.append(
                Attachment(
                    network_id=network.id,
                    addresses=addresses,
                    driver=OVERLAY,
                    encrypted=encrypted,
                )
            )
    return made


def gives_back(task: Task) -> bool:
    """Whether the task holds addresses that it needs no more."""
    if not holds(task):
        return False
    return states.is_terminal(task) or (
        task.status.state < states.ASSIGNED and not states.is_wanted(task)
    )


def released(task: Task) -> Task:
    """The task without its addresses, which it keeps on record."""
    changed = copy(task)
    for each in changed.networks:
        each.released = True
    return changed


def node_places(node: Node, networks: Networks) -> list[Attachment]:
    """The places that a node is to have by itself: one in the ingress network; NotYet."""
    if networks.ingress is None:
        return []
    network = networks.publishing()
    present = [each for each in held(node.networks) if each.network_id == network.id]
    if present:
        return present
    addresses = networks.take(node, network)
    return [Attachment(network_id=network.id, addresses=addresses, driver=OVERLAY)]


def given_back(before: Iterable[str], after: Iterable[str]) -> list[str]:
    """Addresses that somebody had and has no more, without the length of their prefixes."""
    kept = set(after)
    return [bare(address) for address in before if address not in kept]


def at_rest(network: Network, addresses: Iterable[str]) -> Network:
    """The network with further addresses at rest; the store notes since when."""
    changed = copy(network)
    known = {each.address for each in changed.resting}
    for address in dict.fromkeys(addresses):
        if address not in known:
            changed.resting.add(address=address)
    return changed


def addresses_of(obj: Task | Service | Node) -> Mapping[str, list[str]]:
    """What the object holds, by network."""
    found: dict[str, list[str]] = {}
    if isinstance(obj, Service):
        for each in obj.endpoint.virtual_ips:
            found.setdefault(each.network_id, []).append(each.address)
    else:
        for place in held(obj.networks):
            found.setdefault(place.network_id, []).extend(place.addresses)
    return found
