"""Who carries out an order, when it is tried again, and what is left of one without an answer."""

import pytest

from api.errors import Code, SwarmError
from api.v1 import objects_pb2
from manager.state.changes import copy
from manager.volumes.order import CLOSE, CREATE, DELETE, FENCE, FILL, OPEN, Order, Outcome
from manager.volumes.order_book import PATIENCE, OrderBook
from tests.support.builders import DOWN, node, volume
from tests.support.counter import counter

Holder = objects_pb2.VolumeHolder
Node = objects_pb2.Node
Volume = objects_pb2.Volume


def host(name: str, driver: str = "shared") -> Node:
    made = node(name)
    made.description.volume_drivers.add(
        name=driver, creates=True, opens=True, fences=True, deletes=True
    )
    return made


def opening(name: str = "data", node_id: str = "n1", epoch: int = 1) -> Volume:
    made = volume(name, (node_id, epoch))
    made.made.handle = "h"
    made.holders[0].state = Holder.STATE_OPENING
    made.holders[0].opens = True
    return made


class Desk:
    """Nodes n1 and n2 have the driver, n3 another one."""

    def __init__(self, *volumes: Volume, listening: str = "n1 n2 n3") -> None:
        self.book = OrderBook(counter("o-"))
        self.nodes = {"n1": host("n1"), "n2": host("n2"), "n3": host("n3", "other")}
        for name in listening.split():
            self.book.listens(name)
        self.book.begin([], self.nodes.values())
        for each in volumes:
            self.book.observe(None, each)

    def step(self, now: float) -> list[tuple[str, str, Order]]:
        return [(each.id, each.node_id, each.order) for each in self.book.step(now).given]

    def taken_back(self, now: float) -> list[str]:
        return [each.id for each in self.book.step(now).taken_back]

    def down(self, name: str) -> None:
        before = self.nodes[name]
        self.nodes[name] = after = copy(before)
        after.status.state = DOWN
        self.book.observe(before, after)


ORDER = Order("data", OPEN, "n1", 1)


def test_a_node_that_has_the_driver_and_listens_gets_it_once() -> None:
    desk = Desk(opening(), listening="n3 n2")
    assert desk.step(0.0) == [("o-1", "n2", ORDER)]
    assert desk.step(1.0) == []
    assert desk.book.answered("n2", "o-1", Outcome.DONE, 2.0) == (ORDER, True)


def test_what_is_done_is_not_given_again_before_the_state_says_so() -> None:
    """Else a second order to let a node in may come late, after that node was fenced."""
    before = opening()
    desk = Desk(before)
    desk.step(0.0)
    assert desk.book.answered("n1", "o-1", Outcome.DONE, 1.0) == (ORDER, True)
    desk.down("n2")
    assert desk.step(1.0) == []
    assert desk.book.due() is None
    after = copy(before)
    after.holders[0].state = Holder.STATE_CLOSING
    desk.book.observe(before, after)
    assert [order.verb for _, _, order in desk.step(1.0)] == [CLOSE]


def test_nobody_is_asked_who_does_not_listen() -> None:
    desk = Desk(opening(), listening="n3")
    assert desk.step(0.0) == []
    assert desk.book.due() is None
    desk.book.listens("n1")
    assert desk.step(1.0) == [("o-1", "n1", ORDER)]


def test_what_fails_is_tried_again_later_and_by_another() -> None:
    desk = Desk(opening())
    moments, who = [], []
    now = 0.0
    for number in range(1, 5):
        (given,) = desk.step(now)
        moments.append(now)
        who.append(given[1])
        assert desk.book.answered(given[1], f"o-{number}", Outcome.UNDONE, now) == (ORDER, True)
        due = desk.book.due()
        assert due is not None
        assert desk.step(due - 0.1) == []
        now = due
    assert moments == [0.0, 1.0, 3.0, 7.0]
    assert who == ["n1", "n2", "n1", "n2"]


@pytest.mark.parametrize(("outcome", "alone"), [(Outcome.UNDONE, True), (Outcome.UNKNOWN, False)])
def test_a_failure_leaves_a_doubt_if_its_driver_may_be_at_work_still(
    outcome: Outcome, alone: bool
) -> None:
    desk = Desk(opening())
    desk.step(0.0)
    desk.book.answered("n1", "o-1", outcome, 1.0)
    ((second, who, _),) = desk.step(2.0)
    assert desk.book.answered(who, second, Outcome.DONE, 3.0) == (ORDER, alone)


def test_a_removal_does_not_wait_for_the_next_try() -> None:
    unmade = volume("data")
    desk = Desk(unmade)
    for moment in (0.0, 1.0, 3.0):
        ((given, who, _),) = desk.step(moment)
        desk.book.answered(who, given, Outcome.UNDONE, moment)
    assert desk.book.due() == 7.0
    removing = copy(unmade)
    removing.removing = True
    desk.book.observe(unmade, removing)
    assert [order.verb for _, _, order in desk.step(3.5)] == [CREATE]


def test_an_order_without_an_answer_goes_to_another_and_leaves_a_doubt() -> None:
    desk = Desk(opening())
    desk.step(0.0)
    assert desk.book.due() == PATIENCE
    assert desk.taken_back(PATIENCE) == ["o-1"]
    assert desk.step(PATIENCE + 1.0) == [("o-2", "n2", ORDER)]
    with pytest.raises(SwarmError) as late:
        desk.book.answered("n1", "o-1", Outcome.DONE, PATIENCE + 2.0)
    assert late.value.code is Code.NOT_FOUND
    assert desk.book.answered("n2", "o-2", Outcome.DONE, 80.0) == (ORDER, False)


def test_who_leaves_leaves_a_doubt() -> None:
    desk = Desk(opening())
    desk.step(0.0)
    desk.book.leaves("n1", 1.0)
    assert desk.step(1.5) == []
    assert desk.step(2.0) == [("o-2", "n2", ORDER)]
    assert desk.book.answered("n2", "o-2", Outcome.DONE, 3.0) == (ORDER, False)


def test_a_new_leader_knows_not_who_was_told_before() -> None:
    desk = Desk()
    desk.book.begin([opening()], desk.nodes.values())
    (given,) = desk.step(0.0)
    assert desk.book.answered(given[1], given[0], Outcome.DONE, 1.0) == (ORDER, False)


def test_another_node_may_not_answer() -> None:
    desk = Desk(opening())
    desk.step(0.0)
    with pytest.raises(SwarmError, match="node n2 has no order o-1"):
        desk.book.answered("n2", "o-1", Outcome.DONE, 1.0)


def test_one_order_about_a_volume_is_under_way_and_the_same_node_goes_on() -> None:
    closing = opening(node_id="n2")
    closing.holders[0].state = Holder.STATE_CLOSING
    closing.holders.add(node_id="n1", epoch=2, state=Holder.STATE_OPENING, opens=True)
    desk = Desk(closing, listening="n2")
    assert desk.step(0.0) == [("o-1", "n2", Order("data", CLOSE, "n2", 1))]
    desk.book.listens("n1")
    assert desk.step(1.0) == []
    desk.book.answered("n2", "o-1", Outcome.DONE, 2.0)
    closed = copy(closing)
    del closed.holders[0]
    desk.book.observe(closing, closed)
    assert desk.step(2.0) == [("o-2", "n2", Order("data", OPEN, "n1", 2))]


def test_what_cannot_be_closed_keeps_nobody_from_being_let_in() -> None:
    closing = opening(node_id="n2")
    closing.holders[0].state = Holder.STATE_CLOSING
    closing.holders.add(node_id="n1", epoch=2, state=Holder.STATE_OPENING, opens=True)
    desk = Desk(closing)
    (given,) = desk.step(0.0)
    desk.book.answered(given[1], given[0], Outcome.UNDONE, 0.0)
    assert [order.verb for _, _, order in desk.step(0.0)] == [OPEN]


def test_what_nobody_wants_any_more_is_taken_back() -> None:
    desk = Desk(opening())
    desk.step(0.0)
    free = copy(opening())
    del free.holders[:]
    desk.book.observe(opening(), free)
    assert desk.taken_back(1.0) == ["o-1"]
    assert desk.book.due() is None


def test_a_node_that_is_lost_is_shut_out_by_another() -> None:
    held = opening()
    held.holders[0].state = Holder.STATE_HELD
    held.holders[0].fenceable = True
    desk = Desk(held)
    assert desk.step(0.0) == []
    desk.down("n1")
    assert desk.step(1.0) == [("o-1", "n2", Order("data", FENCE, "n1", 1))]


def test_what_is_on_one_node_is_deleted_there() -> None:
    removing = volume("data", home="n2")
    removing.epoch, removing.removing = 1, True
    desk = Desk(removing, listening="n1")
    assert desk.step(0.0) == []
    desk.book.listens("n2")
    assert desk.step(1.0) == [("o-1", "n2", Order("data", DELETE))]


def test_what_could_not_be_written_is_done_again() -> None:
    desk = Desk(opening())
    desk.step(0.0)
    order, _ = desk.book.answered("n1", "o-1", Outcome.DONE, 1.0)
    desk.book.repeat(order, 1.0)
    assert desk.step(1.5) == []
    assert desk.step(2.0) == [("o-2", "n1", ORDER)]


def test_a_fence_that_was_begun_is_brought_to_its_end_though_the_node_is_back() -> None:
    held = opening()
    held.holders[0].state = Holder.STATE_HELD
    held.holders[0].fenceable = True
    desk = Desk(held)
    desk.down("n1")
    fence = Order("data", FENCE, "n1", 1)
    assert desk.step(1.0) == [("o-1", "n2", fence)]
    desk.book.observe(desk.nodes["n1"], host("n1"))
    assert desk.taken_back(2.0) == []
    assert desk.book.answered("n2", "o-1", Outcome.UNDONE, 3.0) == (fence, True)
    assert desk.step(4.0) == [("o-2", "n2", fence)]
    over = copy(held)
    del over.holders[:]
    desk.book.observe(held, over)
    assert desk.taken_back(5.0) == ["o-2"]


def test_an_answer_may_come_when_nobody_wants_it_any_more() -> None:
    desk = Desk(opening())
    desk.step(0.0)
    free = copy(opening())
    del free.holders[:]
    desk.book.observe(opening(), free)
    assert desk.book.answered("n1", "o-1", Outcome.DONE, 1.0) == (ORDER, False)


def moving() -> Volume:
    made = volume("data", driver="other", home="n1")
    made.made.handle = "h"
    made.transfer.CopyFrom(objects_pb2.VolumeTransfer(id="m", node_id="n3"))
    return made


COPY = Order("data", FILL, "n3", transfer="m")


def test_a_copy_is_made_by_the_node_that_is_to_have_it() -> None:
    desk = Desk(moving(), listening="n1 n2")
    assert desk.step(0.0) == []
    desk.book.listens("n3")
    assert desk.step(1.0) == [("o-1", "n3", COPY)]
    assert desk.book.given("n3", "o-1") == COPY
    with pytest.raises(SwarmError):
        desk.book.given("n1", "o-1")


def test_a_copy_may_take_long_but_not_its_beginning_and_its_end() -> None:
    desk = Desk(moving())
    desk.step(0.0)
    desk.book.begun("n3", "o-1")
    assert desk.taken_back(9 * PATIENCE) == []
    desk.book.over("n3", "o-1", 10 * PATIENCE)
    assert desk.taken_back(11 * PATIENCE) == ["o-1"]
    desk.book.over("n3", "o-1", 12 * PATIENCE)  # nobody waits for it any more
    assert desk.step(12 * PATIENCE) == [("o-2", "n3", COPY)]
    assert desk.taken_back(14 * PATIENCE) == ["o-2"]
