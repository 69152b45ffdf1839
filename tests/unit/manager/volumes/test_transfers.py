"""What is to be done to move data that is on one node, and that just one copy of it ever counts."""

from random import Random
from typing import NamedTuple

import pytest

from api.v1 import objects_pb2
from manager.state.changes import Action, Batch, copy
from manager.state.volumes import why_closed
from manager.volumes.drivers import Drivers
from manager.volumes.known import as_driver_knows
from manager.volumes.order import DELETE, FILL, SAVE, Order
from manager.volumes.orders import Report, settled, wanted, written
from manager.volumes.transfers import dropped, without_node
from tests.support.builders import volume

Transfer = objects_pb2.VolumeTransfer
Volume = objects_pb2.Volume
MOVING = Transfer(id="t1", kind=Transfer.KIND_MIGRATE, node_id="n2")
RESTORING = Transfer(id="t1", kind=Transfer.KIND_RESTORE, node_id="n2", devices=True)
SAVING = Transfer(id="t1", kind=Transfer.KIND_BACKUP, node_id="n1")
CLEARING = Transfer(id="t1", kind=Transfer.KIND_CLEAR, node_id="n1", generation="t0")


def data(transfer: Transfer | None = None, *holders: tuple[str, int], home: str = "n1") -> Volume:
    made = volume("data", *holders)
    made.home, made.generation = home, "t0" if home else ""
    if transfer is not None:
        made.transfer.CopyFrom(transfer)
    return made


def orders(found: Volume) -> list[Order]:
    return list(wanted(found, Drivers()))


def after(found: Volume, error: str = "") -> Batch | None:
    (order,) = orders(found)
    report = Report(error=error)
    return settled(found, order, report, alone=True, fences=False)


def changed(found: Batch | None) -> Volume:
    assert found is not None
    (change,) = found.changes
    assert change.action is Action.UPDATE
    assert isinstance(change.object, Volume)
    return change.object


@pytest.mark.parametrize(
    ("found", "meant"),
    [
        (data(), []),
        (data(MOVING), [Order("data", FILL, "n2", transfer="t1")]),
        (data(MOVING, ("n1", 1)), []),
        (data(SAVING), [Order("data", SAVE, "n1", transfer="t1")]),
        (data(SAVING, ("n1", 1)), []),
        (data(RESTORING, home=""), [Order("data", FILL, "n2", transfer="t1")]),
        (data(CLEARING, ("n2", 1)), [Order("data", DELETE, "n1", transfer="t1")]),
    ],
)
def test_what_is_to_be_done(found: Volume, meant: list[Order]) -> None:
    assert orders(found) == meant


def test_what_is_saved_beside_tasks_waits_for_none() -> None:
    live = copy(data(SAVING, ("n1", 1)))
    live.transfer.live = True
    assert [each.verb for each in orders(live)] == [SAVE]
    assert not why_closed(live)
    assert why_closed(data(SAVING)) == "is being saved"


def test_home_and_copy_change_at_once_and_only_then_the_old_one_goes() -> None:
    moved = changed(after(data(MOVING)))
    assert (moved.home, moved.generation) == ("n2", "t1")
    assert (moved.transfer.kind, moved.transfer.node_id) == (Transfer.KIND_CLEAR, "n1")
    assert moved.transfer.generation == "t0"
    assert not why_closed(moved)
    assert not changed(after(moved)).HasField("transfer")


def test_a_copy_that_failed_is_tried_again_and_says_why() -> None:
    failed = changed(after(data(MOVING), "no room"))
    assert failed.transfer.error == "no room"
    assert failed.home == "n1"
    assert orders(failed) == orders(data(MOVING))
    assert after(failed, "no room") is None


def test_a_move_that_is_given_up_clears_what_it_made() -> None:
    stays = dropped(data(MOVING), "")
    assert stays is not None
    assert (stays.home, stays.generation) == ("n1", "t0")
    assert (stays.transfer.node_id, stays.transfer.generation) == ("n2", "t1")
    assert dropped(stays, "") is None


def test_what_was_restored_has_a_home() -> None:
    made = changed(after(data(RESTORING, home="")))
    assert (made.home, made.generation, made.HasField("transfer")) == ("n2", "t1", False)


def test_what_could_not_be_restored_goes_with_what_there_is_of_it() -> None:
    failed = changed(after(data(RESTORING, home=""), "damaged"))
    assert failed.removing
    assert failed.pending == "damaged"
    (order,) = orders(failed)
    assert (order.verb, order.node_id) == (DELETE, "n2")
    gone = after(failed)
    assert gone is not None
    assert [each.action for each in gone.changes] == [Action.DELETE]


@pytest.mark.parametrize("error", ["", "it changed"])
def test_a_backup_leaves_nothing_behind(error: str) -> None:
    saved = changed(after(data(SAVING), error))
    assert saved == data()


@pytest.mark.parametrize("transfer", [MOVING, CLEARING, SAVING])
def test_a_node_that_was_removed_is_waited_for_no_longer(transfer: Transfer) -> None:
    assert changed(without_node(data(transfer))) == data()


def test_an_order_names_the_copy_that_is_meant() -> None:
    def named(found: Volume) -> tuple[str, bool]:
        (order,) = orders(found)
        message = written(found, order, as_driver_knows(found, {}))
        return message.volume.generation, message.devices

    assert named(data(MOVING)) == ("t1", True)
    assert named(data(RESTORING, home="")) == ("t1", True)
    assert named(data(SAVING)) == ("t0", False)
    assert named(data(CLEARING)) == ("t0", False)


def test_a_report_of_another_transfer_changes_nothing() -> None:
    (late,) = orders(data(MOVING))
    again = data(Transfer(id="t2", kind=Transfer.KIND_MIGRATE, node_id="n2"))
    assert settled(again, late, Report(), alone=True, fences=False) is None
    assert settled(data(), late, Report(), alone=True, fences=False) is None


class Sent(NamedTuple):
    """An order on its way: where the data was when it was given."""

    order: Order
    generation: str
    source: tuple[str, str]


class World:
    """Nodes with copies, and orders and reports that come late, twice, or never."""

    def __init__(self) -> None:
        self.volume = data()
        self.copies = {("n1", "t0"): 0}
        self.truth = 0
        self.ids = 0
        self.sent: list[Sent] = []
        self.reports: list[tuple[Order, str]] = []

    @property
    def home(self) -> tuple[str, str]:
        return self.volume.home, self.volume.generation

    def migrate(self, which: int) -> None:
        """An operator moves it, where that is allowed."""
        others = sorted({"n1", "n2", "n3"} - {self.volume.home})
        if not self.volume.HasField("transfer"):
            self.ids += 1
            self.volume = copy(self.volume)
            self.volume.transfer.CopyFrom(
                Transfer(id=f"m{self.ids}", kind=Transfer.KIND_MIGRATE, node_id=others[which % 2])
            )

    def cancel(self, _: int) -> None:
        self.volume = dropped(self.volume, "") or self.volume

    def take(self, _: int) -> None:
        """A task gets the volume."""
        if not why_closed(self.volume) and not self.volume.holders:
            self.volume = copy(self.volume)
            self.volume.epoch += 1
            self.volume.holders.add(node_id=self.volume.home, epoch=self.volume.epoch)

    def write(self, _: int) -> None:
        """It writes there."""
        if self.volume.holders:
            self.truth += 1
            self.copies[self.home] = self.truth

    def release(self, _: int) -> None:
        if self.volume.holders:
            self.volume = copy(self.volume)
            del self.volume.holders[:]

    def give(self, _: int) -> None:
        """Some leader gives the order that is due; another may have before."""
        for order in orders(self.volume):
            message = written(self.volume, order, as_driver_knows(self.volume, {}))
            self.sent.append(Sent(order, message.volume.generation, self.home))

    def carry_out(self, which: int) -> None:
        """A node does what any leader ever told it, and may die before it can say so."""
        if not self.sent:
            return
        order, generation, source = self.sent[which % len(self.sent)]
        copy_ = (order.node_id, generation)
        error = ""
        if order.verb == DELETE:
            self.copies.pop(copy_, None)
        elif copy_ not in self.copies:
            if source in self.copies:
                self.copies[copy_] = self.copies[source]
            else:
                error = "there is nothing to be copied"
        self.reports.append((order, error))

    def report(self, which: int) -> None:
        if self.reports:
            order, error = self.reports[which % len(self.reports)]
            report = Report(error=error)
            self._apply(settled(self.volume, order, report, alone=True, fences=False))

    def _apply(self, found: Batch | None) -> None:
        if found is not None:
            self.volume = changed(found)


STEPS = ("migrate", "take", "write", "release", "give", "carry_out", "report") * 4 + ("cancel",)


@pytest.mark.parametrize("seed", range(60))
def test_whatever_comes_late_or_never_the_copy_that_counts_has_all(seed: int) -> None:
    """Harsher than the order book, which takes each report once, from whom it asked last."""
    random, world = Random(seed), World()
    for _ in range(800):
        name = random.choice(STEPS)
        # The last one mostly, so that moves come to their ends.
        which = -1 if random.random() < 0.7 else random.randrange(1000)
        getattr(world, name)(which)
        assert world.copies.get(world.home) == world.truth, name
    assert world.volume.generation != "t0"


def test_a_move_comes_to_its_end() -> None:
    world = World()
    for name in ("take", "write", "migrate", "release", "give", "carry_out", "report"):
        getattr(world, name)(0)
    assert world.home == ("n2", "m1")
    for name in ("give", "carry_out", "report"):
        which = len(world.sent if name == "carry_out" else world.reports) - 1
        getattr(world, name)(which)
    assert world.copies == {("n2", "m1"): 1}
    assert not world.volume.HasField("transfer")
