"""The allocator with networks: what is set aside, what waits and why, what is taken back."""

from collections.abc import Iterable

import pytest

from api import states
from api.v1 import objects_pb2, raft_pb2, specs_pb2
from manager.allocator.decide import AllocatorLoop
from manager.allocator.networks import WARN_AT
from manager.control.networks import gone_with
from manager.dispatcher.rests import Rests
from manager.raft.node.node import ENTRY_BYTES
from manager.state.changes import copy, create, delete, encode, update
from tests.support.builders import cluster, join, network, node, publish, service, task
from tests.support.loop_driver import LoopDriver

Network = objects_pb2.Network
Service = objects_pb2.Service
Task = objects_pb2.Task
Node = objects_pb2.Node
NEW, PENDING = states.NEW, states.PENDING
MACVLAN = "macvlan"


def web(*networks: str, ports: Iterable[int] = (), name: str = "web") -> Service:
    made = service(name)
    join(made.spec, *networks)
    for port in ports:
        publish(made.spec, 80, port)
    return made


def new_task(task_id: str, of: Service, slot: int = 1) -> Task:
    made = task(task_id, of.id, slot, state=NEW, spec=of.spec.task)
    made.published = bool(of.spec.endpoint.ports)
    return made


def driver(*objects: objects_pb2.Network | Service | Task | Node) -> LoopDriver:
    made = LoopDriver(AllocatorLoop(), cluster())
    for obj in objects:
        made.write(create(obj))
    return made


def net(d: LoopDriver, name: str = "front") -> Network:
    found = d.store.get(Network, name)
    assert found is not None
    return found


def addresses(obj: Task | Node) -> dict[str, list[str]]:
    return {each.network_id: list(each.addresses) for each in obj.networks}


def confirm(d: LoopDriver) -> None:
    rests = Rests(lambda: d.store.version)
    rests.begin(d.store)
    for each in list(rests.batches(d.store, d.store.version)):
        d.write(*each.changes)
    d.run()


def test_a_network_gets_a_subnet_a_gateway_and_a_vni() -> None:
    d = driver(network("front"), network("back"), network("lan", "192.168.1.0/24", driver=MACVLAN))
    d.run()
    assert [(n.pools[0].subnet, n.pools[0].gateway, n.vni) for n in d.store.all(Network)] == [
        ("10.0.1.0/24", "10.0.1.1", 4097),
        ("10.0.0.0/24", "10.0.0.1", 4096),
        ("192.168.1.0/24", "192.168.1.1", 0),
    ]


def test_the_ingress_network_is_large_and_every_node_has_a_place_in_it() -> None:
    d = driver(network("ingress", ingress=True), node("n1"), node("n2"))
    d.run()
    assert net(d, "ingress").pools[0].subnet == "10.255.0.0/16"
    nodes = {each.id: addresses(each) for each in d.store.all(Node)}
    assert nodes == {
        "n1": {"ingress": ["10.255.0.2/16"]},
        "n2": {"ingress": ["10.255.0.3/16"]},
    }


def test_a_subnet_is_not_chosen_around_a_node_s_own_address() -> None:
    here, there = node("n1"), node("n2")
    here.status.address, there.description.data_path_address = "10.0.0.7", "10.0.1.9"
    d = driver(here, there, network("front"))
    d.run()
    assert net(d).pools[0].subnet == "10.0.2.0/24"


def test_both_families() -> None:
    front = network("front", ipv6=True)
    of = web("front")
    d = driver(front, of, new_task("t1", of))
    d.run()
    six = net(d).pools[1].subnet
    assert six.startswith("fd")
    assert six.endswith("/64")
    (v4, v6) = addresses(d.task("t1"))["front"]
    assert v4 == "10.0.0.3/24"
    assert v6.endswith("::3/64")
    assert len(d.service().endpoint.virtual_ips) == 2


def test_a_task_is_pending_once_its_service_and_itself_have_all() -> None:
    of = web("front", ports=[8080, 0])
    d = driver(network("ingress", ingress=True), network("front"), of, new_task("t1", of))
    d.run()
    endpoint = d.service().endpoint
    assert [(v.network_id, v.address) for v in endpoint.virtual_ips] == [
        ("front", "10.0.0.2/24"),
        ("ingress", "10.255.0.2/16"),
    ]
    assert [port.published_port for port in endpoint.ports] == [8080, 30000]
    ready = d.task("t1")
    assert ready.status.state == PENDING
    assert addresses(ready) == {"front": ["10.0.0.3/24"], "ingress": ["10.255.0.3/16"]}


def test_aliases_and_options_go_with_the_attachment() -> None:
    of = web("front")
    of.spec.task.networks[0].aliases.append("db")
    of.spec.task.networks[0].driver_options["a"] = "b"
    d = driver(network("front"), of, new_task("t1", of))
    d.run()
    (place,) = d.task("t1").networks
    assert (list(place.aliases), dict(place.driver_options)) == (["db"], {"a": "b"})


def test_an_attachment_says_whether_its_network_is_encrypted() -> None:
    secret, ingress = network("secret"), network("ingress", ingress=True)
    for each in (secret, ingress):
        each.spec.driver_options["encrypted"] = ""
    of = web("front", "secret", ports=[8080])
    d = driver(network("front"), secret, ingress, of, new_task("t", of))
    d.run()
    encrypted = {each.network_id: each.encrypted for each in d.task("t").networks}
    assert encrypted == {"front": False, "secret": True, "ingress": True}


def test_no_virtual_address_without_an_overlay_or_for_dnsrr() -> None:
    lan = network("lan", "192.168.1.0/24", driver=MACVLAN)
    one, other = web("lan", name="one"), web("front", name="other")
    other.spec.endpoint.mode = specs_pb2.EndpointSpec.MODE_DNSRR
    d = driver(lan, network("front"), one, other, new_task("t1", one), new_task("t2", other))
    d.run()
    assert not any(each.endpoint.virtual_ips for each in d.store.all(Service))
    assert addresses(d.task("t1")) == {"lan": ["192.168.1.2/24"]}
    assert addresses(d.task("t2")) == {"front": ["10.0.0.2/24"]}


def test_virtual_addresses_stay_over_updates() -> None:
    of = web("front", "back")
    d = driver(network("front"), network("back"), of)
    d.run()
    before = {v.network_id: v.address for v in d.service().endpoint.virtual_ips}
    changed = copy(d.service())
    del changed.spec.task.networks[0]
    d.write(update(changed))
    d.run()
    after = {v.network_id: v.address for v in d.service().endpoint.virtual_ips}
    assert after == {"back": before["back"]}
    assert [r.address for r in net(d).resting] == [before["front"].partition("/")[0]]


def test_a_full_network_lets_tasks_wait_with_the_reason_until_it_grows() -> None:
    of = web("front")
    d = driver(network("front", "10.0.1.0/29"), of)
    d.write(*(create(new_task(f"t{n}", of, n)) for n in range(1, 7)))
    d.run()
    waiting = [each for each in d.tasks() if each.status.state == NEW]
    assert [each.id for each in waiting] == ["t5", "t6"]
    assert waiting[0].status.error == (
        "network front: 10.0.1.0/29 has no free address; "
        "swarmctl network update --add-subnet 10.0.0.0/24 front"
    )
    assert "70%" in net(d).warning
    grown = copy(net(d))
    grown.spec.pools.add(subnet="10.0.2.0/24")
    d.write(update(grown))
    d.run()
    assert all(each.status.state == PENDING and not each.status.error for each in d.tasks())
    assert addresses(d.task("t5")) == {"front": ["10.0.2.2/24"]}
    assert not net(d).warning


def test_a_full_network_goes_on_when_a_task_has_ended_and_everybody_knows() -> None:
    of = web("front")
    d = driver(network("front", "10.0.1.0/29"), of)
    d.write(*(create(new_task(f"t{n}", of, n)) for n in range(1, 6)))
    d.run()
    d.report("t1", states.FAILED)
    d.run()
    (place,) = d.task("t1").networks
    assert (place.released, list(place.addresses)) == (True, ["10.0.1.3/29"])
    (rest,) = net(d).resting
    assert rest.address == "10.0.1.3"
    assert 0 < rest.since <= d.store.version
    assert d.task("t5").status.state == NEW
    confirm(d)
    assert addresses(d.task("t5")) == {"front": ["10.0.1.3/29"]}


def test_a_service_without_room_lets_its_tasks_wait_with_the_reason() -> None:
    first, second = web("front", name="first"), web("front", name="second")
    d = driver(network("front", "10.0.1.0/30"), first, second, new_task("t1", second))
    d.run()
    assert "10.0.1.0/30 has no free address" in d.task("t1").status.error
    gone = d.service("first")
    d.write(*([delete(gone), *gone_with(d.store, gone)]))
    d.run()
    confirm(d)
    assert d.service("second").endpoint.virtual_ips[0].address == "10.0.1.2/30"
    assert "no free address" in d.task("t1").status.error


def test_without_an_ingress_network_what_publishes_waits() -> None:
    of = web(ports=[8080])
    d = driver(of, new_task("t1", of))
    d.run()
    assert "network create --ingress" in d.task("t1").status.error
    d.write(create(network("in", ingress=True)))
    d.run()
    assert d.task("t1").status.state == PENDING


def test_another_ingress_network_takes_the_place_of_the_first() -> None:
    d = driver(network("one", ingress=True), node("n1"))
    d.run()
    d.write(delete(net(d, "one")))
    d.run()
    assert not next(d.store.all(Node)).networks
    d.write(create(network("two", ingress=True)))
    d.run()
    assert list(addresses(next(d.store.all(Node)))) == ["two"]
    assert net(d, "two").vni == 4097


def test_a_task_that_was_never_placed_gives_back_what_it_holds() -> None:
    of = web("front")
    d = driver(network("front"), of, new_task("t1", of))
    d.run()
    unwanted = copy(d.task("t1"))
    unwanted.desired_state = states.REMOVE
    d.write(update(unwanted))
    d.run()
    assert d.task("t1").networks[0].released
    assert [r.address for r in net(d).resting] == ["10.0.0.3"]


def test_large_tasks_give_back_what_they_hold_in_entries_of_the_log() -> None:
    of = web("front")
    of.spec.task.container.args.append("x" * 100_000)
    d = driver(network("front"), of, *(new_task(f"t{n}", of, n + 1) for n in range(40)))
    d.run()
    d.write(*(update(_ended(each)) for each in d.store.all(Task)))
    while (decision := d.decide()).more or decision.batches:
        entry = raft_pb2.Command(batches=encode(decision.batches))
        assert entry.ByteSize() < ENTRY_BYTES
        for each in decision.batches:
            d.write(*each.changes)
    assert all(each.networks[0].released for each in d.store.all(Task))
    assert len(net(d).resting) == 40


def test_without_free_subnets_a_network_says_so() -> None:
    small = cluster()
    small.spec.address_pools.append("10.9.0.0/24")
    d = LoopDriver(AllocatorLoop(), small)
    d.write(create(network("front")), create(network("back")))
    d.run()
    pending = {n.id: n.pending for n in d.store.all(Network)}
    assert sorted(map(bool, pending.values())) == [False, True]
    assert any("address pools" in why for why in pending.values())


def test_a_refused_batch_leaves_nothing_taken() -> None:
    of = web("front")
    d = driver(network("front"), of)
    d.run()
    d.write(create(new_task("t1", of)))
    (lost,) = d.decide().batches
    d.loop.refused(lost)
    d.run()
    assert addresses(d.task("t1")) == {"front": ["10.0.0.3/24"]}


@pytest.mark.parametrize("refusals", [1, 4])
def test_releases_that_are_refused_are_tried_in_smaller_batches(refusals: int) -> None:
    of = web("front")
    d = driver(network("front"), of)
    d.write(*(create(new_task(f"t{n}", of, n)) for n in range(1, 41)))
    d.run()
    for each in d.tasks():
        d.store.must(update(_ended(each)), now=d.now)
    d.loop.reset(d.store)
    sizes = []
    for _ in range(refusals):
        (lost,) = d.decide().batches
        sizes.append(len(lost.changes))
        d.loop.refused(lost)
    assert sizes[0] == 41
    assert sizes == sorted(sizes, reverse=True)
    d.run()
    assert all(each.networks[0].released for each in d.tasks())
    assert len(net(d).resting) == 40


def _ended(each: Task) -> Task:
    ended = copy(each)
    ended.status.state = states.FAILED
    return ended


def test_the_warning_comes_at_a_part_of_the_addresses_and_goes_below_another() -> None:
    of = web("front")
    d = driver(network("front", "10.0.1.0/27"), of)
    d.write(*(create(new_task(f"t{n:02}", of, n)) for n in range(1, 20)))
    d.run()
    assert not net(d).warning
    d.write(create(new_task("t20", of, 20)))
    d.run()
    assert f"{WARN_AT:.0%}" in net(d).warning
    for n in range(1, 6):
        d.report(f"t{n:02}", states.FAILED)
    d.run()
    assert net(d).warning, "what rests is held"
    confirm(d)
    assert not net(d).warning
