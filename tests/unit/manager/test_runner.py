"""The runner of loops: debounce, backlog, refusals, failures."""

import pytest

from api.errors import Code, SwarmError
from api.v1 import objects_pb2, raft_pb2
from api.wellformed import SPEC_BYTES
from manager.decision import Decision
from manager.raft.node.node import ENTRY_BYTES
from manager.runner import LONGEST_DELAY, MAX_DEBOUNCE, RETRY_DELAY, Runner
from manager.state.changes import MAX_BATCHES, Batch, Event, batch, create, encode
from manager.state.store import Store, View

REFUSAL = SwarmError(Code.CONFLICT, "changed meanwhile")


class ScriptedLoop:
    """Decides what it was told to, and remembers what it was told."""

    name = "scripted"
    kinds = (objects_pb2.Task,)
    debounce = 0.01

    def __init__(self) -> None:
        self.decisions: list[Decision] = []
        self.asked: list[float] = []
        self.refusals: list[Batch] = []
        self.resets = 0

    def reset(self, view: View) -> None:
        self.resets += 1

    def observe(self, event: Event) -> bool:
        return event.object.id != "dull"

    def decide(self, view: View, now: float) -> Decision:
        self.asked.append(now)
        return self.decisions.pop(0) if self.decisions else Decision()

    def refused(self, each: Batch) -> None:
        self.refusals.append(each)


def task(object_id: str) -> objects_pb2.Task:
    return objects_pb2.Task(id=object_id)


def started() -> tuple[ScriptedLoop, Runner, Store]:
    loop, store = ScriptedLoop(), Store()
    runner = Runner(loop)
    runner.reset(0.0)
    runner.step(store, 0.0)
    loop.asked.clear()
    return loop, runner, store


def test_a_reset_decides_at_once() -> None:
    loop, store = ScriptedLoop(), Store()
    runner = Runner(loop)
    runner.reset(5.0)
    assert runner.due() == 5.0
    runner.step(store, 5.0)
    assert (loop.asked, runner.due()) == ([5.0], None)


def test_events_wait_for_quiet() -> None:
    loop, runner, store = started()
    runner.observe([Event(None, task("a"))], 1.0)
    runner.observe([Event(None, task("b"))], 1.005)
    assert runner.due() == 1.015
    assert runner.step(store, 1.01) == []
    assert loop.asked == []
    runner.step(store, 1.015)
    assert loop.asked == [1.015]


def test_a_steady_stream_of_events_delays_only_so_long() -> None:
    _, runner, _ = started()
    for step in range(100):
        runner.observe([Event(None, task("a"))], 1.0 + step * 0.005)
    assert runner.due() == 1.0 + MAX_DEBOUNCE


def test_events_of_no_interest_wake_nobody() -> None:
    _, runner, _ = started()
    runner.observe([Event(None, task("dull"))], 1.0)
    assert runner.due() is None


def test_a_loop_is_woken_when_it_asked_to_be() -> None:
    loop, runner, store = started()
    loop.decisions = [Decision(wake_at=9.0)]
    runner.observe([Event(None, task("a"))], 1.0)
    runner.step(store, 2.0)
    assert runner.due() == 9.0
    runner.step(store, 9.0)
    assert loop.asked == [2.0, 9.0]


def test_a_loop_that_is_not_done_goes_on_at_once() -> None:
    loop, runner, store = started()
    loop.decisions = [Decision(more=True), Decision()]
    runner.observe([Event(None, task("a"))], 1.0)
    runner.step(store, 2.0)
    assert runner.due() == 2.0
    runner.step(store, 2.0)
    assert runner.due() is None


def test_a_large_decision_is_proposed_in_parts_before_the_next() -> None:
    loop, runner, store = started()
    batches = [batch(create(task(str(n)))) for n in range(MAX_BATCHES + 1)]
    loop.decisions = [Decision(batches)]
    runner.observe([Event(None, task("a"))], 1.0)
    assert len(runner.step(store, 2.0)) == MAX_BATCHES
    assert runner.due() == 0.0
    assert len(runner.step(store, 2.0)) == 1
    assert loop.asked == [2.0]


def test_a_refused_batch_is_decided_anew() -> None:
    loop, runner, store = started()
    good, bad = batch(create(task("1"))), batch(create(task("2")))
    loop.decisions = [Decision([good, bad])]
    runner.observe([Event(None, task("a"))], 1.0)
    proposal = runner.step(store, 2.0)
    runner.settled(proposal, [None, REFUSAL], 2.5)
    assert loop.refusals == [bad]
    assert runner.due() == 2.5 + loop.debounce


def test_after_a_failed_proposal_everything_is_new() -> None:
    loop, runner, store = started()
    loop.decisions = [Decision([batch(create(task(str(n)))) for n in range(MAX_BATCHES + 1)])]
    runner.observe([Event(None, task("a"))], 1.0)
    runner.step(store, 2.0)
    runner.failed("no disk", 3.0)
    assert (runner.due(), runner.complaint) == (3.0 + RETRY_DELAY, "scripted failed: no disk")
    assert runner.step(store, 3.0 + RETRY_DELAY) == []
    assert loop.resets == 2


def test_failures_in_a_row_are_further_and_further_apart_whatever_happens() -> None:
    _, runner, store = started()
    delays = []
    now = 1.0
    for _ in range(9):
        runner.failed("a defect", now)
        runner.observe([Event(None, task("a"))], now)
        due = runner.due()
        assert due is not None
        assert runner.step(store, due - 0.01) == []
        delays.append(due - now)
        now = due
    assert delays[:4] == [RETRY_DELAY, 1.0, 2.0, 4.0]
    assert delays[-1] == LONGEST_DELAY


def test_a_success_ends_the_complaint_and_the_delays() -> None:
    loop, runner, store = started()
    for _ in range(3):
        runner.failed("a defect", 1.0)
    loop.decisions = [Decision([batch(create(task("1")))])]
    proposal = runner.step(store, 100.0)
    assert runner.complaint
    runner.settled(proposal, [None], 100.0)
    assert runner.complaint == ""
    runner.failed("another", 200.0)
    assert runner.due() == 200.0 + RETRY_DELAY


def test_a_decision_for_nothing_is_a_success_too() -> None:
    _, runner, store = started()
    runner.failed("a defect", 1.0)
    runner.step(store, 9.0)
    assert (runner.complaint, runner.due()) == ("", None)


def test_when_the_clock_is_set_back_everything_is_looked_at_anew() -> None:
    loop, runner, store = started()
    loop.decisions = [Decision(wake_at=9000.0)]
    runner.observe([Event(None, task("a"))], 8000.0)
    runner.step(store, 8001.0)
    runner.failed("a defect", 8001.0)
    loop.asked.clear()
    resets = loop.resets
    runner.step(store, 50.0)
    assert (loop.asked, loop.resets) == ([50.0], resets + 1)
    runner.step(store, 51.0)
    assert loop.asked == [50.0]


@pytest.mark.parametrize("size", [20_000, SPEC_BYTES])
def test_every_proposal_fits_into_an_entry_of_the_log(size: int) -> None:
    loop, runner, store = started()
    loop.decisions = [Decision([batch(create(large_task(str(n), size))) for n in range(300)])]
    runner.observe([Event(None, task("a"))], 1.0)
    sizes = []
    while proposal := runner.step(store, 2.0):
        sizes.append(len(proposal))
        assert raft_pb2.Command(batches=encode(proposal)).ByteSize() < ENTRY_BYTES
    assert sum(sizes) == 300
    assert min(sizes[:-1]) > 1


def test_a_batch_that_is_too_large_is_proposed_alone() -> None:
    loop, runner, store = started()
    batches = [
        batch(create(large_task(str(n), size))) for n, size in enumerate([1, ENTRY_BYTES, 1])
    ]
    loop.decisions = [Decision(batches)]
    runner.observe([Event(None, task("a"))], 1.0)
    assert [runner.step(store, 2.0) for _ in range(4)] == [[each] for each in batches] + [[]]


def large_task(object_id: str, size: int) -> objects_pb2.Task:
    made = task(object_id)
    made.status.message = "x" * size
    return made
