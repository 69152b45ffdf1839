import pytest

from api import states
from api.v1 import objects_pb2
from manager.state.changes import create, delete
from tests.support.builders import EPOCH, node, task
from tests.support.sealed_store import SealedStore


def test_changing_a_committed_object_is_found_out() -> None:
    store = SealedStore()
    store.must(create(task("t")), create(node("n1")), now=EPOCH)
    store.check_seals()
    found = store.get(objects_pb2.Task, "t")
    assert found is not None
    found.status.state = states.FAILED
    with pytest.raises(AssertionError, match="task t was changed in place"):
        store.check_seals()
    with pytest.raises(AssertionError, match="task t was changed in place"):
        store.must(create(node("n2")), now=EPOCH)


def test_deleted_objects_are_nobodys_concern() -> None:
    store = SealedStore()
    store.must(create(task("t")), now=EPOCH)
    found = store.get(objects_pb2.Task, "t")
    assert found is not None
    store.must(delete(found), now=EPOCH)
    found.status.state = states.FAILED
    store.check_seals()
