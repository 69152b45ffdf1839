"""What the store refuses of networks and ports, where order is settled."""

from collections.abc import Callable

import pytest

from api import states
from api.errors import Code, SwarmError
from api.v1 import objects_pb2, specs_pb2
from manager.orchestrator.rollback import respecified
from manager.state.changes import Change, batch, copy, create, delete, update
from manager.state.store import Store
from tests.support.builders import choose_port, join, network, node, publish, service, task
from tests.support.sealed_store import SealedStore

Network = objects_pb2.Network
Service = objects_pb2.Service
Port = specs_pb2.PortConfig
UPDATING = objects_pb2.UpdateStatus.STATE_UPDATING
PAUSED = objects_pb2.UpdateStatus.STATE_PAUSED
COMPLETED = objects_pb2.UpdateStatus.STATE_COMPLETED


def store(*objects: Network | Service | objects_pb2.Node | objects_pb2.Task) -> SealedStore:
    made = SealedStore()
    for obj in objects:
        made.must(create(obj), now=1.0)
    return made


def refusal(of: Store, *changes: Change) -> SwarmError | None:
    assert isinstance(of, SealedStore)
    (result,) = of.write([batch(*changes)], 1.0).results
    return result


def joining(name: str, *networks: str) -> Service:
    made = service(name)
    join(made.spec, *networks)
    return made


def publishing(name: str, port: int, **fields: object) -> Service:
    made = service(name)
    publish(made.spec, 80, port)
    made.spec.endpoint.ports[0].MergeFrom(Port(**fields))  # type: ignore[arg-type]
    return made


def changed(of: SealedStore, name: str, edit: Callable[[Service], object]) -> Service:
    found = of.get(Service, name)
    assert found is not None
    made = copy(found)
    edit(made)
    return made


def respecify(
    of: SealedStore, name: str, edit: Callable[[specs_pb2.ServiceSpec], object]
) -> Service:
    made = changed(of, name, lambda each: edit(each.spec))
    found = of.get(Service, name)
    assert found is not None
    return respecified(found, made.spec)


def gone(of: SealedStore, name: str) -> Network:
    found = of.get(Network, name)
    assert found is not None
    return copy(found)


def test_the_later_of_two_that_exclude_each_other_is_refused() -> None:
    of = store(network("front"), joining("web", "front"))
    used = refusal(of, delete(gone(of, "front")))
    assert used is not None
    assert used.code is Code.REFUSED
    missing = refusal(of, create(joining("db", "back")))
    assert missing is not None
    assert missing.code is Code.CONFLICT


def test_an_orchestrator_s_write_does_not_fail_for_what_was_there_before() -> None:
    of = store(network("front"), joining("web", "front"), publishing("shop", 8080))
    of._tables[Network].clear()
    assert refusal(of, update(changed(of, "web", lambda s: s.update_status.SetInParent()))) is None
    assert refusal(of, update(changed(of, "shop", lambda s: s.update_status.SetInParent()))) is None


def test_tasks_that_run_on_keep_their_network_and_those_that_end_do_not() -> None:
    running = task("t1", "web")
    running.networks.add(network_id="front", addresses=["10.0.0.3/24"])
    of = store(network("front"), running)
    used = refusal(of, delete(gone(of, "front")))
    assert used is not None
    assert "task web.1" in used.why
    stopping = copy(running)
    stopping.meta.version = 2
    stopping.desired_state = states.SHUTDOWN
    of.must(update(stopping), now=1.0)
    assert refusal(of, delete(gone(of, "front"))) is None


@pytest.mark.parametrize(
    ("one", "other", "passes"),
    [
        ({}, {}, False),
        ({"protocol": Port.PROTOCOL_UDP}, {}, True),
        ({"mode": Port.PUBLISH_MODE_HOST}, {}, False),
        ({}, {"mode": Port.PUBLISH_MODE_HOST}, False),
        ({"mode": Port.PUBLISH_MODE_HOST}, {"mode": Port.PUBLISH_MODE_HOST}, True),
        ({"host_ip": "10.0.0.5"}, {}, False),
        ({}, {"host_ip": "10.0.0.5"}, False),
        ({"host_ip": "10.0.0.5"}, {"host_ip": "10.0.0.6"}, True),
        ({"host_ip": "fd00::5"}, {"host_ip": "fd00:0::5"}, False),
        ({"host_ip": "10.0.0.5"}, {"host_ip": "0.0.0.0"}, False),  # noqa: S104
        (
            {"host_ip": "10.0.0.5"},
            {"host_ip": "10.0.0.5", "mode": Port.PUBLISH_MODE_HOST},
            False,
        ),
    ],
)
def test_a_port_on_every_node_excludes_all_others(
    one: dict[str, object], other: dict[str, object], passes: bool
) -> None:
    of = store(publishing("web", 8080, **one))
    refused = refusal(of, create(publishing("shop", 8080, **other)))
    assert (refused is None) == passes


def test_a_port_that_is_to_answer_on_more_addresses_may_be_another_s_by_then() -> None:
    of = store(
        publishing("web", 8080, host_ip="10.0.0.5"), publishing("shop", 8080, host_ip="10.0.0.6")
    )
    wider = changed(of, "web", lambda s: s.spec.endpoint.ports[0].ClearField("host_ip"))
    refused = refusal(of, update(wider))
    assert refused is not None
    assert "8080/tcp" in refused.what
    assert "service shop has 10.0.0.6:8080/tcp" in refused.why


def test_a_chosen_port_counts_and_so_does_one_that_an_update_may_go_back_to() -> None:
    web = publishing("web", 0)
    web.endpoint.ports.add(target_port=80, published_port=30000)
    web.previous_spec.endpoint.ports.add(target_port=80, published_port=9000)
    web.update_status.state = UPDATING
    of = store(web)
    for port in (30000, 9000):
        assert refusal(of, create(publishing(f"s{port}", port))) is not None
    over = changed(of, "web", lambda s: setattr(s.update_status, "state", COMPLETED))
    of.must(update(over), now=1.0)
    assert refusal(of, create(publishing("s9000", 9000))) is None


@pytest.mark.parametrize("state", [0, UPDATING, PAUSED])
def test_a_port_that_was_taken_back_is_free_at_once_if_no_task_is_replaced(state: int) -> None:
    web = publishing("web", 8443)
    publish(web.spec, 80, 9000)
    web.update_status.state = state  # type: ignore[assignment]
    of = store(web)
    assert refusal(of, create(publishing("shop", 9000))) is not None
    of.must(update(respecify(of, "web", lambda spec: spec.endpoint.ports.pop())), now=1.0)
    assert refusal(of, create(publishing("shop", 9000))) is None


@pytest.mark.parametrize("job", [False, True])
def test_a_port_that_was_taken_back_with_other_tasks_stays_a_service_s_but_no_job_s(
    job: bool,
) -> None:
    web = publishing("web", 9000)
    if job:
        web.spec.replicated_job.SetInParent()
    of = store(web)
    of.must(update(respecify(of, "web", lambda spec: spec.ClearField("endpoint"))), now=1.0)
    assert (refusal(of, create(publishing("shop", 9000))) is None) == job


@pytest.mark.parametrize(
    ("fields", "passes"),
    [
        ({}, False),
        ({"host_ip": "10.0.0.5"}, False),
        ({"protocol": Port.PROTOCOL_UDP}, True),
        ({"mode": Port.PUBLISH_MODE_HOST}, True),
    ],
)
def test_what_a_node_chose_for_a_task_is_no_service_s(
    fields: dict[str, object], passes: bool
) -> None:
    probe = task("t1", "probe", node_id="n1")
    choose_port(probe, 40000)
    of = store(node("n1"), probe)
    refused = refusal(of, create(publishing("web", 40000, **fields)))
    assert (refused is None) == passes
    if refused is not None:
        assert refused.code is Code.REFUSED
        assert refused.what.endswith("40000/tcp is published already")
        assert refused.why == "node n1 chose it for task probe.1"


def test_what_a_node_chose_is_free_once_the_task_has_ended() -> None:
    probe = task("t1", "probe", node_id="n1")
    choose_port(probe, 40000)
    of = store(probe)
    held = of.get(objects_pb2.Task, "t1")
    assert held is not None
    over = copy(held)
    over.status.state = states.COMPLETE
    of.must(update(over), now=1.0)
    assert refusal(of, create(publishing("web", 40000))) is None


def test_no_two_networks_have_one_vni_or_subnet() -> None:
    front, back = network("front", "10.0.1.0/24"), network("back")
    front.vni = 4096
    of = store(front, back)
    for edit in (
        lambda n: setattr(n, "vni", 4096),
        lambda n: n.pools.add(subnet="10.0.0.0/16"),
        lambda n: n.spec.pools.add(subnet="10.0.1.0/25"),
    ):
        clashing = gone(of, "back")
        edit(clashing)
        assert refusal(of, update(clashing)) is not None


def test_what_comes_to_rest_is_noted_with_the_version_that_gave_it_up() -> None:
    of = store(network("front"))
    for number in (1, 2):
        resting = gone(of, "front")
        resting.resting.add(address=f"10.0.0.{number}")
        of.must(update(resting), now=1.0)
    assert [each.since for each in gone(of, "front").resting] == [2, 3]


def test_indexes_survive_a_snapshot() -> None:
    member = task("t1", "web")
    member.networks.add(network_id="front", addresses=["10.0.0.3/24"])
    choose_port(member, 40000)
    of = store(network("front"), joining("web", "front"), publishing("shop", 8080), member)
    again = Store()
    again.restore(of.capture().encode())
    for each in (of, again):
        assert [t.id for t in each.tasks_of_network("front")] == ["t1"]
        assert [s.id for s in each.services_of_network("front")] == ["web"]
        assert [s.id for s in each.services_of_port((0, 8080))] == ["shop"]
        assert [t.id for t in each.tasks_of_port((0, 40000))] == ["t1"]
    released = copy(member)
    released.meta.version = 4
    released.networks[0].released = True
    of.must(update(released), now=1.0)
    assert of.tasks_of_network("front") == []
