"""What is let go when nobody needs it, and who has to leave a volume."""

from typing import TypeAlias

import pytest

from api import states
from api.v1 import objects_pb2, specs_pb2, types_pb2, volume_pb2
from manager.state.changes import StoredObject, copy, create, delete, update
from manager.volumes import words
from manager.volumes.leases import Hold
from manager.volumes.loop import VolumesLoop
from tests.support.builders import given, node, task, volume
from tests.support.loop_driver import LoopDriver

Volume = objects_pb2.Volume
Task = objects_pb2.Task
HELD = objects_pb2.VolumeHolder.STATE_HELD
RELEASING = objects_pb2.VolumeHolder.STATE_RELEASING
State: TypeAlias = types_pb2.TaskState.ValueType
Word = volume_pb2.NodeVolumeStatus


def after(*objects: StoredObject) -> LoopDriver:
    driver = LoopDriver(VolumesLoop(), *objects)
    driver.run()
    return driver


def state_of(driver: LoopDriver) -> int:
    found = driver.store.get(Volume, "data")
    assert found is not None
    return found.holders[0].state


@pytest.mark.parametrize(
    ("state", "desired", "is_needed"),
    [
        (states.ASSIGNED, states.RUNNING, True),
        (states.RUNNING, states.RUNNING, True),
        (states.RUNNING, states.SHUTDOWN, True),
        (states.REJECTED, states.RUNNING, True),
        (states.REJECTED, states.SHUTDOWN, False),
        (states.FAILED, states.RUNNING, False),
        (states.SHUTDOWN, states.SHUTDOWN, False),
    ],
)
def test_a_node_holds_on_while_a_task_may_touch_the_volume(
    state: State, desired: State, is_needed: bool
) -> None:
    holder = given(task("t1", node_id="n1", state=state, desired=desired), "data", 1)
    driver = after(volume("data", ("n1", 1)), holder)
    assert state_of(driver) == (HELD if is_needed else RELEASING)


def test_a_task_of_another_epoch_is_no_reason_to_hold_on() -> None:
    driver = after(volume("data", ("n1", 2)))
    assert state_of(driver) == RELEASING


def test_tasks_leave_a_drained_volume() -> None:
    drained = volume("data", ("n1", 1))
    drained.spec.availability = specs_pb2.VolumeSpec.AVAILABILITY_DRAIN
    driver = after(drained, given(task("t1", node_id="n1"), "data", 1))
    found = driver.store.get(Task, "t1")
    assert found is not None
    assert (found.status.state, found.status.error) == (states.REJECTED, "volume data is drained")
    assert state_of(driver) == HELD, "until the orchestrator has told it to stop"


def test_a_task_whose_volume_has_lapsed_is_rejected() -> None:
    driver = LoopDriver(VolumesLoop(), volume("data", ("n1", 1)))
    driver.write(create(given(task("t1", node_id="n1"), "data", 1)))
    found = driver.store.get(Volume, "data")
    assert found is not None
    lost = copy(found)
    del lost.holders[:]
    driver.write(update(lost))
    driver.run()
    ended = driver.store.get(Task, "t1")
    assert ended is not None
    assert ended.status.error == "assigned node no longer holds volume data"


@pytest.mark.parametrize(
    "state", [objects_pb2.VolumeHolder.STATE_FENCED, objects_pb2.VolumeHolder.STATE_CLOSING]
)
def test_a_task_whose_node_was_shut_out_is_rejected(
    state: objects_pb2.VolumeHolder.State.ValueType,
) -> None:
    driver = LoopDriver(VolumesLoop(), volume("data", ("n1", 1)))
    driver.write(create(given(task("t1", node_id="n1"), "data", 1)))
    shut_out = copy(driver.store.get(Volume, "data") or Volume())
    shut_out.holders[0].state = state
    driver.write(update(shut_out))
    driver.run()
    ended = driver.store.get(Task, "t1")
    assert ended is not None
    assert ended.status.state == states.REJECTED
    assert state_of(driver) == state


def test_what_no_storage_has_let_in_yet_is_taken_back_with_a_doubt() -> None:
    opening = volume("data", ("n1", 1))
    opening.holders[0].state = objects_pb2.VolumeHolder.STATE_OPENING
    driver = after(opening)
    assert state_of(driver) == RELEASING
    found = driver.store.get(Volume, "data")
    assert found is not None
    assert list(found.unfenceable) == ["n1"]


def test_words_end_the_hold_of_that_epoch_and_no_other() -> None:
    driver = after(volume("data", ("n1", 2), releasing=True))
    said = words.Words()
    mounted = Word(volume_id="data", epoch=2, state=Word.STATE_MOUNTED)
    late = [Word(volume_id="data", epoch=1), mounted]
    said.add(words.let_go("n1", late))
    assert list(said.batches(driver.store, said.take(0.0))) == []
    said.add([Hold("data", "n1", 2)])
    assert said.due(5.0) == 5.0
    (batch,) = said.batches(driver.store, said.take(0.0))
    (change,) = batch.changes
    assert isinstance(change.object, Volume)
    assert not change.object.holders


def moving(kind: int = objects_pb2.VolumeTransfer.KIND_MIGRATE) -> Volume:
    made = volume("data", ("n1", 1), home="n1")
    made.transfer.CopyFrom(objects_pb2.VolumeTransfer(id="m", kind=kind, node_id="n2"))  # type: ignore[arg-type]
    return made


def test_tasks_leave_what_is_being_moved() -> None:
    tasks = given(task("t1", node_id="n1"), "data", 1)
    driver = LoopDriver(VolumesLoop(), node("n2"), volume("data", ("n1", 1), home="n1"), tasks)
    driver.write(update(with_version(driver, moving())))
    driver.run()
    found = driver.store.get(Task, "t1")
    assert found is not None
    assert found.status.error == "volume data is being moved to another node"


@pytest.mark.parametrize(
    ("kind", "left"),
    [
        (objects_pb2.VolumeTransfer.KIND_MIGRATE, True),
        (objects_pb2.VolumeTransfer.KIND_CLEAR, True),
        (objects_pb2.VolumeTransfer.KIND_RESTORE, False),
    ],
)
def test_a_node_that_was_removed_keeps_no_volume_closed(kind: int, left: bool) -> None:
    found = moving(kind)
    del found.holders[:]
    found.home = "n1" if left else ""
    driver = LoopDriver(VolumesLoop(), node("n1"), node("n2"), found)
    driver.run()
    assert (driver.store.get(Volume, "data") or Volume()).HasField("transfer")
    gone = driver.store.get(objects_pb2.Node, "n2")
    assert gone is not None
    driver.write(delete(gone))
    driver.run()
    volume_ = driver.store.get(Volume, "data")
    assert (volume_ is not None) == left
    assert volume_ is None or not volume_.HasField("transfer")


def with_version(driver: LoopDriver, made: Volume) -> Volume:
    found = driver.store.get(Volume, made.id)
    assert found is not None
    made.meta.CopyFrom(found.meta)
    return made
