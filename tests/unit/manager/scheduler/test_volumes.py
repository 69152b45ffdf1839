"""Where a task can have its volumes, and what it is given with its node."""

import pytest

from api import states
from api.v1 import objects_pb2, specs_pb2
from manager.scheduler.decide import SchedulerLoop
from manager.scheduler.inquiry import Inquiry
from manager.state.changes import StoredObject, copy, create, delete, update
from tests.support.builders import DRAIN, given, mount, node, task, task_spec, volume
from tests.support.loop_driver import LoopDriver

Node = objects_pb2.Node
Spec = specs_pb2.VolumeSpec
Task = objects_pb2.Task
Volume = objects_pb2.Volume


def host(name: str, *drivers: str, local: bool = False, **segments: str) -> Node:
    made = node(name)
    for each in drivers or ("shared", "local"):
        made.description.volume_drivers.add(name=each, local=local, segments=segments)
    return made


def wanting(*sources: str, name: str = "t", slot: int = 1, read_only: bool = False) -> Task:
    spec = task_spec()
    for source in sources:
        by_name = source.startswith("group:") or "{{" in source
        mount(spec, source, "" if by_name else source)
    for each in spec.container.mounts:
        each.read_only = read_only
    return task(name, slot=slot, state=states.PENDING, spec=spec)


def placed(*objects: StoredObject) -> LoopDriver:
    driver = LoopDriver(SchedulerLoop(), *objects)
    driver.run()
    return driver


def the(driver: LoopDriver, name: str = "data") -> Volume:
    found = driver.store.get(Volume, name)
    assert found is not None
    return found


def test_a_task_gets_node_and_volume_at_once() -> None:
    driver = placed(host("n1"), volume("data"), wanting("data"))
    (attached,) = driver.task("t").volumes
    assert (attached.volume_id, attached.source, attached.epoch) == ("data", "data", 1)
    (holder,) = the(driver).holders
    assert (holder.node_id, holder.epoch, the(driver).home) == ("n1", 1, "")


def test_tasks_that_share_a_single_writer_go_to_one_node() -> None:
    tasks = [wanting("data", name=f"t{n}", slot=n) for n in range(1, 5)]
    driver = placed(host("n1"), host("n2"), volume("data"), *tasks)
    assert len({each.node_id for each in driver.tasks()}) == 1
    assert [each.epoch for each in the(driver).holders] == [1]


def test_tasks_with_a_volume_for_all_spread_out() -> None:
    tasks = [wanting("data", name=f"t{n}", slot=n) for n in range(1, 5)]
    shared = volume("data", access=Spec.ACCESS_MANY_WRITERS)
    driver = placed(host("n1"), host("n2"), shared, *tasks)
    assert sorted(each.node_id for each in driver.tasks()) == ["n1", "n1", "n2", "n2"]
    assert {each.node_id for each in the(driver).holders} == {"n1", "n2"}


def test_a_local_volume_is_at_home_where_it_was_first_given() -> None:
    driver = placed(host("n1"), volume("data", driver="local"), wanting("data"))
    assert the(driver).home == "n1"
    driver = placed(
        host("n1"), host("n2"), volume("data", driver="local", home="n2"), wanting("data")
    )
    assert driver.task("t").node_id == "n2"


def test_a_node_that_lets_go_gets_it_again_under_the_next_epoch() -> None:
    driver = placed(host("n1"), volume("data", ("n1", 3), releasing=True), wanting("data"))
    (holder,) = the(driver).holders
    assert (holder.node_id, holder.epoch) == ("n1", 4)


def test_each_slot_has_its_own_by_template() -> None:
    names = ("data-1", "data-2")
    tasks = [wanting("data-{{.Task.Slot}}", name=f"t{n}", slot=n) for n in (1, 2)]
    driver = placed(host("n1"), *map(volume, names), *tasks)
    assert [driver.task(f"t{n}").volumes[0].volume_id for n in (1, 2)] == ["data-1", "data-2"]


def test_of_a_group_each_task_gets_its_own_and_its_successor_the_same() -> None:
    volumes = [volume(name, group="db") for name in ("a", "b")]
    tasks = [wanting("group:db", name=f"t{n}", slot=n) for n in (1, 2)]
    driver = placed(host("n1"), *volumes, *tasks)
    assert [driver.task(f"t{n}").volumes[0].volume_id for n in (1, 2)] == ["a", "b"]
    driver.report("t2", states.FAILED)
    driver.write(create(wanting("group:db", name="t3", slot=2)))
    driver.run()
    assert driver.task("t3").volumes[0].volume_id == "b"


WAITS: dict[str, tuple[list[StoredObject], str]] = {
    "held": (
        [host("n1"), host("n2"), volume("data", ("n0", 1))],
        "volumes not available on 2 nodes: volume data is held by n0",
    ),
    "home": (
        [host("n1"), volume("data", driver="local", home="n0")],
        "volumes not available on 1 node: the data of volume data is on n0",
    ),
    "driver": (
        [host("n1", "nfs"), volume("data")],
        "volumes not available on 1 node: no driver shared for volume data",
    ),
}


@pytest.mark.parametrize("case", WAITS)
def test_why_it_waits(case: str) -> None:
    objects, words = WAITS[case]
    driver = placed(*objects, wanting("data"))
    assert driver.task("t").status.error == f"no suitable node ({words})"


def test_a_paused_volume_takes_no_task_and_takes_it_once_it_is_active() -> None:
    paused = volume("data")
    paused.spec.availability = Spec.AVAILABILITY_PAUSE
    driver = placed(host("n1"), paused, wanting("data"))
    assert "volume data is paused" in driver.task("t").status.error
    active = copy(the(driver))
    active.spec.availability = Spec.AVAILABILITY_ACTIVE
    driver.write(update(active))
    driver.run()
    assert driver.task("t").node_id == "n1"


def test_topology_keeps_tasks_where_the_volume_is_reached() -> None:
    zoned = volume("data")
    zoned.spec.topology_required.add(segments={"zone": "b"})
    hosts = [host("n1", "shared", zone="a"), host("n2", "shared", zone="b")]
    assert placed(*hosts, zoned, wanting("data")).task("t").node_id == "n2"


def test_readers_must_only_read() -> None:
    kind = Spec.ACCESS_MANY_READERS
    driver = placed(host("n1"), volume("data", access=kind), wanting("data"))
    assert "the mount is not readonly" in driver.task("t").status.error
    driver = placed(host("n1"), volume("data", access=kind), wanting("data", read_only=True))
    assert the(driver).holders[0].read_only


def test_a_freed_volume_lets_the_next_task_go_on() -> None:
    gone = host("n0")
    gone.spec.availability = DRAIN
    old = given(task("old", node_id="n0", state=states.SHUTDOWN), "data", 1)
    driver = placed(gone, host("n1"), volume("data", ("n0", 1)), old, wanting("data"))
    assert driver.task("t").node_id == ""
    free = copy(the(driver))
    del free.holders[:]
    driver.write(update(free))
    driver.run()
    assert driver.task("t").node_id == "n1"
    assert the(driver).holders[0].epoch == 2


def remedies(*objects: StoredObject) -> list[str]:
    driver = placed(*objects)
    inquiry = Inquiry(driver.store, driver.task("t"), rows=5)
    for _ in inquiry.go_on():
        pass
    return [step.text for each in inquiry.proposals for step in each.steps]


def test_what_would_help_is_proposed() -> None:
    paused = volume("data")
    paused.spec.availability = Spec.AVAILABILITY_PAUSE
    assert remedies(host("n1"), paused, wanting("data")) == ["activate volume data"]
    assert remedies(host("n1", "nfs"), volume("data"), wanting("data")) == [
        "give n1 the volume driver shared"
    ]
    (force,) = remedies(host("n1"), volume("data", ("n0", 1)), wanting("data"))
    assert "if you are sure that its node is off" in force
    elsewhere = volume("data", driver="local", home="n0")
    move = ["move the data of volume data to n1"]
    assert remedies(host("n1"), elsewhere, wanting("data")) == move
    moving = copy(elsewhere)
    moving.transfer.node_id = "n1"
    mounted = copy(elsewhere)
    mounted.spec.driver_options["device"] = "/dev/sdb"
    for each in (moving, mounted):
        assert remedies(host("n1"), each, wanting("data")) == []


SHARED_BY = {
    Spec.SHARING_ALL: (2, 4),
    Spec.SHARING_NONE: (1, 1),
    Spec.SHARING_READONLY: (0, 2),
    Spec.SHARING_ONEWRITER: (1, 3),
}


@pytest.mark.parametrize("sharing", SHARED_BY)
def test_tasks_share_a_volume_as_it_says(sharing: Spec.Sharing.ValueType) -> None:
    """So many of two that write, and of these with two that only read."""
    writers = [wanting("data", name=f"w{n}", slot=n) for n in (1, 2)]
    readers = [wanting("data", name=f"r{n}", slot=n, read_only=True) for n in (3, 4)]
    for tasks, expected in zip((writers, writers + readers), SHARED_BY[sharing], strict=True):
        data = volume("data")
        data.spec.sharing = sharing
        driver = placed(host("n1"), data, *tasks)
        there = [each for each in driver.tasks() if each.node_id]
        assert len(there) == expected
        assert all(each.volumes[0].read_only == (each.id[0] == "r") for each in there)
        if expected < len(tasks):
            waiting = next(each for each in driver.tasks() if not each.node_id)
            assert "volume data is not shared so" in waiting.status.error


def test_who_waits_for_the_only_writer_comes_when_that_has_ended() -> None:
    data = volume("data")
    data.spec.sharing = Spec.SHARING_ONEWRITER
    readers = wanting("data", name="r", slot=3, read_only=True)
    first, second = (wanting("data", name=f"w{n}", slot=n) for n in (1, 2))
    driver = placed(host("n1"), data, readers, first)
    driver.write(create(second))
    driver.run()
    assert not driver.task("w2").node_id
    ended = copy(driver.task("w1"))
    ended.status.state, ended.desired_state = states.SHUTDOWN, states.SHUTDOWN
    driver.write(update(ended))
    driver.run()
    assert driver.task("w2").node_id == "n1"


def opening_host(name: str, **flags: bool) -> Node:
    made = node(name)
    made.description.volume_drivers.add(name="shared", node_id=f"host-{name}", **flags)
    return made


def test_a_storage_lets_a_node_in_before_it_hears_of_the_volume() -> None:
    driver = placed(opening_host("n1", opens=True, fences=True), volume("data"), wanting("data"))
    (holder,) = the(driver).holders
    assert holder.state == objects_pb2.VolumeHolder.STATE_OPENING
    assert (holder.host_id, holder.opens, holder.fenceable) == ("host-n1", True, False)
    driver = placed(opening_host("n1", fences=True), volume("data"), wanting("data"))
    (holder,) = the(driver).holders
    assert holder.state == objects_pb2.VolumeHolder.STATE_HELD
    assert (holder.opens, holder.fenceable) == (False, True)


def test_what_its_driver_has_to_make_first_is_waited_for() -> None:
    driver = placed(opening_host("n1", creates=True), volume("data"), wanting("data"))
    assert "has not made it yet" in driver.task("t").status.error
    driver.write(update(made(the(driver))))
    driver.run()
    assert driver.task("t").node_id == "n1"


def made(data: Volume, **segments: str) -> Volume:
    changed = copy(data)
    changed.made.handle = "h"
    if segments:
        changed.made.topology.add(segments=segments)
    return changed


def test_what_another_node_has_to_make_is_waited_for_and_followed() -> None:
    west, east = host("n1", "shared", zone="west"), host("n2", "shared", zone="east")
    maker = opening_host("n3", creates=True)
    maker.spec.availability = DRAIN
    driver = placed(west, east, maker, volume("data"), wanting("data"))
    assert "has not made it yet" in driver.task("t").status.error
    driver.write(update(made(the(driver), zone="east")))
    driver.run()
    assert driver.task("t").node_id == "n2"


def test_what_nobody_can_make_is_taken_as_it_is() -> None:
    maker = opening_host("n2", creates=True)
    maker.spec.availability = DRAIN
    driver = placed(host("n1"), maker, volume("data"), wanting("data"))
    assert not driver.task("t").node_id
    driver.write(delete(maker))
    driver.run()
    assert driver.task("t").node_id == "n1"


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (objects_pb2.VolumeHolder.STATE_FENCED, "whose former lease is not over"),
        (objects_pb2.VolumeHolder.STATE_CLOSING, "has yet to close volume data to n1: busy"),
    ],
)
def test_what_a_node_was_shut_out_from_goes_to_others_first(
    state: objects_pb2.VolumeHolder.State.ValueType, words: str
) -> None:
    data = volume("data", ("n1", 1))
    data.holders[0].state, data.holders[0].order_error = state, "busy"
    driver = placed(host("n1"), data, wanting("data"))
    assert words in driver.task("t").status.error
    assert placed(host("n1"), host("n2"), data, wanting("data")).task("t").node_id == "n2"


def test_what_is_being_removed_is_given_to_nobody() -> None:
    data = volume("data")
    data.removing = True
    driver = placed(host("n1"), data, wanting("data"))
    assert "is being removed" in driver.task("t").status.error


def test_what_is_being_moved_is_given_to_nobody_until_it_is_there() -> None:
    moving = volume("data", driver="local", home="n1")
    moving.transfer.CopyFrom(objects_pb2.VolumeTransfer(id="m", node_id="n2"))
    driver = placed(host("n1"), host("n2"), moving, wanting("data"))
    assert "volume data is being moved to another node" in driver.task("t").status.error
    there = copy(the(driver))
    there.home = "n2"
    there.transfer.kind = objects_pb2.VolumeTransfer.KIND_CLEAR
    driver.write(update(there))
    driver.run()
    assert driver.task("t").node_id == "n2"
