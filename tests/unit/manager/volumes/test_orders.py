"""What is to be done about a volume at its storage, and what a report of it changes."""

from typing import Any

import pytest

from api.v1 import objects_pb2, volume_pb2
from manager.state.changes import Action
from manager.state.volumes import ended, turn
from manager.volumes.drivers import Drivers
from manager.volumes.order import CLOSE, CREATE, DELETE, FENCE, OPEN, Order
from manager.volumes.orders import (
    LARGEST_REPORT,
    Report,
    bounded,
    has_to_be_deleted,
    settled,
    wanted,
    written,
)
from tests.support.builders import DOWN, node, volume

Holder = objects_pb2.VolumeHolder
Volume = objects_pb2.Volume

OPEN_1 = Order("data", OPEN, "n1", 1)


def drivers(*down: str, **flags: bool) -> Drivers:
    made = Drivers()
    for name in ("n1", "n2"):
        each = node(name)
        each.description.volume_drivers.add(name="shared", **flags)
        if name in down:
            each.status.state = DOWN
        made.put(name, each)
    return made


def held(state: Holder.State.ValueType, **fields: Any) -> Volume:
    """A volume that was made, with a hold of n1."""
    made = volume("data", ("n1", 1))
    made.made.handle = "h"
    made.holders[0].state = state
    made.holders[0].opens = True
    for name, value in fields.items():
        setattr(made.holders[0], name, value)
    return made


def verbs(found: Volume, known: Drivers) -> list[int]:
    return [each.verb for each in wanted(found, known)]


@pytest.mark.parametrize(
    ("found", "known", "meant"),
    [
        (volume("data"), drivers(), []),
        (volume("data"), drivers(creates=True), [CREATE]),
        (volume("data", driver="other"), drivers(creates=True), []),
        (held(Holder.STATE_OPENING), drivers(creates=True, opens=True), [OPEN]),
        (held(Holder.STATE_HELD), drivers("n1", fences=True), []),
        (held(Holder.STATE_HELD, fenceable=True), drivers(fences=True), []),
        (held(Holder.STATE_HELD, fenceable=True), drivers("n1", fences=True), [FENCE]),
        (held(Holder.STATE_RELEASING, fenceable=True), drivers("n1", fences=True), [FENCE]),
        (held(Holder.STATE_FENCED, fenceable=True), drivers("n1", fences=True), []),
        (held(Holder.STATE_CLOSING, fenceable=True), drivers("n1", opens=True), [CLOSE]),
        (held(Holder.STATE_HELD, fenceable=True, node_id="gone"), drivers(fences=True), [FENCE]),
    ],
)
def test_what_is_to_be_done(found: Volume, known: Drivers, meant: list[int]) -> None:
    assert verbs(found, known) == meant


def test_what_is_removed_is_closed_first_and_then_deleted() -> None:
    found = held(Holder.STATE_CLOSING)
    found.removing = True
    assert verbs(found, drivers(opens=True, creates=True)) == [CLOSE]
    del found.holders[:]
    assert verbs(found, drivers(opens=True, creates=True)) == [DELETE]


def test_what_may_be_under_way_to_be_made_is_made_before_it_is_deleted() -> None:
    """Nobody else knows what its driver calls it; else it would stay at the storage for good."""
    found = volume("data")
    known = drivers(creates=True)
    assert has_to_be_deleted(found, known)
    found.removing = True
    assert verbs(found, known) == [CREATE]
    create = Order("data", CREATE)
    made = after(found, create, made=objects_pb2.VolumeMade(handle="h"))
    assert verbs(made, known) == [DELETE]
    assert after(found, create, error="it took too long").pending == "it took too long"
    report = Report(error="no room", undone=True)
    gone = settled(found, create, report, alone=True, fences=False)
    assert gone is not None
    assert gone.changes[0].action is Action.DELETE


def test_what_comes_into_being_at_its_mount_is_deleted_if_it_was_ever_held() -> None:
    assert not has_to_be_deleted(volume("data"), drivers(deletes=True))
    used = volume("data", ("n1", 1))
    assert has_to_be_deleted(used, drivers(deletes=True))
    assert not has_to_be_deleted(used, drivers())
    assert has_to_be_deleted(held(Holder.STATE_HELD), drivers())


def after(found: Volume, order: Order, *, alone: bool = True, **report: Any) -> Volume:
    change = settled(found, order, Report(**report), alone=alone, fences=True)
    assert change is not None
    (only,) = change.changes
    assert only.action is Action.UPDATE
    assert isinstance(only.object, Volume)
    return only.object


def test_what_was_made_can_be_used() -> None:
    found = volume("data")
    found.pending = "no room"
    made = objects_pb2.VolumeMade(handle="h", context={"a": "b"}, capacity_bytes=5)
    changed = after(found, Order("data", CREATE), made=made)
    assert (changed.made, changed.pending) == (made, "")


def test_a_node_that_was_let_in_may_be_told() -> None:
    changed = after(held(Holder.STATE_OPENING), OPEN_1, publish_context={"device": "sdb"})
    (holder,) = changed.holders
    assert (holder.state, holder.fenceable) == (Holder.STATE_HELD, True)
    assert dict(holder.publish_context) == {"device": "sdb"}


def test_who_may_be_let_in_again_by_a_late_order_is_never_fenced() -> None:
    changed = after(held(Holder.STATE_OPENING), OPEN_1, alone=False)
    assert not changed.holders[0].fenceable
    again = held(Holder.STATE_OPENING, epoch=2)
    again.unfenceable.extend(changed.unfenceable)
    assert not after(again, Order("data", OPEN, "n1", 2)).holders[0].fenceable


def test_a_hold_that_goes_on_before_its_order_was_answered_leaves_the_node_in_doubt() -> None:
    taken_back = held(Holder.STATE_OPENING)
    turn(taken_back, "n1", Holder.STATE_RELEASING)
    assert list(taken_back.unfenceable) == ["n1"]
    lapsed = ended(held(Holder.STATE_OPENING), "n1", 1)
    assert lapsed is not None
    assert (list(lapsed.unfenceable), lapsed.holders[0].state) == (["n1"], Holder.STATE_CLOSING)
    proper = ended(held(Holder.STATE_HELD), "n1", 1)
    assert proper is not None
    assert not proper.unfenceable


def test_what_a_node_is_shut_out_from() -> None:
    fenced = after(held(Holder.STATE_HELD), Order("data", FENCE, "n1", 1))
    assert fenced.holders[0].state == Holder.STATE_FENCED
    over = ended(fenced, "n1", 1)
    assert over is not None
    assert not over.holders
    assert not after(held(Holder.STATE_CLOSING), Order("data", CLOSE, "n1", 1)).holders


def test_what_was_deleted_is_gone() -> None:
    found = volume("data")
    found.removing = True
    change = settled(found, Order("data", DELETE), Report(), alone=True, fences=False)
    assert change is not None
    assert change.changes[0].action is Action.DELETE


@pytest.mark.parametrize(
    "order",
    [
        Order("data", CREATE),
        Order("data", DELETE),
        Order("data", CLOSE, "n1", 1),
        Order("data", OPEN, "n1", 1),
        Order("data", FENCE, "n1", 2),
    ],
)
def test_a_late_report_changes_nothing(order: Order) -> None:
    found = held(Holder.STATE_HELD)
    assert settled(found, order, Report(), alone=True, fences=True) is None


def test_why_it_failed_is_kept_where_people_look() -> None:
    assert after(volume("data"), Order("data", CREATE), error="no room").pending == "no room"
    closing = held(Holder.STATE_CLOSING)
    changed = after(closing, Order("data", CLOSE, "n1", 1), error="x" * 1000)
    assert changed.holders[0].order_error == "x" * 500
    again = settled(
        changed, Order("data", CLOSE, "n1", 1), Report(error="x" * 600), alone=True, fences=True
    )
    assert again is None, "nothing new is written"


def test_a_report_that_is_too_large_is_a_failure() -> None:
    large = Report(order_id="o", publish_context={"a": "x" * LARGEST_REPORT})
    assert bounded(large).error.endswith("is larger than 65536")
    assert bounded(large).order_id == "o"
    small = Report(order_id="o")
    assert bounded(small) is small


def test_an_order_says_what_its_driver_needs() -> None:
    found = held(Holder.STATE_CLOSING, host_id="h1")
    found.holders[0].publish_context["device"] = "sdb"
    found.spec.required_bytes = 7
    known = volume_pb2.NodeVolume(name="data")
    message = written(found, Order("data", CLOSE, "n1", 1), known)
    assert (message.host_id, message.required_bytes) == ("h1", 0)
    assert dict(message.volume.publish_context) == {"device": "sdb"}
    assert written(found, Order("data", CREATE), known).required_bytes == 7
