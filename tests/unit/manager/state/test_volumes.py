"""What the store refuses of volumes, where order is settled."""

from collections.abc import Callable

import pytest

from api import states
from api.errors import Code, SwarmError
from api.v1 import objects_pb2, specs_pb2
from manager.state.changes import Change, StoredObject, batch, copy, create, delete, update
from tests.support.builders import given, mount, service, task, task_spec, volume
from tests.support.sealed_store import SealedStore

Volume = objects_pb2.Volume
Spec = specs_pb2.VolumeSpec
RELEASING = objects_pb2.VolumeHolder.STATE_RELEASING
FENCED = objects_pb2.VolumeHolder.STATE_FENCED


def store(*objects: StoredObject) -> SealedStore:
    made = SealedStore()
    for obj in objects:
        made.must(create(obj), now=1.0)
    return made


def refusal(of: SealedStore, *changes: Change) -> SwarmError | None:
    (result,) = of.write([batch(*changes)], 1.0).results
    return result


def changed(of: SealedStore, edit: Callable[[Volume], object]) -> Change:
    found = of.get(Volume, "data")
    assert found is not None
    made = copy(found)
    edit(made)
    return update(made)


def hold(node_id: str, epoch: int, **fields: bool) -> Callable[[Volume], None]:
    def edit(made: Volume) -> None:
        made.holders.add(node_id=node_id, epoch=epoch, **fields)
        made.epoch = max(made.epoch, epoch)

    return edit


def running(name: str = "t1", node_id: str = "n1", epoch: int = 1) -> objects_pb2.Task:
    return given(task(name, node_id=node_id), "data", epoch)


def test_a_second_holder_of_a_single_writer_volume_is_refused() -> None:
    of = store(volume("data", ("n1", 1)))
    refused = refusal(of, changed(of, hold("n2", 2)))
    assert refused is not None
    assert refused.code is Code.CONFLICT


def test_a_node_that_is_fenced_off_counts_no_more() -> None:
    of = store(volume("data", ("n1", 1)))

    def fence(made: Volume) -> None:
        made.holders[0].state = FENCED
        hold("n2", 2)(made)

    assert refusal(of, changed(of, fence)) is None


def test_shared_volumes_have_many_holders_and_readers_do_not_write() -> None:
    of = store(volume("data", ("n1", 1), access=Spec.ACCESS_MANY_WRITERS))
    assert refusal(of, changed(of, hold("n2", 2))) is None
    of = store(volume("data", access=Spec.ACCESS_MANY_READERS))
    assert refusal(of, changed(of, hold("n1", 1, read_only=True))) is None
    assert refusal(of, changed(of, hold("n2", 2))) is not None


@pytest.mark.parametrize(
    "edit",
    [
        hold("n2", 3),
        lambda made: setattr(made, "epoch", 2),
        lambda made: (hold("n2", 4)(made), hold("n2", 5)(made)),
    ],
)
def test_epochs_only_grow(edit: Callable[[Volume], object]) -> None:
    made = volume("data", access=Spec.ACCESS_MANY_WRITERS)
    made.epoch = 3
    of = store(made)
    refused = refusal(of, changed(of, edit))
    assert refused is not None
    assert refused.code is Code.INTERNAL


def test_the_term_stands_while_it_is_counted() -> None:
    of = store(volume("data", ("n1", 1)))
    longer = changed(of, lambda made: made.spec.lease_term.FromSeconds(60))
    assert refusal(of, longer) is not None
    of = store(volume("data"))
    assert refusal(of, changed(of, lambda made: made.spec.lease_term.FromSeconds(60))) is None


def test_the_later_of_taking_back_and_needing_is_refused() -> None:
    of = store(volume("data", ("n1", 1)), running())

    def release(made: Volume) -> None:
        made.holders[0].state = RELEASING

    assert refusal(of, changed(of, release)) is not None
    of = store(volume("data", ("n1", 1), releasing=True))
    refused = refusal(of, create(running()))
    assert refused is not None
    assert refused.code is Code.CONFLICT


def test_a_task_and_its_volume_come_in_one_batch() -> None:
    of = store(volume("data"))
    assert refusal(of, create(running())) is not None
    assert refusal(of, changed(of, hold("n1", 1)), create(running())) is None
    assert [each.id for each in of.tasks_of_volume("data")] == ["t1"]
    assert [each.id for each in of.volumes_of_node("n1")] == ["data"]


def test_reports_of_a_task_that_lost_its_volume_are_taken() -> None:
    of = store(volume("data", ("n1", 1)), running())
    assert refusal(of, changed(of, lambda made: made.ClearField("holders"))) is None
    found = of.get(objects_pb2.Task, "t1")
    assert found is not None
    ended = copy(found)
    ended.status.state = states.FAILED
    assert refusal(of, update(ended)) is None


def test_what_is_used_is_not_removed() -> None:
    web = service("web", spec=mount(task_spec(), "data", "data"))
    for user, words in ((web, "service web"), (None, "node n1")):
        of = store(volume("data", *([] if user else [("n1", 1)])), *([user] if user else []))
        refused = refusal(of, delete(of.get(Volume, "data") or Volume()))
        assert refused is not None
        assert words in refused.why
    assert [each.id for each in store(volume("data"), web).services_of_volume("data")] == ["web"]
    of = store(volume("data"))
    assert refusal(of, delete(of.get(Volume, "data") or Volume())) is None
    refused = refusal(of, create(web))
    assert refused is not None
    assert refused.code is Code.CONFLICT


def reading(name: str, *, read_only: bool) -> objects_pb2.Task:
    made = running(name)
    made.volumes[0].read_only = read_only
    return made


@pytest.mark.parametrize(
    ("sharing", "first_reads", "second_reads", "goes"),
    [
        (Spec.SHARING_ALL, False, False, True),
        (Spec.SHARING_NONE, True, True, False),
        (Spec.SHARING_READONLY, True, True, True),
        (Spec.SHARING_READONLY, True, False, False),
        (Spec.SHARING_ONEWRITER, False, True, True),
        (Spec.SHARING_ONEWRITER, False, False, False),
    ],
)
def test_a_task_that_would_be_one_too_many_is_refused(
    sharing: Spec.Sharing.ValueType, first_reads: bool, second_reads: bool, goes: bool
) -> None:
    data = volume("data", ("n1", 1))
    data.spec.sharing = sharing
    of = store(data, reading("t1", read_only=first_reads))
    refused = refusal(of, create(reading("t2", read_only=second_reads)))
    assert (refused is None) == goes
    assert refused is None or refused.code is Code.CONFLICT


def test_a_service_does_not_come_to_use_what_is_being_removed() -> None:
    going = volume("data")
    going.removing = True
    refused = refusal(store(going), create(service("web", spec=mount(task_spec(), "data", "data"))))
    assert refused is not None
    assert refused.code is Code.CONFLICT


MOVING = objects_pb2.VolumeTransfer(id="m", node_id="n2")


def closed(*holders: tuple[str, int], live: bool = False) -> SealedStore:
    """A volume whose data begins to move while these hold it."""
    of = store(volume("data", *holders, home="n1"))
    kind = objects_pb2.VolumeTransfer.KIND_BACKUP if live else MOVING.kind

    def edit(made: Volume) -> None:
        made.transfer.CopyFrom(MOVING)
        made.transfer.kind, made.transfer.live = kind, live

    of.must(changed(of, edit), now=1.0)
    return of


def test_nobody_comes_to_hold_what_is_being_moved() -> None:
    of = closed()
    refused = refusal(of, changed(of, hold("n1", 1)))
    assert refused is not None
    assert refused.why == "it is being moved to another node"
    of = closed(live=True)
    assert refusal(of, changed(of, hold("n1", 1))) is None


def test_no_further_task_comes_to_use_what_is_being_moved() -> None:
    refused = refusal(closed(("n1", 1)), create(running()))
    assert refused is not None
    assert "is being moved" in refused.why


def test_data_is_not_elsewhere_while_a_node_holds_it() -> None:
    of = closed(("n1", 1))
    refused = refusal(of, changed(of, lambda made: setattr(made, "home", "n2")))
    assert refused is not None
    assert refused.code is Code.CONFLICT
    of = closed()
    assert refusal(of, changed(of, lambda made: setattr(made, "home", "n2"))) is None


def test_what_is_being_moved_is_not_removed() -> None:
    of = closed()
    found = of.get(Volume, "data")
    assert found is not None
    refused = refusal(of, delete(found))
    assert refused is not None
    assert "is in use" in refused.what
