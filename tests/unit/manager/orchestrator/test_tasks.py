import pytest

from api import states
from api.times import seconds_of
from api.v1.types_pb2 import NodeAvailability, NodeState, TaskState
from manager.orchestrator.tasks import Fate, Fates, new_task, removed, retired
from manager.state.changes import create
from tests.support.builders import (
    ACTIVE,
    DOWN,
    DRAIN,
    EPOCH,
    PAUSE,
    READY,
    UNKNOWN,
    node,
    service,
    task,
    task_spec,
)
from tests.support.sealed_store import SealedStore


@pytest.mark.parametrize(
    ("state", "availability", "fate"),
    [
        (READY, ACTIVE, Fate.STAYS),
        (READY, PAUSE, Fate.STAYS),
        (UNKNOWN, ACTIVE, Fate.STAYS),
        (READY, DRAIN, Fate.LEAVES),
        (UNKNOWN, DRAIN, Fate.LEAVES),
        (DOWN, ACTIVE, Fate.LOST),
        (DOWN, DRAIN, Fate.LOST),
    ],
)
def test_fate_by_node(
    state: NodeState.ValueType, availability: NodeAvailability.ValueType, fate: Fate
) -> None:
    store = SealedStore()
    store.must(create(node("n1", state=state, availability=availability)), now=EPOCH)
    fates = Fates(store)
    assert fates.of(task("t", node_id="n1")) is fate
    assert fates.of(task("t", node_id="removed")) is Fate.LOST
    assert fates.of(task("t")) is Fate.STAYS


def test_a_new_task_is_made_from_the_service() -> None:
    asking = service(spec=task_spec("app:7"), version=7)
    asking.spec.annotations.labels["tier"] = "front"
    made = new_task(
        asking, lambda: "id1", EPOCH, slot=3, desired=states.READY, start_after=EPOCH + 5
    )
    assert (made.id, made.service_id, made.service_name, made.slot) == ("id1", "web", "web", 3)
    assert (made.spec, made.spec_version) == (asking.spec.task, 7)
    assert made.status.state == states.NEW
    assert made.desired_state == states.READY
    assert seconds_of(made.start_after) == EPOCH + 5
    assert dict(made.service_labels) == {"tier": "front"}


def test_a_new_task_can_be_made_like_an_old_one() -> None:
    old = task("old", spec=task_spec("app:1"), version=1)
    asking = service(spec=task_spec("app:2"), version=2)
    made = new_task(asking, lambda: "id1", EPOCH, slot=1, desired=states.RUNNING, like=old)
    assert (made.spec, made.spec_version) == (old.spec, 1)
    assert not made.HasField("start_after")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (states.NEW, states.SHUTDOWN),
        (states.PENDING, states.SHUTDOWN),
        (states.ASSIGNED, states.ASSIGNED),
        (states.RUNNING, states.RUNNING),
        (states.FAILED, states.FAILED),
    ],
)
def test_retiring_ends_what_no_agent_has(
    before: TaskState.ValueType, after: TaskState.ValueType
) -> None:
    original = task("t", state=before)
    ended = retired(original, EPOCH)
    assert ended.desired_state == states.SHUTDOWN
    assert ended.status.state == after
    assert original.desired_state == states.RUNNING


def test_removing_leaves_the_observed_state() -> None:
    gone = removed(task("t", state=states.PENDING))
    assert (gone.desired_state, gone.status.state) == (states.REMOVE, states.PENDING)
