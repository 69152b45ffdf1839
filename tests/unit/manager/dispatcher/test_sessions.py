"""Sessions and leases: who is ready, unknown or down, and when that is looked at again."""

import random

import pytest

from api.errors import Code, SwarmError
from manager.dispatcher.sessions import NEW_LEADER, RATE_WINDOW, STREAM_BROKE, Finding, Sessions
from tests.support.builders import DOWN, UNKNOWN
from tests.support.counter import counter

PERIOD = 2.0


class Middle:
    """Chance that never jitters."""

    def randrange(self, stop: int, /) -> int:
        return stop // 2


def sessions() -> Sessions:
    return Sessions(counter("s"), Middle())


def states(found: list[Finding]) -> list[tuple[str, int]]:
    return [(finding.node_id, finding.state) for finding in found]


def code_of(call: object, *args: object) -> Code:
    assert callable(call)
    with pytest.raises(SwarmError) as refused:
        call(*args)
    return refused.value.code


def test_a_node_that_beats_stays() -> None:
    core = sessions()
    session = core.register("n1", 0.0, PERIOD)
    for beat in range(1, 50):
        now = beat * 5.9
        assert core.tick(now).findings == []
        assert core.heartbeat(session.id, "n1", now, PERIOD) == PERIOD
    core.check(session.id, "n1")


def test_three_missed_periods_make_a_node_down_once() -> None:
    core = sessions()
    session = core.register("n1", 0.0, PERIOD)
    core.heartbeat(session.id, "n1", 1.0, PERIOD)
    assert core.tick(6.9).next_at == 7.0
    tick = core.tick(7.0)
    assert states(tick.findings) == [("n1", DOWN)]
    assert tick.findings[0].message == "no heartbeat for 6.0 s"
    assert tick.next_at is None
    assert core.tick(100.0).findings == []
    assert code_of(core.heartbeat, session.id, "n1", 7.0, PERIOD) is Code.REFUSED


def test_a_leader_that_stood_still_finds_nobody_lost_for_that_but_once() -> None:
    core = sessions()
    session, silent = core.register("n1", 0.0, PERIOD), core.register("n2", 0.0, PERIOD)
    core.stood_still(60.0)
    tick = core.tick(60.0)
    assert (tick.findings, tick.next_at) == ([], 66.0)
    core.heartbeat(session.id, "n1", 61.0, PERIOD)
    core.stood_still(65.0)
    assert core.tick(65.9).findings == []
    assert states(core.tick(66.0).findings) == [("n2", DOWN)], "it was spared before"
    core.stood_still(200.0)
    assert states(core.tick(200.0).findings) == [("n1", DOWN)], "as was this one"
    assert code_of(core.check, silent.id, "n2") is Code.REFUSED


def test_a_broken_stream_is_unknown_at_once_and_down_when_the_lease_is_over() -> None:
    core = sessions()
    session = core.register("n1", 0.0, PERIOD)
    assert core.broke(session.id) == Finding("n1", UNKNOWN, STREAM_BROKE)
    assert core.broke(session.id) is None
    assert code_of(core.heartbeat, session.id, "n1", 1.0, PERIOD) is Code.REFUSED
    assert core.tick(5.9).findings == []
    assert states(core.tick(6.0).findings) == [("n1", DOWN)]


def test_coming_back_in_time_saves_the_lease() -> None:
    core = sessions()
    core.broke(core.register("n1", 0.0, PERIOD).id)
    again = core.register("n1", 5.0, PERIOD)
    assert core.tick(6.0).findings == []
    assert core.heartbeat(again.id, "n1", 6.0, PERIOD) == PERIOD


def test_a_new_session_voids_the_old_one_of_a_clone() -> None:
    core = sessions()
    first = core.register("n1", 0.0, PERIOD)
    second = core.register("n1", 1.0, PERIOD)
    assert first.id != second.id
    assert code_of(core.heartbeat, first.id, "n1", 1.0, PERIOD) is Code.REFUSED
    assert core.broke(first.id) is None
    assert core.heartbeat(second.id, "n1", 1.0, PERIOD) == PERIOD


@pytest.mark.parametrize(
    ("session_id", "node_id"), [("s1", "n2"), ("s9", "n1"), ("", "n1"), ("s1", "")]
)
def test_a_session_is_its_nodes_alone(session_id: str, node_id: str) -> None:
    core = sessions()
    core.register("n1", 0.0, PERIOD)
    assert code_of(core.heartbeat, session_id, node_id, 0.0, PERIOD) is Code.REFUSED


def test_registrations_are_limited_per_node() -> None:
    core = sessions()
    for moment in (0.0, 1.0, 2.0):
        last = core.register("n1", moment, PERIOD)
    for moment in (3.0, 7.9):
        assert code_of(core.register, "n1", moment, PERIOD) is Code.EXHAUSTED
    core.register("n2", 3.0, PERIOD)
    core.check(last.id, "n1")
    core.register("n1", RATE_WINDOW, PERIOD)
    assert code_of(core.register, "n1", RATE_WINDOW, PERIOD) is Code.EXHAUSTED


def test_a_new_leader_waits_twice_as_long() -> None:
    core = sessions()
    core.register("old", 0.0, PERIOD)
    found = core.lead(["n1", "n2"], 100.0, PERIOD)
    assert found == [Finding("n1", UNKNOWN, NEW_LEADER), Finding("n2", UNKNOWN, NEW_LEADER)]
    assert core.nodes() == ["n1", "n2"]
    core.register("n2", 101.0, PERIOD)
    assert core.tick(106.9).findings == []
    assert states(core.tick(107.0).findings) == [("n2", DOWN)]
    assert states(core.tick(112.0).findings) == [("n1", DOWN)]


def test_a_removed_node_is_forgotten() -> None:
    core = sessions()
    session = core.register("n1", 0.0, PERIOD)
    core.forget("n1")
    core.forget("n1")
    assert core.nodes() == []
    assert core.tick(100.0).findings == []
    assert core.broke(session.id) is None


def test_periods_are_jittered_by_a_tenth_at_most() -> None:
    core = Sessions(counter(), random.Random(7))
    session = core.register("n1", 0.0, PERIOD)
    periods = [core.heartbeat(session.id, "n1", 0.0, PERIOD) for _ in range(500)]
    assert 1.8 <= min(periods) < 1.85
    assert 2.15 < max(periods) <= 2.2
    assert core.tick(0.0).next_at == pytest.approx(3 * periods[-1])
