"""What nodes are told of networks: whom it concerns, when, and in which order."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from api import states
from api.v1 import dispatcher_pb2, network_pb2, objects_pb2, specs_pb2
from manager.dispatcher.assignments import Assignments
from manager.dispatcher.catalogue import ENDPOINT, Catalogue, Key
from manager.dispatcher.networks import NodeNetworks
from manager.dispatcher.rests import OVERDUE, PERIOD, Rests
from manager.state.changes import Change, StoredObject, batch, copy, create, delete, update
from tests.sim.control.known import KnownNetworks, item_of, right
from tests.support.builders import DOWN, READY, cluster, join, network, node, publish, service, task
from tests.support.sealed_store import SealedStore
from worker.network_book import Book
from worker.survey import digests

Message = dispatcher_pb2.AssignmentsMessage
Network = objects_pb2.Network
Node = objects_pb2.Node
Service = objects_pb2.Service
Task = objects_pb2.Task


def settled(name: str, third: int, **kind: Any) -> Network:
    made = network(name, f"10.0.{third}.0/24", **kind)
    made.vni = 4096 + third
    made.pools.add(subnet=f"10.0.{third}.0/24", gateway=f"10.0.{third}.1")
    return made


def at(name: str, address: str) -> Node:
    made = node(name)
    made.status.address = address
    return made


def placed(task_id: str, node_id: str, *places: tuple[str, str], of: str = "web") -> Task:
    made = task(task_id, of, node_id=node_id, state=states.ASSIGNED)
    for network_id, address in places:
        made.networks.add(network_id=network_id, addresses=[address])
    return made


class Station:
    """A dispatcher without its service: a store, and the streams of some nodes."""

    def __init__(self, *objects: StoredObject) -> None:
        self.store = SealedStore()
        self.catalogue = Catalogue(self.store)
        self.streams: dict[str, Assignments] = {}
        self.known: dict[str, KnownNetworks] = {}
        self.told: dict[str, NodeNetworks] = {}
        self.books: dict[str, Book] = {}
        self.heard: dict[str, list[Any]] = {}
        self.confirm: dict[str, bool] = {}
        self.networks: dict[str, NodeNetworks] = {}
        self.catalogue.begin()
        for each in (cluster(), *objects):
            self.write(create(each))

    def open(self, node_id: str) -> None:
        networks = NodeNetworks(self.catalogue)
        stream = Assignments(node_id, lambda _: None, networks)
        networks.heard = lambda keys: stream.observe_networks(keys, 0.0)
        self.networks[node_id] = networks
        self.streams[node_id], self.known[node_id] = stream, KnownNetworks()
        self.told[node_id], self.books[node_id] = networks, Book()
        self._hear(node_id, stream.complete(self.store.tasks_of_node(node_id), self.store.version))

    def write(self, *changes: Change) -> None:
        applied = self.store.write([batch(*changes)], 1.0)
        assert applied.results == (None,), applied.results
        for event in applied.events:
            self.catalogue.tell(self.catalogue.observe(event))
            if isinstance(event.object, Task):
                for node_id, stream in self.streams.items():
                    if event.object.node_id == node_id:
                        found = self.store.get(Task, event.object.id)
                        stream.observe(event.object.id, found, 0.0)

    def change(self, kind: type[Any], object_id: str, edit: Callable[[Any], object]) -> None:
        found = self.store.get(kind, object_id)
        assert found is not None
        changed = copy(found)
        edit(changed)
        self.write(update(changed))

    def flush(self) -> None:
        for node_id, stream in self.streams.items():
            self._hear(node_id, stream.flush(self.store.version))

    def _hear(self, node_id: str, messages: list[Message]) -> None:
        self.confirm[node_id] = any(each.confirm for each in messages)
        self.heard[node_id] = [change for each in messages for change in each.changes]
        for each in messages:
            self.known[node_id].follow(each)
            self.books[node_id].follow(each)

    def names(self, node_id: str) -> list[str]:
        return sorted(":".join(key) for key in self.known[node_id].items)

    def agrees(self) -> None:
        for node_id, known in self.known.items():
            assert known.items == right(self.store, node_id)
            # By this `network check` finds out whether a node knows what it was told.
            assert self.told[node_id].digests() == digests(self.books[node_id])


def front_and_back() -> Station:
    web = service("web")
    join(web.spec, "front")
    web.spec.task.networks[0].aliases.append("site")
    web.endpoint.virtual_ips.add(network_id="front", address="10.0.1.2/24")
    return Station(
        settled("front", 1),
        settled("back", 2),
        at("n1", "192.0.2.1"),
        at("n2", "192.0.2.2"),
        web,
        placed("t1", "n1", ("front", "10.0.1.3/24")),
        placed("t2", "n2", ("front", "10.0.1.4/24"), ("back", "10.0.2.3/24")),
    )


def test_a_node_hears_of_the_networks_of_its_tasks_whole_and_of_no_other() -> None:
    station = front_and_back()
    station.open("n1")
    assert station.names("n1") == [
        "endpoint:front:t1",
        "endpoint:front:t2",
        "network:front",
        "peer:n1",
        "peer:n2",
        "service:front:web",
    ]
    station.agrees()


def test_a_container_that_is_no_task_is_found_by_its_own_names() -> None:
    station = front_and_back()
    station.open("n1")
    place = objects_pb2.Task(id="p1", node_id="n2", desired_state=states.RUNNING)
    place.status.state = states.ASSIGNED
    place.spec.attachment.container_id = "0123456789abcdef"
    place.spec.attachment.name, place.spec.attachment.hostname = "box", "boxhost"
    place.networks.add(network_id="front", addresses=["10.0.1.9/24"], aliases=["guest"])
    station.write(create(place))
    station.flush()
    told = station.known["n1"].items["endpoint", "front", "p1"]
    assert told == network_pb2.NetworkEndpoint(
        network_id="front",
        task_id="p1",
        name="box",
        addresses=["10.0.1.9/24"],
        aliases=["0123456789ab", "guest"],
        node_id="n2",
        hostname="boxhost",
    )
    station.change(Task, "p1", lambda t: setattr(t.status, "state", states.COMPLETE))
    station.flush()
    assert "endpoint:front:p1" not in station.names("n1")


def test_what_is_told_of_each() -> None:
    station = front_and_back()
    station.change(Task, "t2", lambda t: setattr(t.status, "state", states.RUNNING))
    station.open("n1")
    items = station.known["n1"].items
    assert items["service", "front", "web"] == network_pb2.NetworkService(
        network_id="front",
        service_id="web",
        name="web",
        virtual_ips=["10.0.1.2"],
        aliases=["site"],
    )
    assert items["endpoint", "front", "t2"] == network_pb2.NetworkEndpoint(
        network_id="front",
        task_id="t2",
        name="web.1.t2",
        service_id="web",
        addresses=["10.0.1.4/24"],
        node_id="n2",
        serving=True,
        hostname="t2",
    )
    told = items["network", "front"]
    assert isinstance(told, network_pb2.NodeNetwork)
    assert (told.driver, told.vni, told.pools[0].gateway) == ("overlay", 4097, "10.0.1.1")
    assert items["peer", "n2"] == network_pb2.NetworkPeer(
        node_id="n2", data_path_address="192.0.2.2"
    )


def test_a_node_is_told_by_which_key_it_and_others_encrypt() -> None:
    station = front_and_back()
    station.open("n1")

    def with_key(node: objects_pb2.Node) -> None:
        node.description.wireguard_key, node.description.wireguard_port = b"k", 51821
        node.description.wireguard_address = "fd53::1"

    for node_id in ("n1", "n2"):
        station.change(Node, node_id, with_key)
    station.flush()
    for node_id in ("n1", "n2"):
        peer = station.known["n1"].items["peer", node_id]
        assert isinstance(peer, network_pb2.NetworkPeer)
        assert (peer.wireguard_key, peer.wireguard_port) == (b"k", 51821)
        assert peer.wireguard_address == "fd53::1"


def test_everybody_hears_of_the_ingress_network_and_of_what_is_published() -> None:
    station = front_and_back()
    station.open("n1")
    station.write(create(settled("ingress", 9, ingress=True)))
    shop = service("shop")
    publish(shop.spec, 80, 8080)
    shop.endpoint.ports.add(target_port=80, published_port=8080)
    shop.endpoint.virtual_ips.add(network_id="ingress", address="10.0.9.2/24")
    station.write(create(shop))
    place = objects_pb2.NetworkAttachment(network_id="ingress", addresses=["10.0.9.3/24"])
    station.change(Node, "n2", lambda n: n.networks.append(place))
    station.open("n2")
    station.flush()
    for known in station.known.values():
        told = known.items["service", "ingress", "shop"]
        assert isinstance(told, network_pb2.NetworkService)
        assert [(p.published_port, p.target_port) for p in told.ports] == [(8080, 80)]
        peer = known.items["peer", "n2"]
        assert isinstance(peer, network_pb2.NetworkPeer)
        assert list(peer.ingress_addresses) == ["10.0.9.3/24"]
    station.write(delete(copy(_found(station, Service, "shop"))))
    station.write(delete(copy(_found(station, Network, "ingress"))))
    station.flush()
    station.agrees()


def test_ports_are_told_in_a_service_s_own_networks_too() -> None:
    station = front_and_back()
    station.open("n1")

    def publish_two(of: Service) -> None:
        of.endpoint.ports.add(target_port=80, published_port=8080)
        of.endpoint.ports.add(target_port=53, mode=specs_pb2.PortConfig.PUBLISH_MODE_HOST)

    station.change(Service, "web", publish_two)
    station.flush()
    told = station.known["n1"].items["service", "front", "web"]
    assert isinstance(told, network_pb2.NetworkService)
    assert [port.target_port for port in told.ports] == [80, 53]


def test_a_service_may_be_sticky_in_each_of_its_networks() -> None:
    station = front_and_back()
    station.open("n1")

    def stick(of: Service) -> None:
        of.spec.endpoint.sticky = specs_pb2.EndpointSpec.STICKY_SOURCE_IP

    station.change(Service, "web", stick)
    station.flush()
    told = station.known["n1"].items["service", "front", "web"]
    assert isinstance(told, network_pb2.NetworkService)
    assert told.sticky


def _found(station: Station, kind: type[Any], object_id: str) -> Any:
    found = station.store.get(kind, object_id)
    assert found is not None
    return found


def test_an_endpoint_serves_no_more_before_its_task_is_to_stop() -> None:
    station = front_and_back()
    station.change(Task, "t1", lambda t: setattr(t.status, "state", states.RUNNING))
    for name in ("n1", "n2"):
        station.open(name)
    station.change(Task, "t1", lambda t: setattr(t, "desired_state", states.SHUTDOWN))
    station.flush()
    first, second = station.heard["n1"]
    assert (first.endpoint.task_id, first.endpoint.serving) == ("t1", False)
    assert (second.task.id, second.task.desired_state) == ("t1", states.SHUTDOWN)
    (only,) = station.heard["n2"]
    assert only.endpoint.task_id == "t1"


def test_a_node_leads_to_an_endpoint_until_it_has_confirmed_that_it_serves_no_more() -> None:
    station = front_and_back()
    station.change(Task, "t1", lambda t: setattr(t.status, "state", states.RUNNING))
    station.open("n2")
    assert station.confirm["n2"], "it may know other things from before"
    networks, key = station.networks["n2"], [Key(ENDPOINT, "front", "t1")]
    begun = station.store.version
    assert networks.may_lead([Key(ENDPOINT, "front", "t2")], begun - 1)
    assert not networks.may_lead([Key(ENDPOINT, "front", "t2")], begun)
    assert networks.may_lead(key, begun)
    station.change(Task, "t1", lambda t: setattr(t, "desired_state", states.SHUTDOWN))
    assert networks.may_lead(key, station.store.version), "it is about to be told"
    station.flush()
    told = station.store.version
    assert station.confirm["n2"]
    assert networks.may_lead(key, told - 1)
    assert not networks.may_lead(key, told)
    station.change(Service, "web", lambda s: s.endpoint.virtual_ips.pop())
    station.flush()
    assert not station.confirm["n2"], "nothing waits for that"
    assert not networks.may_lead(key, told)


def test_an_unhealthy_task_serves_no_more_before_its_node_stops_it() -> None:
    station = front_and_back()
    station.change(Task, "t2", lambda t: setattr(t.status, "state", states.RUNNING))
    station.open("n1")
    station.change(Task, "t2", lambda t: setattr(t.status.container, "health", states.UNHEALTHY))
    station.flush()
    (change,) = station.heard["n1"]
    assert (change.endpoint.task_id, change.endpoint.serving) == ("t2", False)


def test_a_task_comes_after_what_it_needs_and_goes_before() -> None:
    station = front_and_back()
    station.open("n1")
    station.write(create(placed("t3", "n1", ("back", "10.0.2.4/24"), of="other")))
    station.flush()
    words = [change.WhichOneof("item") for change in station.heard["n1"]]
    assert words == ["network", "endpoint", "endpoint", "task"]
    gone = copy(_found(station, Task, "t3"))
    gone.status.state = states.FAILED
    station.write(update(gone))
    station.flush()
    heard = station.heard["n1"]
    assert [change.WhichOneof("item") for change in heard] == ["task"] * (len(heard) - 3) + [
        "endpoint",
        "endpoint",
        "network",
    ]
    station.agrees()


@pytest.mark.parametrize("state", [DOWN, READY])
def test_what_is_on_a_node_that_is_down_does_not_serve(state: Any) -> None:
    station = front_and_back()
    station.change(Task, "t2", lambda t: setattr(t.status, "state", states.RUNNING))
    station.open("n1")
    station.change(Node, "n2", lambda n: setattr(n.status, "state", DOWN))
    station.change(Node, "n2", lambda n: setattr(n.status, "state", state))
    station.flush()
    told = station.known["n1"].items["endpoint", "front", "t2"]
    assert isinstance(told, network_pb2.NetworkEndpoint)
    assert told.serving == (state == READY)


def test_what_does_not_concern_a_node_costs_it_nothing() -> None:
    station = front_and_back()
    station.open("n1")
    station.change(Task, "t1", lambda t: setattr(t.status, "message", "still well"))
    station.write(create(placed("t4", "n2", ("back", "10.0.2.9/24"))))
    assert station.streams["n1"].due() is None


def test_a_service_of_a_network_without_virtual_addresses_is_found_by_its_tasks() -> None:
    lan = network("lan", "192.168.1.0/24", driver="macvlan")
    lan.pools.add(subnet="192.168.1.0/24", gateway="192.168.1.1")
    of = service("web")
    join(of.spec, "lan")
    station = Station(lan, of, at("n1", "192.0.2.1"))
    station.write(create(placed("t1", "n1", ("lan", "192.168.1.2/24"))))
    station.open("n1")
    told = station.known["n1"].items["service", "lan", "web"]
    assert isinstance(told, network_pb2.NetworkService)
    assert told.mode == specs_pb2.EndpointSpec.MODE_DNSRR
    lan_told = station.known["n1"].items["network", "lan"]
    assert isinstance(lan_told, network_pb2.NodeNetwork)
    assert lan_told.internal, "it stands on no device"


def test_a_large_network_comes_in_outlines_first() -> None:
    station = front_and_back()
    many = [placed(f"m{n:05}", "n2", ("front", f"10.0.1.{n % 200}/24")) for n in range(100)]
    for each in many:
        each.service_name = "s" * 40_000
    station.write(*map(create, many))
    stream = Assignments("n1", lambda _: None, NodeNetworks(station.catalogue))
    known = KnownNetworks()
    messages = stream.complete(station.store.tasks_of_node("n1"), 7)
    assert len(messages) > 1
    for message in messages:
        assert message.ByteSize() < 4 << 20
        known.follow(message)
    assert known.items == right(station.store, "n1")
    assert [each.version for each in messages] == [0] * (len(messages) - 1) + [7]


@pytest.mark.parametrize("seed", range(25))
def test_whatever_happens_everybody_knows_what_is_right(seed: int) -> None:
    random, station = Random(seed), front_and_back()
    for name in ("n1", "n2"):
        station.open(name)
    for number in range(60):
        _act(random, station, number)
        if random.random() < 0.3:
            station.flush()
        if random.random() < 0.05:
            station.open(random.choice(["n1", "n2"]))
        if random.random() < 0.05:
            station.catalogue.begin()
            for node_id, stream in station.streams.items():
                stream.resync(station.store.tasks_of_node(node_id), 0.0)
    station.flush()
    station.agrees()
    station.store.check_seals()


def _act(random: Random, station: Station, number: int) -> None:
    tasks = list(station.store.all(Task))
    act = random.randrange(6)
    if act == 0 or not tasks:
        places = [("front", f"10.0.1.{number + 20}/24"), ("back", f"10.0.2.{number + 20}/24")]
        chosen = random.sample(places, random.randrange(3))
        node_id = random.choice(["n1", "n2"])
        station.write(create(placed(f"x{number}", node_id, *chosen)))
    elif act == 1:
        told = random.choice([states.RUNNING, states.FAILED, states.ASSIGNED])
        station.change(Task, random.choice(tasks).id, lambda t: setattr(t.status, "state", told))
    elif act == 2:
        station.write(delete(copy(random.choice(tasks))))
    elif act == 3:
        state = random.choice([DOWN, READY])
        station.change(Node, "n2", lambda n: setattr(n.status, "state", state))
    elif act == 4:
        station.change(Service, "web", lambda s: setattr(s.spec.endpoint, "mode", number % 2))
    elif station.store.get(Network, "ingress") is None:
        station.write(create(settled("ingress", 9, ingress=True)))
    else:
        station.write(delete(copy(_found(station, Network, "ingress"))))


def test_a_node_has_confirmed_what_it_says_or_all_if_nothing_more_concerns_it() -> None:
    station = front_and_back()
    station.open("n1")
    stream, told = station.streams["n1"], station.store.version
    assert Assignments("n1", lambda _: None, NodeNetworks(station.catalogue)).confirmed(5, 9) == 5
    assert stream.confirmed(0, told + 5) == 0, "it has carried nothing out yet"
    assert stream.confirmed(told, told + 5) == told + 5
    station.change(Task, "t2", lambda t: setattr(t.status, "state", states.RUNNING))
    assert stream.confirmed(told, told + 5) == told, "it is about to hear of more"
    station.flush()
    assert stream.confirmed(told, told + 5) == told, "it was sent more"
    assert stream.confirmed(station.store.version, told + 5) == told + 5


def test_addresses_rest_until_their_version_is_confirmed() -> None:
    station, confirmed = front_and_back(), [0]
    rests = Rests(lambda: confirmed[0])
    rests.begin(station.store)
    assert rests.due(5.0) is None
    station.change(Network, "front", lambda n: n.resting.add(address="10.0.1.9"))
    station.change(Network, "front", lambda n: n.resting.add(address="10.0.1.10"))
    rests.begin(station.store)
    assert rests.due(5.0) == 5.0
    assert list(rests.batches(station.store, rests.take(5.0))) == []
    assert rests.due(5.1) == 5.0 + PERIOD
    confirmed[0] = station.store.version - 1
    for each in list(rests.batches(station.store, rests.take(6.0))):
        station.write(*each.changes)
    assert [r.address for r in _found(station, Network, "front").resting] == ["10.0.1.10"]


def test_no_item_is_in_a_change_of_a_task() -> None:
    assert item_of(dispatcher_pb2.AssignmentChange(task=Task(id="t"))) is None


def test_what_rests_for_too_long_is_complained_of_now_and_then() -> None:
    station = front_and_back()
    station.change(Network, "front", lambda n: n.resting.add(address="10.0.1.9"))
    rests = Rests(lambda: 0)
    rests.begin(station.store)

    def look(now: float) -> bool:
        overdue = rests.is_overdue(now)
        assert list(rests.batches(station.store, rests.take(now))) == []
        return overdue

    moments = [0.0, OVERDUE - 1, OVERDUE, OVERDUE + 1, 2 * OVERDUE]
    assert [look(now) for now in moments] == [False, False, True, False, True]


def test_who_knows_something_else_has_another_digest() -> None:
    station = front_and_back()
    station.open("n1")
    before = station.told["n1"].digests()
    assert before == digests(station.books["n1"])
    station.change(Node, "n2", lambda each: setattr(each.status, "address", "192.0.2.9"))
    after = station.told["n1"].digests()
    assert {key for key in after if after[key] != before.get(key)} == {""}
    assert after != digests(station.books["n1"])
    station.flush()
    station.agrees()
