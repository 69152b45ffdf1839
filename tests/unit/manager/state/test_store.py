"""The store: versions, names, atomic batches, requests that are repeated, snapshots, indexes."""

from collections.abc import Callable

import pytest

from api.errors import Code, SwarmError
from api.times import timestamp
from api.v1 import objects_pb2, raft_pb2
from manager.state.changes import (
    Batch,
    Change,
    batch,
    copy,
    create,
    decode,
    delete,
    update,
    wrap,
)
from manager.state.store import REMEMBERED_REQUESTS, Store

Service = objects_pb2.Service
Task = objects_pb2.Task
AT = timestamp(1000.0)


def service(object_id: str, name: str = "") -> Service:
    made = Service(id=object_id)
    made.spec.annotations.name = name or object_id
    return made


def applied(store: Store, *batches: Batch, request_id: str = "", object_id: str = "") -> list[str]:
    """Applies at the next index; the code of each refusal, or an empty string."""
    outcome = store.apply(
        store.version + 1, AT, batches, request_id=request_id, object_id=object_id
    )
    return [refusal.code.name if refusal else "" for refusal in outcome.results]


def test_a_created_object_has_the_version_of_its_entry() -> None:
    store = Store()
    store.apply(7, AT, [batch(create(service("a")))])
    found = store.get(Service, "a")
    assert found is not None
    assert (found.meta.version, found.meta.created_at, found.meta.updated_at) == (7, AT, AT)
    assert store.named(Service, "a") is found


def test_an_update_keeps_created_at_and_moves_the_version() -> None:
    store = Store()
    store.apply(1, AT, [batch(create(service("a")))])
    changed = copy(store.get(Service, "a") or Service())
    changed.spec.replicated.replicas = 3
    store.apply(5, timestamp(2000.0), [batch(update(changed))])
    found = store.get(Service, "a")
    assert found is not None
    assert (found.meta.version, found.meta.created_at) == (5, AT)
    assert found.meta.updated_at == timestamp(2000.0)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda s: create(service("a", "other")), Code.EXISTS),
        (lambda s: create(service("b", "a")), Code.EXISTS),
        (lambda s: update(service("a")), Code.CONFLICT),
        (lambda s: delete(service("a")), Code.CONFLICT),
        (lambda s: update(service("z")), Code.NOT_FOUND),
        (lambda s: delete(service("z")), Code.NOT_FOUND),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(change, code) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    store = Store()
    applied(store, batch(create(service("a"))))
    before = store.capture().encode()
    assert applied(store, batch(change(store))) == [code.name]
    after = store.capture().encode()
    after.index = before.index
    assert after == before


def test_a_batch_applies_whole_or_not_at_all() -> None:
    store = Store()
    applied(store, batch(create(service("a"))))
    outcome = applied(
        store,
        batch(create(service("b")), create(service("c", "a"))),
        batch(create(service("d"))),
    )
    assert outcome == ["EXISTS", ""]
    assert [each.id for each in store.all(Service)] == ["a", "d"]


def test_a_name_is_free_again_after_its_object_went() -> None:
    store = Store()
    applied(store, batch(create(service("a", "web"))))
    applied(store, batch(delete(store.get(Service, "a") or Service())))
    assert store.named(Service, "web") is None
    assert applied(store, batch(create(service("b", "web")))) == [""]


def test_a_renamed_object_is_found_by_its_new_name_only() -> None:
    store = Store()
    applied(store, batch(create(service("a", "old"))))
    changed = copy(store.get(Service, "a") or Service())
    changed.spec.annotations.name = "new"
    applied(store, batch(update(changed)))
    assert store.named(Service, "old") is None
    assert store.named(Service, "new") is changed


def test_a_repeated_request_has_one_effect_and_one_answer() -> None:
    store = Store()
    first = store.apply(1, AT, [batch(create(service("a", "web")))], request_id="r", object_id="a")
    again = store.apply(2, AT, [batch(create(service("b", "web")))], request_id="r", object_id="b")
    assert not first.repeated
    assert (again.repeated, again.object_id, again.index) == (True, "a", 1)
    assert again.results == (None,)
    assert store.count(Service) == 1


def test_a_refused_request_may_be_tried_again() -> None:
    store = Store()
    applied(store, batch(create(service("a", "web"))))
    assert applied(store, batch(create(service("b", "web"))), request_id="r") == ["EXISTS"]
    applied(store, batch(delete(store.get(Service, "a") or Service())))
    assert applied(store, batch(create(service("b", "web"))), request_id="r") == [""]


def test_only_so_many_requests_are_remembered() -> None:
    store = Store()
    for number in range(REMEMBERED_REQUESTS + 1):
        store.apply(number + 1, AT, [], request_id=f"r{number}")
    assert store.applied_request("r0") is None
    assert store.applied_request("r1") is not None


def test_entries_come_in_order() -> None:
    store = Store()
    store.apply(3, AT, [])
    with pytest.raises(ValueError, match="entry 3 comes after 3"):
        store.apply(3, AT, [])


def test_tasks_are_found_by_service_node_and_slot() -> None:
    store = Store()
    tasks = [
        Task(id="1", service_id="s", slot=1),
        Task(id="2", service_id="s", slot=2, node_id="n"),
        Task(id="3", service_id="t", slot=1, node_id="n"),
    ]
    applied(store, *(batch(create(task)) for task in tasks))
    assert [t.id for t in store.tasks_of_service("s")] == ["1", "2"]
    assert [t.id for t in store.tasks_of_node("n")] == ["2", "3"]
    assert [t.id for t in store.tasks_of_slot("s", 1)] == ["1"]

    moved = copy(tasks[0])
    moved.node_id = "n"
    applied(store, batch(update(moved)), batch(delete(tasks[2])))
    assert [t.id for t in store.tasks_of_node("n")] == ["2", "1"]
    assert store.tasks_of_service("t") == []


def test_a_snapshot_brings_everything_back() -> None:
    store = Store()
    applied(
        store,
        batch(create(service("a", "web"))),
        batch(create(Task(id="1", service_id="a", slot=1, node_id="n"))),
        request_id="r",
        object_id="a",
    )
    captured = store.capture()
    applied(store, batch(create(service("late"))))

    restored = Store()
    applied(restored, batch(create(service("stale"))))
    restored.restore(captured.encode())
    assert (restored.version, restored.at) == (captured.version, store.at)
    assert restored.capture().encode() == captured.encode()
    assert restored.named(Service, "web") is not None
    assert restored.named(Service, "stale") is None
    assert [t.id for t in restored.tasks_of_node("n")] == ["1"]
    assert restored.applied_request("r") is not None


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        (lambda s: (create(service("b")), create(service("b", "c"))), "service b"),
        (lambda s: (create(service("b", "x")), create(service("c", "x"))), "name x"),
        (lambda s: (update(held(s)), update(held(s))), "service a"),
        (lambda s: (delete(held(s)), update(held(s))), "service a"),
    ],
)
def test_a_batch_that_is_about_one_thing_twice_changes_nothing(
    changes: Callable[[Store], tuple[Change, ...]], what: str
) -> None:
    store = Store()
    applied(store, batch(create(service("a"))))
    before = store.capture().encode().objects
    outcome = store.apply(2, AT, [Batch(changes(store))])
    (refusal,) = outcome.results
    assert refusal is not None
    assert (refusal.code, what in refusal.what, outcome.events) == (Code.INTERNAL, True, ())
    assert store.capture().encode().objects == before


def test_an_update_may_not_take_the_name_of_another() -> None:
    store = Store()
    applied(store, batch(create(service("a"))), batch(create(service("b"))))
    changed = held(store)
    changed.spec.annotations.name = "b"
    assert applied(store, batch(update(changed))) == ["EXISTS"]
    changed = held(store)
    changed.spec.annotations.name = "c"
    assert applied(store, batch(update(changed))) == [""]
    assert store.named(Service, "a") is None
    assert store.named(Service, "c") is store.get(Service, "a")


def test_a_snapshot_of_a_newer_version_is_refused_and_changes_nothing() -> None:
    store = Store()
    applied(store, batch(create(service("a"))))
    newer = raft_pb2.StoreSnapshot(index=9, objects=[objects_pb2.Object()])
    with pytest.raises(SwarmError, match="unknown kind") as refused:
        store.restore(newer)
    assert (refused.value.code, "run that version" in refused.value.remedy) == (
        Code.UNSUPPORTED,
        True,
    )
    assert (store.version, store.count(Service)) == (1, 1)


@pytest.mark.parametrize(
    "change",
    [
        raft_pb2.Change(action=raft_pb2.Change.ACTION_CREATE),
        raft_pb2.Change(action=7, object=wrap(service("a"))),  # type: ignore[arg-type]
    ],
)
def test_a_command_of_a_newer_version_is_refused(change: raft_pb2.Change) -> None:
    with pytest.raises(SwarmError) as refused:
        decode([raft_pb2.Batch(changes=[change])])
    assert refused.value.code is Code.UNSUPPORTED


def held(store: Store) -> Service:
    """A copy of service a."""
    found = store.get(Service, "a")
    assert found is not None
    return copy(found)
