"""What must hold of addresses and ports after every single write, whatever happens."""

from collections.abc import Callable, Iterator
from typing import TypeAlias

from api import states
from api.v1 import objects_pb2
from manager.allocator.ipam import bare
from manager.state.changes import KINDS, Event, StoredObject
from manager.state.networks import held, is_ingress, publishes
from manager.state.store import View

Network = objects_pb2.Network
Place: TypeAlias = tuple[str, str]
"""A network's id, and an address in it."""
RESTS = "network"


class AddressWatch:
    """Checks each event against the store as it is after the whole command. AssertionError."""

    def __init__(
        self, view: View, rested: Callable[[str, str, int], None] = lambda *_: None
    ) -> None:
        """`rested(network_id, address, since)`: an address may be handed out again."""
        self._view = view
        self._rested = rested
        self._owners: dict[Place, tuple[str, str]] = {}
        self._ports: dict[tuple[int, int], str] = {}

    def check(self, event: Event) -> None:
        """Nothing is held twice; what is given up comes to rest, and is not held meanwhile."""
        obj = event.object
        owner = KINDS[type(obj)], obj.id
        before = set() if event.old is None else set(places(event.old))
        after = set() if event.new is None else set(places(event.new))
        for place in before - after:
            if self._owners.get(place) == owner:
                del self._owners[place]
            self._given_up(event, place)
        for place in after:
            other = self._owners.get(place, owner)
            assert other == owner or place not in self._now(other), (
                f"{place} is {owner}'s, and {other}'s"
            )
            self._owners[place] = owner
        self._check_ports(event)

    def _given_up(self, event: Event, place: Place) -> None:
        network = self._view.get(Network, place[0])
        if network is None:
            return
        if isinstance(event.old, Network):
            since = next(r.since for r in event.old.resting if r.address == place[1])
            self._rested(place[0], place[1], since)
            return
        resting = {each.address for each in network.resting}
        assert place[1] in resting, f"{place} is nobody's, and does not rest"

    def _now(self, owner: tuple[str, str]) -> set[Place]:
        kinds = {word: kind for kind, word in KINDS.items()}
        found = self._view.get(kinds[owner[0]], owner[1])  # type: ignore[type-var]
        return set() if found is None else set(places(found))

    def _check_ports(self, event: Event) -> None:
        old, new = event.old, event.new
        if isinstance(old, objects_pb2.Service):
            for key in _ports(old):
                if self._ports.get(key) == old.id:
                    del self._ports[key]
        if isinstance(new, objects_pb2.Service):
            for key in _ports(new):
                other = self._ports.setdefault(key, new.id)
                assert other == new.id, f"port {key} is published by {other} and {new.id}"


def places(obj: StoredObject) -> Iterator[Place]:
    """Every address that the object holds."""
    if isinstance(obj, objects_pb2.Task | objects_pb2.Node):
        for each in held(obj.networks):
            yield from ((each.network_id, bare(text)) for text in each.addresses)
    elif isinstance(obj, objects_pb2.Service):
        yield from ((v.network_id, bare(v.address)) for v in obj.endpoint.virtual_ips)
    elif isinstance(obj, Network):
        yield from ((obj.id, each.address) for each in obj.resting)


def leaked(view: View) -> str:
    """What is held that nobody needs, of a cluster at rest; "" if there is nothing."""
    for network in view.all(Network):
        if network.resting:
            return f"{len(network.resting)} addresses of {network.id} rest for ever"
    for task in view.all(objects_pb2.Task):
        if states.is_terminal(task) and any(held(task.networks)):
            return f"{task.id} has ended, and holds addresses"
        wanted = {each.id for each in task.spec.networks if each.id}
        wanted |= {"ingress"} if _published(view, task) else set()
        got = {each.network_id for each in held(task.networks)}
        if task.status.state == states.RUNNING and got != wanted:
            return f"{task.id} is in {got}, not in {wanted}"
    for service in view.all(objects_pb2.Service):
        vip = service.spec.endpoint.mode == 0
        wanted = {each.id for each in service.spec.task.networks if each.id and vip}
        if publishes(service.spec):
            wanted.add("ingress")
        if {v.network_id for v in service.endpoint.virtual_ips} != wanted:
            return f"{service.id} has addresses in other networks than {wanted}"
        if len(service.endpoint.ports) != len(service.spec.endpoint.ports):
            return f"{service.id} publishes other ports than it asks for"
    return ""


def _published(view: View, task: objects_pb2.Task) -> bool:
    service = view.get(objects_pb2.Service, task.service_id)
    return service is not None and publishes(service.spec)


def _ports(service: objects_pb2.Service) -> set[tuple[int, int]]:
    given = (*service.spec.endpoint.ports, *service.endpoint.ports)
    return {(p.protocol, p.published_port) for p in given if p.published_port and is_ingress(p)}
