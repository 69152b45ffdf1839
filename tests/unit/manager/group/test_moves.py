"""Who gets a seat, a vote, or has to go; and what nodes are told of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.errors import Code
from api.v1 import objects_pb2
from manager.group.moves import (
    CAUGHT_UP,
    HandOver,
    Move,
    Promote,
    Remove,
    Seat,
    keeps_quorum,
    next_move,
    statuses,
)

COMMIT = 1000


def seat(name: str, *, voter: bool = True, active: bool = True, match: int = COMMIT) -> Seat:
    return Seat(
        raft_id=ord(name),
        node_id=name,
        address=f"{name}:2377",
        voter=voter,
        active=active,
        match=match,
    )


def learner(name: str, *, active: bool = True, match: int = COMMIT) -> Seat:
    return seat(name, voter=False, active=active, match=match)


def gone(name: str) -> Seat:
    return seat(name, active=False)


A, B, C = seat("a"), seat("b"), seat("c")
LEADER = A.raft_id


@pytest.mark.parametrize(
    ("seats", "wanted", "move"),
    [
        pytest.param([A, B, C], "abc", None, id="all is as it shall be"),
        pytest.param([A, learner("b")], "ab", Promote(learner("b")), id="a learner has caught up"),
        pytest.param(
            [A, learner("b", match=COMMIT - CAUGHT_UP)],
            "ab",
            Promote(learner("b", match=COMMIT - CAUGHT_UP)),
            id="nearly is enough",
        ),
        pytest.param(
            [A, learner("b", match=COMMIT - CAUGHT_UP - 1)], "ab", None, id="a learner lags"
        ),
        pytest.param([A, learner("b", active=False)], "ab", None, id="a learner is silent"),
        pytest.param([A, B, C], "ab", Remove(C), id="one is to be a worker, or gone"),
        pytest.param([A, B, learner("c")], "ab", Remove(learner("c")), id="so is a learner"),
        pytest.param([A, B, C], "bc", HandOver(A), id="the leader is to be a worker"),
        pytest.param([A], "", None, id="the last one stays whatever is wished"),
        pytest.param([A, B, gone("c")], "ac", None, id="without it too few could agree"),
        pytest.param([A, B, gone("c")], "ab", Remove(gone("c")), id="a dead one may go"),
        pytest.param([A, gone("b")], "a", Remove(gone("b")), id="also of two"),
        pytest.param(
            [A, B, learner("c"), gone("d")], "abc", Remove(gone("d")), id="going before coming"
        ),
    ],
)
def test_the_next_move(seats: list[Seat], wanted: str, move: Move | None) -> None:
    assert next_move(seats, wanted, leader=LEADER, commit=COMMIT) == move


@pytest.mark.parametrize(
    ("seats", "without", "refused"),
    [
        ([A, B, C], "b", False),
        ([A, B], "b", False),
        ([A], "a", True),
        ([A, B, gone("c")], "b", True),
        ([A, B, gone("c")], "c", False),
        ([A, gone("b"), gone("c")], "b", True),
        ([A, B, C, gone("d"), gone("e")], "c", True),
        ([A, B, C, gone("d"), gone("e")], "e", False),
        ([A, B, learner("c")], "c", False),
        ([A, B, learner("c")], "x", False),
        ([A, learner("b")], "a", True),
    ],
)
def test_whether_the_group_can_do_without(seats: list[Seat], without: str, refused: bool) -> None:
    refusal = keeps_quorum(seats, ord(without))
    assert (refusal is not None) == refused
    if refusal is not None:
        assert refusal.code is Code.REFUSED
        assert refusal.remedy


NAMES = st.sets(st.sampled_from("abcdefg"), min_size=1)


@given(names=NAMES, voters=NAMES, active=NAMES, wanted=st.sets(st.sampled_from("abcdefg")))
def test_no_move_costs_the_quorum_and_moves_come_to_an_end(
    names: set[str], voters: set[str], active: set[str], wanted: set[str]
) -> None:
    seats = [
        seat(name, voter=name in voters or name == "a", active=name in active or name == "a")
        for name in sorted(names | {"a"})
    ]
    leader = LEADER
    for _ in range(20):
        move = next_move(seats, wanted, leader=leader, commit=COMMIT)
        match move:
            case None:
                return
            case Promote(going):
                assert going.active
                seats = [
                    seat(s.node_id, voter=True, active=s.active) if s == going else s for s in seats
                ]
            case Remove(going):
                could = _has_quorum(seats)
                seats = [s for s in seats if s != going]
                assert _has_quorum(seats) or not could
            case HandOver():
                others = [s for s in seats if s.voter and s.active and s.raft_id != leader]
                assert others, "nobody is there to take over"
                leader = others[0].raft_id
    raise AssertionError("the moves never end")


def _has_quorum(seats: list[Seat]) -> bool:
    voters = [each for each in seats if each.voter]
    return sum(each.active for each in voters) > len(voters) // 2


def node(name: str, **status: object) -> objects_pb2.Node:
    made = objects_pb2.Node(id=name)
    if status:
        made.manager.CopyFrom(objects_pb2.ManagerStatus(**status))  # type: ignore[arg-type]
    return made


def told(name: str, *, leader: bool = False, reachable: bool = True) -> objects_pb2.ManagerStatus:
    return objects_pb2.ManagerStatus(
        address=f"{name}:2377", leader=leader, reachable=reachable, raft_id=ord(name)
    )


def test_nodes_are_told_what_their_seats_are() -> None:
    same = objects_pb2.Node(id="a", manager=told("a", leader=True))
    nodes = [same, node("b"), node("c", address="c:2377", raft_id=99), node("w")]
    found = statuses(nodes, [A, gone("b")], leader=LEADER)
    assert found == {"b": told("b", reachable=False), "c": None}


def test_a_change_of_leader_is_told_to_both() -> None:
    nodes = [
        objects_pb2.Node(id="a", manager=told("a", leader=True)),
        objects_pb2.Node(id="b", manager=told("b")),
    ]
    found = statuses(nodes, [A, B], leader=B.raft_id)
    assert found == {"a": told("a"), "b": told("b", leader=True)}


def test_who_has_said_nothing_yet_gets_no_vote_however_short_the_log() -> None:
    young = learner("b", match=0)
    assert next_move([A, young], "ab", leader=LEADER, commit=CAUGHT_UP - 1) is None
