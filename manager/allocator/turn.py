"""One decision of the allocator: what it sets aside and takes back, and batches that say so. Pure.

Whatever changes networks themselves goes into one batch, together with the objects that gave
addresses back: an address is at no moment neither somebody's nor at rest.
"""

from collections.abc import Iterable

from api import states
from api.errors import SwarmError
from api.times import timestamp
from api.v1 import objects_pb2
from manager.allocator import networks as settling
from manager.allocator.attach import (
    Networks,
    NotYet,
    Task,
    addresses_of,
    at_rest,
    attached,
    endpoint_of,
    given_back,
    is_settled,
    node_places,
    released,
)
from manager.allocator.book import Book
from manager.state.changes import MAX_PROPOSAL_BYTES, Batch, Change, batch, copy, update
from manager.state.networks import PortKey
from manager.state.store import View

Network = objects_pb2.Network
Node = objects_pb2.Node
Service = objects_pb2.Service

WAITING = "waiting for what it needs in networks"


class Turn:
    """Collects what is decided at `now`, wall seconds."""

    def __init__(self, view: View, book: Book, now: float) -> None:
        self._view = view
        self._book = book
        self._at = timestamp(now)
        self._settling: settling.Settling | None = None
        self._networks = Networks(view, book, settling.is_settled, self._hint)
        self._chosen: set[PortKey] = set()
        self._settled: dict[str, bool] = {}
        self._rest: dict[str, list[str]] = {}
        self._changed: dict[str, Network] = {}
        self._together: list[Change] = []
        self._bytes_together = 0
        self._alone: list[Batch] = []

    def network(self, network: Network) -> None:
        """Gives a network what it lacks."""
        if not settling.is_complete(network):
            changed = self._fresh().settle(network)
            if changed is not None:
                self._changed[network.id] = changed
                self._bytes_together += changed.ByteSize()

    def service(self, service: Service) -> None:
        """Gives a service what it lacks, and takes what it needs no more; NotYet."""
        try:
            made = endpoint_of(service, self._networks, lambda key: self._is_free(service, key))
        except SwarmError as error:
            self._book.follow(service)
            raise NotYet(f"{error.what}; {error.remedy}") from error
        except NotYet:
            self._book.follow(service)
            raise
        self._chosen.update((port.protocol, port.published_port) for port in made.ports)
        if made == service.endpoint:
            return
        changed = copy(service)
        changed.endpoint.CopyFrom(made)
        self._exchange(service, changed)

    def node(self, node: Node) -> None:
        """Gives a node its place in the ingress network, and takes any other; NotYet."""
        try:
            places = node_places(node, self._networks)
        except NotYet:
            self._book.follow(node)
            raise
        if places != list(node.networks):
            changed = copy(node)
            del changed.networks[:]
            changed.networks.extend(places)
            self._exchange(node, changed)

    def release(self, task: Task) -> None:
        """Takes from a task what it needs no more."""
        self._exchange(task, released(task))

    def task(self, task: Task) -> None:
        """Sets aside what a new task needs, so that it can be scheduled; NotYet."""
        service = self._view.get(Service, task.service_id)
        if service is not None and not self._is_settled(service):
            raise NotYet("", service.id)
        try:
            places = attached(task, self._networks)
        except NotYet:
            self._book.follow(task)
            raise
        pending = copy(task)
        pending.networks.extend(places)
        pending.status.state = states.PENDING
        pending.status.message = "pending task scheduling"
        if task.spec.HasField("attachment"):
            # It is where its container is, whatever else the node takes or has room for.
            pending.status.state = states.ASSIGNED
            pending.status.message = "it has its place in the network"
        pending.status.error = ""
        pending.status.at.CopyFrom(self._at)
        self._alone.append(batch(update(pending)))

    def waits(self, task: Task, why: str) -> None:
        """Tells with a task why it cannot be scheduled yet, if that is news."""
        if task.status.error != why:
            waiting = copy(task)
            waiting.status.message, waiting.status.error = WAITING, why
            waiting.status.at.CopyFrom(self._at)
            self._alone.append(batch(update(waiting)))

    def warn(self, network_ids: Iterable[str]) -> None:
        """Says of networks whether their addresses run out, where that is news."""
        for network_id in network_ids:
            network, room = self._view.get(Network, network_id), self._book.room(network_id)
            if network is not None and room is not None:
                changed = settling.warned(self._changed.get(network_id, network), room)
                if changed is not None:
                    self._changed[network_id] = changed

    def batches(self) -> list[Batch]:
        """Everything that was decided."""
        for network_id, addresses in self._rest.items():
            network = self._view.get(Network, network_id)
            if network is not None:
                present = self._changed.get(network_id, network)
                self._changed[network_id] = at_rest(present, addresses)
        together = [*self._together, *map(update, self._changed.values()), *self._last_vni()]
        return [*([batch(*together)] if together else []), *self._alone]

    def __len__(self) -> int:
        """Batches so far."""
        return len(self._alone) + len(self._together)

    @property
    def is_full(self) -> bool:
        """Whether more would make the one batch too large to propose."""
        return self._bytes_together >= MAX_PROPOSAL_BYTES

    def _exchange(self, before: Task | Service | Node, after: Task | Service | Node) -> None:
        kept = addresses_of(after)
        gone = False
        for network_id, addresses in addresses_of(before).items():
            back = given_back(addresses, kept.get(network_id, ()))
            if back:
                gone = True
                self._rest.setdefault(network_id, []).extend(back)
        if gone or isinstance(after, Task):
            self._together.append(update(after))
            self._bytes_together += after.ByteSize()
        else:
            self._alone.append(batch(update(after)))

    def _is_settled(self, service: Service) -> bool:
        if service.id not in self._settled:
            try:
                self._settled[service.id] = is_settled(service, self._networks)
            except NotYet:
                self._settled[service.id] = False
        return self._settled[service.id]

    def _is_free(self, service: Service, key: PortKey) -> bool:
        others = self._view.services_of_port(key)
        return key not in self._chosen and all(other.id == service.id for other in others)

    def _fresh(self) -> settling.Settling:
        if self._settling is None:
            self._settling = settling.Settling.begin(self._view)
        return self._settling

    def _hint(self) -> str:
        return str(self._fresh().free_subnet() or "")

    def _last_vni(self) -> Iterable[Change]:
        if self._settling is None:
            return
        for cluster in self._view.all(objects_pb2.Cluster):
            if cluster.last_vni != self._settling.last_vni:
                changed = copy(cluster)
                changed.last_vni = self._settling.last_vni
                yield update(changed)
