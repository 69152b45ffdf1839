"""Networks through the API: what is answered, and what is refused before it changes."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from api import states
from api.errors import Code, SwarmError
from api.v1 import control_pb2, objects_pb2, specs_pb2, types_pb2
from manager.allocator.decide import AllocatorLoop
from manager.control import listing
from manager.control.networks import Networks
from manager.control.references import with_ids
from manager.control.services import Services
from manager.state.changes import batch, create
from manager.state.store import Store
from tests.support.builders import cluster, node
from tests.support.counter import counter
from tests.support.direct_proposer import DirectProposer

Network = objects_pb2.Network
Service = objects_pb2.Service
Listed = control_pb2.ListNetworksRequest


def run(call: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(call)


class Desk:
    """Networks and services over a store of their own, with the allocator beside."""

    def __init__(self) -> None:
        self.store = Store()
        self.proposer = DirectProposer(self.store, lambda: 1000.0)
        ids = counter("id-")
        self.networks = Networks(self.store, self.proposer, ids)
        self.services = Services(self.store, self.proposer, ids, lambda: 1000.0)
        self._requests = counter("r-")
        run(self.proposer.propose([batch(create(cluster())), batch(create(node("n1")))]))

    def create(self, name: str, *subnets: str, request_id: str = "", **fields: Any) -> Network:
        spec = specs_pb2.NetworkSpec(annotations=types_pb2.Annotations(name=name), **fields)
        spec.pools.extend(specs_pb2.IpamConfig(subnet=text) for text in subnets)
        request = control_pb2.CreateNetworkRequest(
            spec=spec, request_id=request_id or self._requests()
        )
        made: Network = run(self.networks.create(request))
        return made

    def update(self, network: Network, edit: Callable[[specs_pb2.NetworkSpec], object]) -> Network:
        spec = specs_pb2.NetworkSpec()
        spec.CopyFrom(network.spec)
        edit(spec)
        request = control_pb2.UpdateNetworkRequest(
            key=network.id, spec=spec, version=network.meta.version, request_id=self._requests()
        )
        made: Network = run(self.networks.update(request))
        return made

    def remove(self, key: str, request_id: str = "") -> str:
        request = control_pb2.RemoveRequest(key=key, request_id=request_id or self._requests())
        return str(run(self.networks.remove(request)).id)

    def names(self, **asked: Any) -> list[str]:
        found = self.networks.list(Listed(**asked))
        return [each.spec.annotations.name for piece in found for each in piece]

    def use(self, name: str, *networks: str, port: int = 0) -> Service:
        spec = specs_pb2.ServiceSpec(annotations=types_pb2.Annotations(name=name))
        spec.replicated.replicas = 1
        spec.task.container.image = "app"
        for each in networks:
            spec.task.networks.add(target=each)
        if port:
            spec.endpoint.ports.add(target_port=80, published_port=port)
        request = control_pb2.CreateServiceRequest(spec=spec, request_id=self._requests())
        made: Service = run(self.services.create(request))
        return made

    def drop(self, name: str) -> None:
        request = control_pb2.RemoveRequest(key=name, request_id=self._requests())
        run(self.services.remove(request))

    def allocate(self) -> None:
        loop = AllocatorLoop()
        for _ in range(5):
            loop.reset(self.store)
            run(self.proposer.propose(loop.decide(self.store, 1000.0).batches))

    def network(self, name: str) -> Network:
        found = self.store.named(Network, name)
        assert found is not None
        return found


def refusal(call: Callable[[], object]) -> SwarmError:
    with pytest.raises(SwarmError) as refused:
        call()
    return refused.value


def test_a_network_is_made_once_however_often_it_is_asked_for() -> None:
    desk = Desk()
    made = desk.create("front", request_id="same")
    assert desk.create("front", request_id="same") == made
    assert refusal(lambda: desk.create("front")).code is Code.EXISTS
    assert refusal(lambda: desk.create("host")).code is Code.INVALID


def test_a_subnet_is_one_network_s_alone_and_there_is_one_ingress_network() -> None:
    desk = Desk()
    desk.create("front", "10.0.1.0/24")
    refused = refusal(lambda: desk.create("back", "10.0.0.0/16"))
    assert (refused.code, refused.field) == (Code.REFUSED, "pools")
    assert "front has it" in str(refused)
    desk.create("in", ingress=True)
    assert "network rm in" in str(refusal(lambda: desk.create("two", ingress=True)))


def test_those_of_every_node_are_shown_and_stay() -> None:
    desk = Desk()
    desk.create("front")
    assert desk.names() == ["bridge", "host", "none", "front"]
    shown = desk.networks.get(control_pb2.GetRequest(key="host"))
    assert (shown.spec.driver, shown.spec.scope) == ("host", "local")
    assert refusal(lambda: desk.remove("host")).code is Code.REFUSED


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"types": ["custom"]}, ["front", "lan"]),
        ({"types": ["builtin"]}, ["bridge", "host", "none"]),
        ({"drivers": ["overlay"]}, ["front"]),
        ({"scopes": ["swarm"]}, ["front", "lan"]),
        ({"names": ["fr"]}, ["front"]),
        ({"labels": ["a"]}, ["front"]),
        ({"dangling": [True]}, ["lan"]),
        ({"dangling": [False], "types": ["custom"]}, ["front"]),
    ],
)
def test_filters(asked: dict[str, Any], expected: list[str]) -> None:
    desk = Desk()
    labelled = types_pb2.Annotations(name="front", labels={"a": "b"})
    spec = specs_pb2.NetworkSpec(annotations=labelled)
    run(desk.networks.create(control_pb2.CreateNetworkRequest(spec=spec, request_id="r")))
    desk.create("lan", "192.168.0.0/24", driver="macvlan")
    desk.use("web", "front")
    assert desk.names(**asked) == expected


def test_a_network_that_is_used_stays_and_says_by_whom() -> None:
    desk = Desk()
    desk.create("front")
    desk.use("web", "front")
    refused = refusal(lambda: desk.remove("front"))
    assert refused.code is Code.REFUSED
    assert "service web" in refused.why
    desk.drop("web")
    assert desk.remove("front", "once") == desk.remove("front", "once")
    assert desk.names(types=["custom"]) == []


def test_the_ingress_network_is_used_by_what_publishes() -> None:
    desk = Desk()
    desk.create("in", ingress=True)
    desk.use("web", port=8080)
    refused = refusal(lambda: desk.remove("in"))
    assert "service web" in refused.why
    assert "--publish-rm" in refused.remedy
    desk.drop("web")
    desk.remove("in")


def test_subnets_can_be_added_and_nothing_else_but_labels_changes() -> None:
    desk = Desk()
    made = desk.create("front", "10.0.1.0/24")
    desk.create("back", "10.0.2.0/24")
    grown = desk.update(made, lambda s: s.pools.add(subnet="10.0.3.0/24"))
    labelled = desk.update(grown, lambda s: s.annotations.labels.update({"a": "b"}))
    assert [pool.subnet for pool in labelled.spec.pools] == ["10.0.1.0/24", "10.0.3.0/24"]
    for edit, field in (
        (lambda s: s.pools.add(subnet="10.0.2.0/25"), "pools"),
        (lambda s: s.pools.add(subnet="10.0.3.0/25"), "pools[2].subnet"),
        (lambda s: s.pools.pop(), "pools"),
        (lambda s: setattr(s, "internal", True), "spec"),
        (lambda s: setattr(s.annotations, "name", "other"), "spec"),
    ):
        assert refusal(lambda edit=edit: desk.update(labelled, edit)).field == field  # type: ignore[misc]
    assert refusal(lambda: desk.update(made, lambda _: None)).code is Code.CONFLICT


def test_a_port_has_one_service_whose_name_is_told() -> None:
    desk = Desk()
    desk.use("web", port=8080)
    refused = refusal(lambda: desk.use("other", port=8080))
    assert (refused.code, "service web has it" in str(refused)) == (Code.REFUSED, True)
    assert "8080/tcp" in refused.what
    desk.drop("web")
    desk.use("other", port=8080)


def test_who_is_in_a_network() -> None:
    desk = Desk()
    desk.create("in", ingress=True)
    desk.create("front", "10.0.1.0/29")
    desk.allocate()
    web = desk.use("web", "front", port=8080)
    desk.allocate()
    made = objects_pb2.Task(id="t1", service_id=web.id, service_name="web", slot=1)
    made.spec.CopyFrom(web.spec.task)
    run(desk.proposer.propose([batch(create(made))]))
    desk.allocate()
    use = desk.networks.use(control_pb2.GetRequest(key="front"))
    (row,) = use.services
    assert (row.name, list(row.addresses), list(row.ports)) == ("web", ["10.0.1.2/29"], [])
    assert [(t.name, list(t.addresses)) for t in row.tasks] == [("web.1", ["10.0.1.3/29"])]
    assert (use.addresses_held, use.addresses) == (2, 5)
    inside = desk.networks.use(control_pb2.GetRequest(key="in"))
    assert [port.published_port for port in inside.services[0].ports] == [8080]
    assert [(n.id, list(n.addresses)) for n in inside.nodes] == [("n1", ["10.255.0.2/16"])]
    assert not desk.networks.use(control_pb2.GetRequest(key="host")).services


def test_a_container_in_a_network_is_named_and_is_no_task_of_the_lists() -> None:
    desk = Desk()
    desk.create("front", "10.0.1.0/29")
    desk.allocate()
    made = objects_pb2.Task(id="p1", node_id="n1", desired_state=states.RUNNING)
    made.spec.attachment.container_id, made.spec.attachment.name = "c1", "box"
    front = desk.networks.get(control_pb2.GetRequest(key="front"))
    made.spec.networks.add(target="front", id=front.id)
    run(desk.proposer.propose([batch(create(made))]))
    desk.allocate()
    use = desk.networks.use(control_pb2.GetRequest(key="front"))
    (row,) = use.containers
    assert (row.id, row.name, row.node_id) == ("c1", "box", "n1")
    assert list(row.addresses) == ["10.0.1.2/29"]
    assert (use.addresses_held, list(use.services)) == (1, [])
    assert "by container box" in refusal(lambda: desk.remove("front")).why
    assert not any(listing.tasks(desk.store, control_pb2.ListTasksRequest()))


def test_what_a_service_held_rests_when_it_is_removed() -> None:
    desk = Desk()
    desk.create("front", "10.0.1.0/29")
    desk.allocate()
    desk.use("web", "front")
    desk.allocate()
    desk.drop("web")
    use = desk.networks.use(control_pb2.GetRequest(key="front"))
    assert (use.addresses_held, use.addresses_resting) == (1, 1)
    (rest,) = desk.network("front").resting
    assert (rest.address, rest.since) == ("10.0.1.2", desk.store.version)


@pytest.mark.parametrize(
    ("targets", "index", "words"),
    [
        (["moon"], 0, "no network 'moon'"),
        (["in"], 0, "publish"),
        (["front", "id-1"], 1, "again"),
    ],
)
def test_a_service_names_networks_that_there_are(
    targets: list[str], index: int, words: str
) -> None:
    desk = Desk()
    front = desk.create("front")
    assert front.id == "id-1"
    desk.create("in", ingress=True)
    spec = specs_pb2.ServiceSpec()
    for target in targets:
        spec.task.networks.add(target=target)
    refused = refusal(lambda: with_ids(desk.store, spec))
    assert refused.field == f"task.networks[{index}].target"
    assert words in str(refused)


def test_names_become_ids_and_those_of_every_node_have_none() -> None:
    desk = Desk()
    front = desk.create("front")
    spec = specs_pb2.ServiceSpec()
    spec.task.networks.add(target="front", id="made up")
    spec.task.networks.add(target="host", id="made up")
    assert [each.id for each in with_ids(desk.store, spec).task.networks] == [front.id, ""]
