"""Whom a task that is to be stopped waits for, and when it has waited for all."""

from collections.abc import Collection, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import states
from api.v1 import objects_pb2
from manager.dispatcher.catalogue import Key
from manager.dispatcher.drains import Drains
from tests.support.builders import task


def a_task(task_id: str = "t1", *, node_id: str = "n1", wanted: bool = False) -> objects_pb2.Task:
    made = task(task_id, "web", node_id=node_id, state=states.RUNNING)
    made.desired_state = states.RUNNING if wanted else states.SHUTDOWN
    made.networks.add(network_id="front", addresses=["10.0.1.3/24"])
    return made


class Nodes:
    """`leading`: those that may lead connections to any task yet."""

    def __init__(self, *leading: str) -> None:
        self.leading = set(leading)
        self.asked: set[Key] = set()
        self.told: list[tuple[str, str]] = []
        self.drains = Drains(
            lambda: ["n1", "n2", "n3"],
            self._may_lead,
            lambda node_id, task_id: self.told.append((node_id, task_id)),
        )

    def _may_lead(self, node_id: str, endpoints: Collection[Key]) -> bool:
        self.asked |= set(endpoints)
        return node_id in self.leading

    def confirm(self, *node_ids: str) -> None:
        for node_id in node_ids:
            self.leading.discard(node_id)
            self.drains.heard(node_id)


def test_a_task_is_drained_once_the_last_node_leads_nobody_to_it() -> None:
    nodes = Nodes("n1", "n3")
    nodes.drains.observe("t1", a_task())
    assert [key.network_id for key in nodes.asked] == ["front"]
    nodes.confirm("n2", "n3")
    assert nodes.told == []
    assert nodes.drains.done_on("n1") == []
    nodes.drains.heard("n1")
    assert nodes.told == [], "it may lead there yet"
    nodes.confirm("n1")
    assert nodes.told == [("n1", "t1")]
    assert nodes.drains.done_on("n1") == ["t1"]
    assert nodes.drains.observe("t1", a_task()) == ()
    nodes.confirm("n1", "n2", "n3")
    assert nodes.told == [("n1", "t1")], "it is told once"


def test_a_task_to_which_nobody_leads_is_drained_at_once() -> None:
    nodes = Nodes()
    nodes.drains.observe("t1", a_task())
    assert nodes.told == [("n1", "t1")]


def ended() -> objects_pb2.Task:
    made = a_task()
    made.status.state = states.SHUTDOWN
    return made


def released() -> objects_pb2.Task:
    made = a_task()
    made.networks[0].released = True
    return made


@pytest.mark.parametrize("other", [a_task(wanted=True), ended(), released(), None])
def test_no_other_task_is_waited_for(other: objects_pb2.Task | None) -> None:
    nodes = Nodes("n2")
    assert nodes.drains.observe("t1", other) == ()
    nodes.confirm("n2")
    assert nodes.told == []


@pytest.mark.parametrize("last", [ended(), None])
def test_who_was_not_waited_for_is_named(last: objects_pb2.Task | None) -> None:
    nodes = Nodes("n3", "n2")
    nodes.drains.observe("t1", a_task())
    assert list(nodes.drains.observe("t1", last)) == ["n2", "n3"]
    nodes.confirm("n2", "n3")
    assert nodes.told == []
    assert nodes.drains.observe("t1", None) == ()


def test_a_new_leader_waits_anew() -> None:
    nodes = Nodes()
    nodes.drains.observe("t0", a_task("t0"))
    nodes.told.clear()
    nodes.leading = {"n2"}
    nodes.drains.begin([a_task(), a_task("t2", wanted=True)])
    assert nodes.drains.done_on("n1") == []
    nodes.confirm("n2")
    assert nodes.told == [("n1", "t1")]


NODES = st.sampled_from(["n1", "n2", "n3"])


@given(st.lists(st.tuples(st.sampled_from(["t1", "t2"]), NODES | st.none())), st.sets(NODES))
def test_nothing_is_left_of_tasks_that_have_ended(
    steps: Iterable[tuple[str, str | None]], leading: set[str]
) -> None:
    nodes = Nodes(*leading)
    for task_id, node_id in steps:
        if node_id is None:
            nodes.drains.observe(task_id, None)
        else:
            nodes.drains.observe(task_id, a_task(task_id))
            nodes.confirm(node_id)
        for done in nodes.drains.done_on("n1"):
            assert ("n1", done) in nodes.told
    for task_id in ("t1", "t2"):
        nodes.drains.observe(task_id, None)
    nodes.told.clear()
    nodes.confirm("n1", "n2", "n3")
    assert nodes.told == []
    assert nodes.drains.done_on("n1") == []
