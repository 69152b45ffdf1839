"""What an applied change is called, and what is told of it."""

from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api import states
from api.v1 import objects_pb2, types_pb2
from manager.events.kinds import TABLE, events_of
from manager.events.steps import LONGEST
from manager.state.changes import KINDS, Event, StoredObject, T, copy
from tests.support import builders

Status = objects_pb2.UpdateStatus
TASK = {"name": "web.1", "service": "web", "service.id": "web", "node.id": "n1"}

PLAIN = [kind for kind in KINDS if kind not in (objects_pb2.Task, objects_pb2.Node)]
"""Kinds of which only the name is always told."""


def told(old: StoredObject | None, new: StoredObject | None) -> list[tuple[str, str, Any]]:
    """Type, action and attributes of each event."""
    return [(each.kind, each.action, each.attributes) for each in events_of(Event(old, new))]


def after(old: T, change: Callable[[T], object]) -> T:
    new = copy(old)
    change(new)
    return new


def named(kind: type[Any]) -> Any:
    obj = kind(id="x1")
    annotated = obj if kind is objects_pb2.Operator else obj.spec.annotations
    annotated.name = "some"
    return obj


@pytest.mark.parametrize(
    "kind", [k for k in KINDS if k not in (objects_pb2.Task, objects_pb2.Node)]
)
def test_an_object_comes_and_goes(kind: type[Any]) -> None:
    obj, word = named(kind), TABLE[kind].word
    assert told(None, obj) == [(word, "create", {"name": "some"})]
    assert told(obj, None) == [(word, "remove", {"name": "some"})]
    assert events_of(Event(None, obj))[0].id == "x1"


@pytest.mark.parametrize("kind", [objects_pb2.Secret, objects_pb2.Config, objects_pb2.Operator])
def test_an_update_of_what_has_nothing_to_tell_is_told(kind: type[Any]) -> None:
    obj = named(kind)
    assert told(obj, copy(obj)) == [(TABLE[kind].word, "update", {"name": "some"})]


def service(replicas: int = 1, image: str = "app:1") -> objects_pb2.Service:
    return builders.service(replicas=replicas, spec=builders.task_spec(image))


def rollout(state: Status.State.ValueType, message: str = "") -> objects_pb2.Service:
    made = service()
    made.update_status.state, made.update_status.message = state, message
    return made


def restarted(iteration: int) -> objects_pb2.Service:
    made = builders.service(mode="replicated_job")
    made.job_status.iteration = iteration
    return made


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            service(1),
            service(3),
            {"replicas.old": "1", "replicas.new": "3", "changed": "replicated.replicas"},
        ),
        (
            service(),
            service(image="app:2"),
            {"image.old": "app:1", "image.new": "app:2", "changed": "task.container.image"},
        ),
        (service(), rollout(Status.STATE_UPDATING), {"updatestate.new": "updating"}),
        (
            rollout(Status.STATE_UPDATING),
            rollout(Status.STATE_PAUSED, "task t1 failed"),
            {
                "updatestate.old": "updating",
                "updatestate.new": "paused",
                "message": "task t1 failed",
            },
        ),
        (
            rollout(Status.STATE_PAUSED),
            rollout(Status.STATE_ROLLBACK_STARTED),
            {"updatestate.old": "paused", "updatestate.new": "rollback_started"},
        ),
        (rollout(Status.STATE_COMPLETED), service(), {"updatestate.old": "completed"}),
        (restarted(0), restarted(1), {"iteration.old": "0", "iteration.new": "1"}),
    ],
)
def test_what_an_update_of_a_service_tells(
    old: objects_pb2.Service, new: objects_pb2.Service, expected: dict[str, str]
) -> None:
    assert told(old, new) == [("service", "update", {"name": "web", **expected})]


def test_parts_of_a_spec_that_changed_are_named_and_not_shown() -> None:
    def change(service: objects_pb2.Service) -> None:
        service.spec.task.container.env.append("PASSWORD=x")
        service.spec.annotations.labels["tier"] = "front"
        service.spec.update.delay.seconds = 3
        service.spec.rollback.SetInParent()

    parts = "annotations.labels,task.container.env,update.delay,rollback"
    expected = {"name": "web", "changed": parts}
    assert told(service(), after(service(), change)) == [("service", "update", expected)]


def test_notes_of_the_swarms_own_are_no_news() -> None:
    web, node = service(), builders.node("n1")
    assert told(web, after(web, lambda s: s.registry_logins.update(a="b"))) == []
    assert told(node, after(node, lambda n: n.certificate.keys.append(b"k"))) == []
    assert told(task(), after(task(), lambda t: t.status.at.GetCurrentTime())) == []


def node(**fields: Any) -> objects_pb2.Node:
    made = builders.node("n1", **fields)
    made.spec.annotations.name = ""
    made.description.hostname = "host1"
    return made


def manager(*, leader: bool, reachable: bool = True) -> objects_pb2.Node:
    made = node()
    made.manager.leader, made.manager.reachable = leader, reachable
    return made


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            node(),
            after(
                node(state=builders.DOWN),
                lambda n: setattr(n.status, "message", "heartbeats missed"),
            ),
            {"state.old": "ready", "state.new": "down", "message": "heartbeats missed"},
        ),
        (node(state=builders.DOWN), node(), {"state.old": "down", "state.new": "ready"}),
        (
            node(),
            node(availability=builders.DRAIN),
            {
                "availability.old": "active",
                "availability.new": "drain",
                "changed": "availability",
            },
        ),
        (
            node(),
            after(node(), lambda n: setattr(n, "role", types_pb2.NODE_ROLE_MANAGER)),
            {"role.old": "worker", "role.new": "manager"},
        ),
        (
            manager(leader=False),
            manager(leader=True),
            {"leader.old": "false", "leader.new": "true"},
        ),
        (
            manager(leader=True),
            manager(leader=False, reachable=False),
            {
                "leader.old": "true",
                "leader.new": "false",
                "reachability.old": "reachable",
                "reachability.new": "unreachable",
            },
        ),
        (node(), manager(leader=False), None),
        (
            node(),
            after(node(), lambda n: n.spec.annotations.labels.update(disk="ssd")),
            {"changed": "annotations.labels"},
        ),
        (node(), after(node(), lambda n: n.description.engine.labels.update(a="b")), {}),
    ],
)
def test_what_an_update_of_a_node_tells(
    old: objects_pb2.Node, new: objects_pb2.Node, expected: dict[str, str] | None
) -> None:
    events = [] if expected is None else [("node", "update", {"name": "host1", **expected})]
    assert told(old, new) == events


def task(state: types_pb2.TaskState.ValueType = states.RUNNING, **fields: Any) -> objects_pb2.Task:
    return builders.task("t1", state=state, node_id="n1", **fields)


def ended(state: types_pb2.TaskState.ValueType, code: int, **fields: Any) -> objects_pb2.Task:
    made = task(state, **fields)
    made.status.container.container_id, made.status.container.exit_code = "c", code
    return made


def well(health: types_pb2.HealthState.ValueType) -> objects_pb2.Task:
    made = task()
    made.status.container.health = health
    return made


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            task(states.STARTING),
            task(states.RUNNING),
            [("state", {"state.old": "starting", "state.new": "running"})],
        ),
        (
            task(),
            after(
                ended(states.FAILED, 137, error="killed"),
                lambda t: setattr(t.status.container, "oom_killed", True),
            ),
            [
                (
                    "state",
                    {
                        "state.old": "running",
                        "state.new": "failed",
                        "exitCode": "137",
                        "oomKilled": "true",
                        "error": "killed",
                    },
                )
            ],
        ),
        (
            task(),
            ended(states.COMPLETE, 0),
            [("state", {"state.old": "running", "state.new": "complete", "exitCode": "0"})],
        ),
        (
            task(states.PREPARING),
            task(states.REJECTED, error="no such image"),
            [
                (
                    "state",
                    {"state.old": "preparing", "state.new": "rejected", "error": "no such image"},
                )
            ],
        ),
        (
            task(),
            task(desired=states.SHUTDOWN),
            [("update", {"desired.old": "running", "desired.new": "shutdown"})],
        ),
        (
            task(states.PENDING, error="no node"),
            task(states.PENDING, error="no suitable node"),
            [("update", {"error": "no suitable node"})],
        ),
        (
            well(states.UNPROVEN),
            well(states.HEALTHY),
            [("health_status", {"health.old": "starting", "health.new": "healthy"})],
        ),
        (
            task(states.STARTING),
            after(well(states.UNPROVEN), lambda t: setattr(t, "desired_state", states.SHUTDOWN)),
            [
                ("update", {"desired.old": "running", "desired.new": "shutdown"}),
                ("state", {"state.old": "starting", "state.new": "running"}),
                ("health_status", {"health.old": "none", "health.new": "starting"}),
            ],
        ),
    ],
)
def test_what_becomes_of_a_task_is_told(
    old: objects_pb2.Task, new: objects_pb2.Task, expected: list[tuple[str, dict[str, str]]]
) -> None:
    assert told(old, new) == [("task", action, {**TASK, **told}) for action, told in expected]


def test_what_has_no_name_tells_none() -> None:
    assert told(None, objects_pb2.Node(id="n1")) == [("node", "create", {})]
    assert told(None, objects_pb2.Cluster(id="c1")) == [("swarm", "create", {})]


def test_a_task_without_a_node_tells_of_none() -> None:
    (event,) = events_of(Event(None, builders.task("t1")))
    assert "node.id" not in event.attributes


def cluster(**fields: Any) -> objects_pb2.Cluster:
    made: objects_pb2.Cluster = named(objects_pb2.Cluster)
    made.root_ca.CopyFrom(
        objects_pb2.RootCa(certificate_pem=b"R1", worker_token="W1", manager_token="M1")  # noqa: S106
    )
    made.root_ca.MergeFrom(objects_pb2.RootCa(**fields))
    return made


def locked(key: bytes) -> objects_pb2.Cluster:
    made = cluster()
    made.spec.autolock, made.unlock_key = True, key
    return made


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (cluster(), cluster(worker_token="W2"), {"token.worker": "rotated"}),  # noqa: S106
        (cluster(), cluster(manager_token="M2"), {"token.manager": "rotated"}),  # noqa: S106
        (
            cluster(),
            locked(b"K1"),
            {"autolock.old": "false", "autolock.new": "true", "changed": "autolock"},
        ),
        (locked(b"K1"), locked(b"K2"), {"unlockkey": "rotated"}),
        (
            cluster(),
            cluster(rotation=objects_pb2.RootRotation(id="r1")),
            {"rootca": "rotating"},
        ),
        (
            cluster(rotation=objects_pb2.RootRotation(id="r1")),
            cluster(certificate_pem=b"R2"),
            {"rootca": "rotated"},
        ),
        (
            cluster(),
            after(cluster(), lambda c: setattr(c.spec, "max_snapshots", 3)),
            {"changed": "max_snapshots"},
        ),
        (cluster(), after(cluster(), lambda c: c.root_ca.former.add()), None),
    ],
)
def test_what_an_update_of_the_swarm_tells_holds_no_secret(
    old: objects_pb2.Cluster, new: objects_pb2.Cluster, expected: dict[str, str] | None
) -> None:
    events = [] if expected is None else [("swarm", "update", {"name": "some", **expected})]
    assert told(old, new) == events


def test_labels_are_those_that_filters_look_at() -> None:
    made = task()
    made.service_labels["tier"] = "front"
    assert events_of(Event(None, made))[0].labels == {"tier": "front"}
    made_node = after(builders.node("n1"), lambda n: n.spec.annotations.labels.update(a="b"))
    assert events_of(Event(made_node, None))[0].labels == {"a": "b"}


def test_long_texts_are_cut() -> None:
    (event,) = events_of(Event(task(), ended(states.FAILED, 1, error="x" * 9999)))
    assert len(event.attributes["error"]) == LONGEST


def test_every_kind_of_stored_object_has_its_row() -> None:
    assert set(TABLE) == set(KINDS)
    assert len({kind.word for kind in TABLE.values()}) == len(TABLE)


def _values(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    if field.enum_type is not None:
        return st.one_of(st.sampled_from(list(field.enum_type.values_by_number)), st.just(77))
    by_type: dict[int, st.SearchStrategy[Any]] = {
        FieldDescriptor.TYPE_STRING: st.sampled_from(["", "a", "b" * 600]),
        FieldDescriptor.TYPE_BYTES: st.sampled_from([b"", b"a", b"b"]),
        FieldDescriptor.TYPE_BOOL: st.booleans(),
        FieldDescriptor.TYPE_DOUBLE: st.just(0.5),
    }
    return by_type.get(field.type, st.integers(0, 3))


@st.composite
def _messages(draw: st.DrawFn, kind: type[Any], depth: int = 0) -> Any:
    """A message of the kind with any of its fields set, three levels deep."""
    made: Message = kind()
    for field in kind.DESCRIPTOR.fields:
        if field.is_repeated or not draw(st.booleans()):
            continue
        if field.message_type is None:
            setattr(made, field.name, draw(_values(field)))
        elif depth < 3:
            inner = type(getattr(made, field.name))
            getattr(made, field.name).CopyFrom(draw(_messages(inner, depth + 1)))
    return made


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), st.sampled_from(list(KINDS)))
def test_whatever_changes_can_be_told_and_tells_what_the_table_says(
    data: st.DataObject, kind: type[Any]
) -> None:
    old, new = data.draw(_messages(kind)), data.draw(_messages(kind))
    row = TABLE[kind]
    for change in (Event(None, new), Event(old, new), Event(new, None)):
        for event in events_of(change):
            always = set(row.always(new))
            assert always <= set(event.attributes)
            assert set(event.attributes) - always <= set(row.told.get(event.action, ()))
            texts = [text for key, text in event.attributes.items() if not key.endswith(".id")]
            assert all(len(text) <= LONGEST for text in texts)
