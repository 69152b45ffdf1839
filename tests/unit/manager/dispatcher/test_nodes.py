"""What is written of nodes, and what they are told of the cluster."""

import pytest

from api.times import duration, seconds_of
from api.v1 import objects_pb2
from manager.dispatcher.nodes import (
    NodeReports,
    concerns_all_agents,
    greeting,
    heartbeat_period,
    is_old_news,
)
from manager.dispatcher.sessions import Finding
from manager.state.changes import Event, copy, create, update
from tests.support.builders import DOWN, EPOCH, READY, UNKNOWN, cluster, node
from tests.support.sealed_store import SealedStore


def store(*objects: objects_pb2.Node | objects_pb2.Cluster) -> SealedStore:
    made = SealedStore()
    made.must(*map(create, objects), now=EPOCH)
    return made


def manager(node_id: str, address: str) -> objects_pb2.Node:
    made = node(node_id)
    made.manager.address = address
    return made


def flush(view: SealedStore, reports: NodeReports) -> int:
    batches = list(reports.batches(view, reports.take(0.0)))
    assert not any(view.write(batches, EPOCH).results)
    return len(batches)


def found(view: SealedStore, node_id: str) -> objects_pb2.Node:
    present = view.get(objects_pb2.Node, node_id)
    assert present is not None
    return present


def test_a_registration_writes_state_description_and_address_once() -> None:
    view, reports = store(node("n1", state=UNKNOWN)), NodeReports()
    said = objects_pb2.NodeDescription(hostname="alpha")
    for expected in (1, 0):
        reports.registered("n1", said, "10.0.0.7", EPOCH + 5)
        assert reports.due(3.0) == 3.0
        assert flush(view, reports) == expected
        assert reports.due(3.0) is None
    written = found(view, "n1")
    assert written.description.hostname == "alpha"
    assert (written.status.state, written.status.address) == (READY, "10.0.0.7")
    assert seconds_of(written.status.since) == EPOCH + 5


def test_the_address_that_an_agent_names_goes_before_where_it_came_from() -> None:
    view, reports = store(node("n1")), NodeReports()
    said = objects_pb2.NodeDescription(address="192.0.2.1")
    reports.registered("n1", said, "10.0.0.7", EPOCH)
    flush(view, reports)
    assert found(view, "n1").status.address == "192.0.2.1"
    reports.registered("n1", objects_pb2.NodeDescription(), "", EPOCH)
    flush(view, reports)
    assert found(view, "n1").status.address == "192.0.2.1"


def test_the_last_state_stands_and_keeps_what_the_agent_said() -> None:
    view, reports = store(node("n1", state=UNKNOWN)), NodeReports()
    said = objects_pb2.NodeDescription(hostname="alpha")
    reports.registered("n1", said, "10.0.0.7", EPOCH)
    taken = reports.take(0.0)
    reports.found(Finding("n1", DOWN, "gone"), EPOCH + 9)
    reports.restore(taken)
    flush(view, reports)
    written = found(view, "n1")
    assert (written.status.state, written.status.message) == (DOWN, "gone")
    assert (written.description.hostname, written.status.address) == ("alpha", "10.0.0.7")


def test_a_node_that_is_gone_is_not_written() -> None:
    reports = NodeReports()
    reports.found(Finding("n9", DOWN), EPOCH)
    assert flush(store(), reports) == 0


def test_since_is_when_the_state_began() -> None:
    view, reports = store(node("n1")), NodeReports()
    reports.found(Finding("n1", DOWN, "first"), EPOCH + 1)
    flush(view, reports)
    reports.found(Finding("n1", DOWN, "second"), EPOCH + 2)
    flush(view, reports)
    assert seconds_of(found(view, "n1").status.since) == EPOCH + 1


@pytest.mark.parametrize(("said", "period"), [(None, 2.0), (0.0, 2.0), (5.0, 5.0)])
def test_heartbeat_period(said: float | None, period: float) -> None:
    view = store()
    if said is not None:
        named = cluster()
        named.spec.heartbeat_period.CopyFrom(duration(said))
        view = store(named)
    assert heartbeat_period(view) == period


def test_a_greeting_names_the_node_the_managers_and_the_root() -> None:
    named = cluster()
    named.root_ca.certificate_pem = b"PEM"
    named.root_ca.key_pem = b"SECRET"
    view = store(named, manager("m1", "10.0.0.1:2377"), manager("m2", ""), node("n1"))
    message = greeting(view, found(view, "n1"), "s1")
    assert message.session_id == "s1"
    assert message.node.id == "n1"
    assert [(m.node_id, m.address) for m in message.managers] == [("m1", "10.0.0.1:2377")]
    assert message.root_ca_pem == b"PEM"
    assert b"SECRET" not in message.SerializeToString()


def test_what_the_agent_said_itself_is_no_news_to_it() -> None:
    view = store(node("n1", state=UNKNOWN))
    first = greeting(view, found(view, "n1"), "s1")
    assert not is_old_news(None, first)
    echo = copy(found(view, "n1"))
    echo.status.state = READY
    echo.description.hostname = "other"
    view.must(update(echo), now=EPOCH)
    assert is_old_news(first, greeting(view, found(view, "n1"), "s1"))
    drained = copy(found(view, "n1"))
    drained.spec.annotations.labels["zone"] = "b"
    view.must(update(drained), now=EPOCH)
    assert not is_old_news(first, greeting(view, found(view, "n1"), "s1"))


@pytest.mark.parametrize(
    ("event", "concerns"),
    [
        (Event(None, cluster()), True),
        (Event(None, manager("m1", "a:1")), True),
        (Event(manager("m1", "a:1"), manager("m1", "b:1")), True),
        (Event(manager("m1", "a:1"), None), True),
        (Event(manager("m1", "a:1"), manager("m1", "a:1")), False),
        (Event(node("n1"), node("n1", state=DOWN)), False),
    ],
)
def test_what_concerns_every_agent(event: Event, concerns: bool) -> None:
    assert concerns_all_agents(event) is concerns
