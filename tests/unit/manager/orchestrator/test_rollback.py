"""What a new spec makes of a service, and the way back. What the orchestrator then does is told by
tests/scenarios/orchestrator/rollback_*.txt.
"""

from typing import TypeAlias

import pytest

from api import states
from api.errors import Code, SwarmError
from api.v1 import objects_pb2, specs_pb2
from manager.orchestrator.rollback import (
    COMPLETED,
    PAUSED,
    ROLLBACK_COMPLETED,
    ROLLBACK_PAUSED,
    ROLLBACK_STARTED,
    UPDATING,
    respecified,
    rolled_back_by_hand,
    rolled_back_by_itself,
)
from manager.orchestrator.tasks import is_as_made, new_task
from tests.support import builders

Service = objects_pb2.Service
State: TypeAlias = objects_pb2.UpdateStatus.State.ValueType
OLD, NEW = builders.task_spec("app:1"), builders.task_spec("app:2")


def spec(task: specs_pb2.TaskSpec = NEW, replicas: int = 2) -> specs_pb2.ServiceSpec:
    return builders.service(replicas=replicas, spec=task).spec


def service(state: State = objects_pb2.UpdateStatus.STATE_UNKNOWN) -> Service:
    """A service of two tasks that was updated from one."""
    made = builders.service(replicas=2, spec=NEW, version=7)
    made.previous_spec.CopyFrom(spec(OLD, 1))
    if state:
        made.update_status.state = state
        made.update_status.completed_at.seconds = 1
    return made


def test_a_new_task_spec_begins_anew() -> None:
    changed = respecified(service(COMPLETED), spec(OLD, 3))
    assert (changed.spec, changed.previous_spec) == (spec(OLD, 3), spec())
    assert (changed.spec_version, changed.HasField("update_status")) == (8, False)


def test_scaling_leaves_a_rollout_alone() -> None:
    for state in (UPDATING, PAUSED, COMPLETED, ROLLBACK_PAUSED):
        changed = respecified(service(state), spec(replicas=5))
        assert (changed.spec_version, changed.update_status) == (7, service(state).update_status)
        is_over = state == COMPLETED
        assert changed.previous_spec == (spec() if is_over else spec(OLD, 1)), "the way back stays"


def test_after_scaling_a_failed_update_still_goes_back_to_the_spec_before_it() -> None:
    scaled = respecified(service(UPDATING), spec(replicas=5))
    back = rolled_back_by_itself(scaled, "task t failed")
    assert back is not None
    assert back.spec == spec(OLD, 1)
    by_hand = rolled_back_by_hand(respecified(service(PAUSED), spec(replicas=5)))
    assert (by_hand.spec, by_hand.previous_spec) == (spec(OLD, 1), spec(replicas=5))


@pytest.mark.parametrize("parallelism", [None, 3])
@pytest.mark.parametrize(
    ("state", "next_state", "word"),
    [(PAUSED, UPDATING, "update"), (ROLLBACK_PAUSED, ROLLBACK_STARTED, "rollback")],
)
def test_anything_else_resumes_one_that_is_paused(
    state: State, next_state: State, word: str, parallelism: int | None
) -> None:
    given = spec()
    if parallelism is not None:
        given.update.parallelism = parallelism
    changed = respecified(service(state), given)
    assert (changed.spec_version, changed.update_status.state) == (8, next_state)
    assert changed.update_status.message == f"{word} resumed"
    assert not changed.update_status.HasField("completed_at")
    assert changed.previous_spec == (spec(OLD, 1) if parallelism is None else spec())


def test_what_is_said_again_changes_nothing() -> None:
    assert respecified(service(), spec()) == service()
    assert respecified(service(COMPLETED), spec()) == service(COMPLETED)


@pytest.mark.parametrize(
    "state", [0, UPDATING, PAUSED, COMPLETED, ROLLBACK_STARTED, ROLLBACK_COMPLETED]
)
def test_by_hand_both_specs_change_places(state: State) -> None:
    changed = rolled_back_by_hand(service(state))
    assert (changed.spec, changed.previous_spec) == (spec(OLD, 1), spec())
    assert (changed.spec_version, changed.update_status.state) == (8, ROLLBACK_STARTED)
    assert changed.update_status.message == "manually requested rollback"
    assert not changed.update_status.HasField("completed_at")


def test_by_hand_a_paused_rollback_goes_on() -> None:
    changed = rolled_back_by_hand(service(ROLLBACK_PAUSED))
    assert (changed.spec, changed.previous_spec) == (spec(), spec(OLD, 1))
    assert (changed.spec_version, changed.update_status.state) == (8, ROLLBACK_STARTED)


@pytest.mark.parametrize(
    ("state", "why"),
    [
        (0, "it does not have a previous spec"),
        (ROLLBACK_COMPLETED, "it does not have a previous spec"),
        (ROLLBACK_STARTED, "it is being rolled back already"),
    ],
)
def test_without_a_previous_spec_there_is_no_way_back(state: State, why: str) -> None:
    lone = service(state)
    lone.ClearField("previous_spec")
    with pytest.raises(SwarmError) as refused:
        rolled_back_by_hand(lone)
    assert (refused.value.code, refused.value.why) == (Code.REFUSED, why)
    assert rolled_back_by_itself(lone, "task t failed") is None


def test_by_itself_the_failed_spec_is_forgotten() -> None:
    changed = rolled_back_by_itself(service(UPDATING), "task t failed")
    assert changed is not None
    assert (changed.spec, changed.HasField("previous_spec")) == (spec(OLD, 1), False)
    assert (changed.spec_version, changed.update_status.state) == (8, ROLLBACK_STARTED)
    assert changed.update_status.message == "task t failed"


def test_by_itself_it_does_not_go_back_to_the_same_tasks() -> None:
    scaled = respecified(service(COMPLETED), spec(replicas=9))
    assert rolled_back_by_itself(scaled, "task t failed") is None
    again = respecified(scaled, spec(replicas=8))
    assert again.previous_spec == scaled.spec, "nothing is to be undone"


def published(port: int, *, on_its_node: bool = False) -> specs_pb2.ServiceSpec:
    made = spec()
    made.endpoint.ports.add(target_port=80, published_port=port, mode=int(on_its_node))
    return made


@pytest.mark.parametrize(
    ("before", "after", "begins"),
    [
        (spec(), published(8080), True),
        (published(8080), spec(), True),
        (published(8080), published(9090), False),
        (published(8080, on_its_node=True), published(9090, on_its_node=True), True),
        (published(8080, on_its_node=True), published(8080), True),
    ],
)
def test_ports_begin_a_rollout_where_tasks_are_made_otherwise_for_them(
    before: specs_pb2.ServiceSpec, after: specs_pb2.ServiceSpec, begins: bool
) -> None:
    old = service(COMPLETED)
    old.spec.CopyFrom(before)
    changed = respecified(old, after)
    assert (changed.spec_version > old.spec_version) == begins
    made = new_task(old, lambda: "t1", 1.0, slot=1, desired=states.RUNNING)
    assert is_as_made(made, before)
    assert is_as_made(made, after) != begins
