"""Whom to ask for logs, who is given up, and when a reading is over."""

from collections.abc import Callable
from typing import Any

import pytest

from api import states
from api.errors import Code, SwarmError
from api.times import timestamp
from api.v1 import logs_pb2, objects_pb2
from manager.control.log_routing import ANSWER_LIMIT, Route, check
from manager.state.changes import copy, create, delete, update
from tests.support.builders import DOWN, EPOCH, READY, UNKNOWN, node, service, task
from tests.support.sealed_store import SealedStore


class Bench:
    """A service `web` with one task on each of two nodes, and one reading of it."""

    def __init__(self, *, follow: bool = False, tail: int = -1, **selector: Any) -> None:
        self.store = SealedStore()
        self.store.must(
            create(service("web", 2)),
            create(node("n1")),
            create(node("n2")),
            create(task("t1", slot=1, node_id="n1")),
            create(task("t2", slot=2, node_id="n2")),
            now=EPOCH,
        )
        self.listening = {"n1", "n2"}
        chosen = logs_pb2.LogSelector(**(selector or {"service_ids": ["web"]}))
        self.route = Route("r1", chosen, logs_pb2.LogOptions(follow=follow, tail=tail))

    def update(self, now: float = 0.0) -> list[str]:
        return sorted(self.route.update(self.store, self.listening, now))

    def node(self, node_id: str, state: int) -> None:
        found = self.store.get(objects_pb2.Node, node_id)
        assert found is not None
        changed = copy(found)
        changed.status.state = state  # type: ignore[assignment]
        self.store.must(update(changed), now=EPOCH)

    def done(self, node_id: str, error: str = "") -> None:
        self.route.heard(node_id)
        self.route.done(self.store, node_id, error)

    def tick(self, now: float) -> list[str]:
        self.route.tick(self.store, now)
        return self.route.take_warnings()

    @property
    def finished(self) -> bool:
        return self.route.is_finished(self.store)


def line(at: float) -> logs_pb2.LogMessage:
    return logs_pb2.LogMessage(task_id="t1", at=timestamp(at))


@pytest.mark.parametrize(
    ("selector", "asked"),
    [
        ({"service_ids": ["web"]}, ["n1", "n2"]),
        ({"task_ids": ["t2"]}, ["n2"]),
        ({"node_ids": ["n1"]}, ["n1"]),
        ({"task_ids": ["t2"], "node_ids": ["n1"]}, ["n1", "n2"]),
    ],
)
def test_who_is_asked(selector: dict[str, Any], asked: list[str]) -> None:
    bench = Bench(**selector)
    assert bench.update() == asked
    assert bench.update() == []
    assert bench.route.asked() == asked


@pytest.mark.parametrize(
    ("new", "asked"),
    [
        (task("t3", node_id="", state=states.PENDING), []),
        (task("t3", node_id="n3", state=states.PENDING), []),
        (task("t3", node_id="n3", state=states.ASSIGNED), ["n3"]),
        (task("t3", node_id="n3", state=states.FAILED), ["n3"]),
        (task("t3", "other", node_id="n3"), []),
    ],
)
def test_nodes_of_assigned_tasks_are_asked(new: objects_pb2.Task, asked: list[str]) -> None:
    bench = Bench()
    bench.listening.add("n3")
    bench.store.must(create(node("n3")), create(new), now=EPOCH)
    assert bench.update() == [*["n1", "n2"], *asked]


def test_a_reading_is_over_when_every_source_is_done() -> None:
    bench = Bench()
    bench.update()
    bench.done("n1")
    assert not bench.finished
    bench.done("n2", "the disk is full")
    assert bench.finished
    assert bench.route.take_warnings() == [
        "node n2 (n2) could not send all its log lines: the disk is full"
    ]


def test_a_reading_without_sources_is_over_at_once() -> None:
    bench = Bench()
    for task_id in ("t1", "t2"):
        found = bench.store.get(objects_pb2.Task, task_id)
        assert found is not None
        bench.store.must(delete(found), now=EPOCH)
    assert bench.update() == []
    assert bench.finished


@pytest.mark.parametrize("follow", [False, True])
def test_a_node_that_is_down_warns_once_and_the_rest_goes_on(follow: bool) -> None:
    bench = Bench(follow=follow)
    bench.node("n2", DOWN)
    bench.listening.remove("n2")
    assert bench.update() == ["n1"]
    (warning,) = bench.route.take_warnings()
    assert warning.startswith("node n2 (n2) is down: log lines of its tasks are missing; ")
    assert bench.update() == []
    assert bench.tick(1000.0) == ([] if follow else [silent("n1", follow)])
    assert bench.finished is not follow


def silent(node_id: str, follow: bool) -> str:
    remedy = (
        "they follow when it is back"
        if follow
        else "read again when it is back, or see `swarmctl node ls`"
    )
    return (
        f"node {node_id} ({node_id}) has not answered within 5 s: "
        f"log lines of its tasks are missing; {remedy}"
    )


def test_a_node_that_was_removed_warns() -> None:
    bench = Bench()
    found = bench.store.get(objects_pb2.Node, "n2")
    assert found is not None
    bench.store.must(delete(found), now=EPOCH)
    bench.listening.remove("n2")
    bench.update()
    (warning,) = bench.route.take_warnings()
    assert warning.startswith("node n2 was removed: ")


@pytest.mark.parametrize("follow", [False, True])
@pytest.mark.parametrize("state", [UNKNOWN, READY])
def test_a_node_that_does_not_listen_has_five_seconds(follow: bool, state: int) -> None:
    bench = Bench(follow=follow, task_ids=["t2"])
    bench.node("n2", state)
    bench.listening.remove("n2")
    assert bench.update(10.0) == []
    assert bench.route.due() == 10.0 + ANSWER_LIMIT
    assert bench.tick(14.9) == []
    assert not bench.finished
    assert bench.tick(15.0) == [silent("n2", follow)]
    assert bench.route.due() is None
    assert bench.tick(99.0) == []
    assert bench.route.listens(bench.store, "n2", 99.0) is follow


def test_a_node_that_was_asked_has_five_seconds_unless_it_is_followed() -> None:
    bench = Bench(task_ids=["t2"])
    bench.update(10.0)
    assert bench.tick(15.0) == [silent("n2", False)]
    assert bench.finished
    with pytest.raises(SwarmError) as refused:
        bench.route.heard("n2")
    assert refused.value.code is Code.DENIED
    assert Bench(follow=True).update(10.0) == ["n1", "n2"]
    quiet = Bench(follow=True)
    quiet.update(10.0)
    assert quiet.route.due() is None


def test_who_answers_may_take_its_time() -> None:
    bench = Bench(task_ids=["t2"])
    bench.update(10.0)
    bench.route.heard("n2")
    assert bench.tick(1000.0) == []
    assert not bench.finished


def test_a_node_that_goes_down_while_it_sends_is_not_waited_for() -> None:
    bench = Bench(task_ids=["t2"])
    bench.update()
    bench.route.heard("n2").took([line(EPOCH)])
    bench.node("n2", UNKNOWN)
    bench.update()
    assert bench.route.take_warnings() == []
    bench.node("n2", DOWN)
    bench.update()
    assert len(bench.route.take_warnings()) == 1
    assert bench.finished


def test_a_stream_that_breaks_off_is_told() -> None:
    bench = Bench(task_ids=["t2"])
    bench.update()
    bench.route.heard("n2")
    bench.route.broke(bench.store, "n2")
    bench.route.broke(bench.store, "n2")
    (warning,) = bench.route.take_warnings()
    assert warning.startswith("node n2 (n2) broke off: ")
    assert bench.finished


def test_a_stream_that_ends_after_done_is_no_trouble() -> None:
    bench = Bench(task_ids=["t2"])
    bench.update()
    bench.done("n2")
    bench.route.broke(bench.store, "n2")
    assert bench.route.take_warnings() == []


def test_an_agent_that_listens_anew_before_it_began_is_asked_again() -> None:
    bench = Bench(task_ids=["t2"])
    bench.update()
    assert bench.route.listens(bench.store, "n2", 1.0)
    assert not bench.route.listens(bench.store, "n1", 2.0)
    bench.done("n2")
    assert not bench.route.listens(bench.store, "n2", 3.0)
    assert bench.route.take_warnings() == []


def test_an_agent_that_listens_anew_in_the_middle_has_broken_off() -> None:
    bench = Bench(task_ids=["t2"])
    bench.update()
    bench.route.heard("n2")
    assert not bench.route.listens(bench.store, "n2", 2.0)
    (warning,) = bench.route.take_warnings()
    assert warning.startswith("node n2 (n2) broke off: ")
    assert bench.finished


@pytest.mark.parametrize("lost", [False, True])
def test_a_follower_has_a_node_asked_for_what_came_since(lost: bool) -> None:
    bench = Bench(follow=True, tail=10, task_ids=["t1"])
    bench.update()
    first = bench.route.request("n1")
    assert (first.id, first.options.tail) == ("r1", 10)
    assert not first.options.HasField("since")
    bench.route.heard("n1").took([line(EPOCH - 4), line(EPOCH)])
    if lost:
        bench.route.broke(bench.store, "n1")
    assert bench.route.listens(bench.store, "n1", 50.0)
    again = bench.route.request("n1")
    assert again.options.tail == -1
    assert again.options.since == timestamp(EPOCH)
    assert bench.route.heard("n1").fresh([line(EPOCH), line(EPOCH + 1)]) == [line(EPOCH + 1)]


def test_the_last_lines_are_asked_of_the_tasks_that_a_follower_found() -> None:
    bench = Bench(follow=True, tail=1)
    bench.listening.remove("n2")
    bench.update()
    bench.listening |= {"n2", "n3"}
    bench.store.must(
        create(node("n3")),
        create(task("t3", slot=3, node_id="n3", state=states.ASSIGNED)),
        create(task("t4", slot=4, node_id="n2", state=states.ASSIGNED)),
        now=EPOCH,
    )
    assert bench.update() == ["n2", "n3"]
    asked = {name: bench.route.request(name) for name in ("n1", "n2", "n3")}
    assert {name: list(each.tail_task_ids) for name, each in asked.items()} == {
        "n1": ["t1"],
        "n2": ["t2"],
        "n3": [],
    }
    assert {each.options.tail for each in asked.values()} == {1}


def test_a_follower_takes_lines_of_a_node_that_was_down_for_a_moment() -> None:
    bench = Bench(follow=True, task_ids=["t1"])
    bench.update()
    bench.route.heard("n1")
    bench.node("n1", DOWN)
    bench.update()
    bench.route.heard("n1").took([line(EPOCH)])
    assert bench.route.asked() == ["n1"]


def test_a_follower_asks_for_tasks_that_come_later() -> None:
    bench = Bench(follow=True)
    bench.update()
    bench.done("n1")
    bench.listening.add("n3")
    bench.store.must(
        create(node("n3")),
        create(task("t3", slot=3, node_id="n3", state=states.ASSIGNED)),
        create(task("t4", slot=1, node_id="n1", state=states.ASSIGNED)),
        create(task("t5", slot=2, node_id="n2", state=states.ASSIGNED)),
        now=EPOCH,
    )
    # n1 had said that it is done; n2 is still sending and finds its new task by itself.
    assert bench.update() == ["n1", "n3"]
    assert not bench.finished


@pytest.mark.parametrize(
    ("selector", "state", "over"),
    [
        ({"service_ids": ["web"]}, states.COMPLETE, False),
        ({"node_ids": ["n1"]}, states.COMPLETE, False),
        ({"task_ids": ["t1"]}, states.COMPLETE, True),
        ({"task_ids": ["t1"]}, states.RUNNING, False),
        ({"task_ids": ["t1"]}, None, True),
    ],
)
def test_following_ends_with_the_tasks_that_were_named(
    selector: dict[str, Any], state: int | None, over: bool
) -> None:
    bench = Bench(follow=True, **selector)
    for node_id in bench.update():
        bench.done(node_id)
    found = bench.store.get(objects_pb2.Task, "t1")
    assert found is not None
    if state is None:
        bench.store.must(delete(found), now=EPOCH)
    else:
        changed = copy(found)
        changed.status.state = state  # type: ignore[assignment]
        bench.store.must(update(changed), now=EPOCH)
    assert bench.finished is over


@pytest.mark.parametrize(
    ("obj", "concerns"),
    [
        (task("t9", "web"), True),
        (task("t9", "other"), False),
        (node("n1"), True),
        (node("n9"), False),
        (service("web"), False),
    ],
)
def test_what_concerns_a_reading(obj: object, concerns: bool) -> None:
    bench = Bench()
    bench.update()
    assert bench.route.concerns(obj) is concerns


@pytest.mark.parametrize(
    ("selector", "code", "field"),
    [
        (logs_pb2.LogSelector(), Code.INVALID, "selector"),
        (logs_pb2.LogSelector(service_ids=["no"]), Code.NOT_FOUND, "selector.service_ids"),
        (logs_pb2.LogSelector(task_ids=["t1", "no"]), Code.NOT_FOUND, "selector.task_ids"),
        (logs_pb2.LogSelector(node_ids=["no"]), Code.NOT_FOUND, "selector.node_ids"),
    ],
)
def test_a_selector_must_select(selector: logs_pb2.LogSelector, code: Code, field: str) -> None:
    with pytest.raises(SwarmError) as refused:
        check(Bench().store, selector)
    assert (refused.value.code, refused.value.field) == (code, field)


def test_a_node_that_was_not_asked_may_not_send() -> None:
    bench = Bench(task_ids=["t1"])
    bench.update()
    calls: list[Callable[[], object]] = [lambda: bench.route.heard("n2")]
    bench.done("n1")
    calls.append(lambda: bench.route.heard("n1"))
    for call in calls:
        with pytest.raises(SwarmError) as refused:
            call()
        assert refused.value.code is Code.DENIED
