"""The store never loses a secret that a service refers to, whatever the order of proposals."""

import itertools

import pytest

from api.errors import Code, SwarmError
from api.times import timestamp
from api.v1 import objects_pb2
from manager.state.changes import Change, batch, copy, create, delete, update
from manager.state.files import find, users_of
from manager.state.store import Store
from tests.support.builders import service

Service = objects_pb2.Service
Status = objects_pb2.UpdateStatus


def apply(store: Store, change: Change) -> SwarmError | None:
    at = timestamp(1000.0)
    (refusal,) = store.apply(store.version + 1, at, [batch(change)]).results
    return refusal


def secret(name: str) -> objects_pb2.Secret:
    made = objects_pb2.Secret(id=f"id-{name}")
    made.spec.annotations.name = name
    made.spec.data = b"x"
    return made


def config(name: str) -> objects_pb2.Config:
    made = objects_pb2.Config(id=f"id-{name}")
    made.spec.annotations.name = name
    return made


def using(*names: str, service_id: str = "web") -> Service:
    made = service(service_id)
    for name in names:
        made.spec.task.container.secrets.add(source=name, id=f"id-{name}")
    return made


@pytest.fixture
def store() -> Store:
    made = Store()
    for change in (create(secret("a")), create(secret("b")), create(config("a"))):
        assert apply(made, change) is None
    return made


def stored(store: Store) -> Service:
    found = store.get(Service, "web")
    assert found is not None
    return copy(found)


def present(store: Store, name: str) -> objects_pb2.Secret:
    found = store.get(objects_pb2.Secret, f"id-{name}")
    assert found is not None
    return copy(found)


def test_names_are_unique_within_a_kind(store: Store) -> None:
    again = secret("a")
    again.id = "other"
    refusal = apply(store, create(again))
    assert refusal is not None
    assert refusal.code is Code.EXISTS
    assert store.named(objects_pb2.Config, "a") == find(store, ("config", "id-a"))


def test_whoever_comes_second_is_refused(store: Store) -> None:
    late = apply(store, delete(present(store, "a")))
    assert late is None
    refusal = apply(store, create(using("a")))
    assert refusal is not None
    assert (refusal.code, "secret id-a was removed" in refusal.what) == (Code.CONFLICT, True)

    assert apply(store, create(using("b"))) is None
    refusal = apply(store, delete(present(store, "b")))
    assert refusal is not None
    assert (refusal.code, refusal.why) == (Code.REFUSED, "by service web")


def test_a_config_of_the_same_id_is_another_thing(store: Store) -> None:
    assert apply(store, create(using("a"))) is None
    (found,) = store.all(objects_pb2.Config)
    assert apply(store, delete(copy(found))) is None


def test_what_an_update_may_go_back_to_is_in_use_until_it_is_through(store: Store) -> None:
    apply(store, create(using("a")))
    turned = stored(store)
    turned.previous_spec.CopyFrom(turned.spec)
    turned.spec.CopyFrom(using("b").spec)
    for state, is_held in (
        (Status.STATE_UPDATING, True),
        (Status.STATE_PAUSED, True),
        (Status.STATE_ROLLBACK_STARTED, True),
        (Status.STATE_COMPLETED, False),
    ):
        turned.update_status.state = state
        assert apply(store, update(copy(turned))) is None
        turned = stored(store)
        assert [each.id for each in users_of(store, present(store, "a"))] == ["web"] * is_held
    assert apply(store, delete(present(store, "a"))) is None
    # An orchestrator that goes back to it all the same is not held up: the task will say why.
    turned.spec.CopyFrom(turned.previous_spec)
    assert apply(store, update(turned)) is None


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_service_never_refers_to_what_is_not_there(order: tuple[int, ...], store: Store) -> None:
    apply(store, create(using("b")))
    changed = stored(store)
    changed.spec.CopyFrom(using("a").spec)
    changes = [update(changed), delete(present(store, "a")), delete(present(store, "b"))]
    for index in order:
        apply(store, changes[index])
        (reference,) = stored(store).spec.task.container.secrets
        assert find(store, ("secret", reference.id)) is not None
