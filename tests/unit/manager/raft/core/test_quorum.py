"""Majorities by table, and against a count so plain that it cannot be wrong."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manager.raft.core.quorum import MAX_INDEX, Joint, Majority, VoteResult

PENDING, LOST, WON = VoteResult.PENDING, VoteResult.LOST, VoteResult.WON

IDS = st.frozensets(st.integers(1, 9), max_size=7)
ACKED = st.dictionaries(st.integers(1, 9), st.integers(0, 6))
VOTES = st.dictionaries(st.integers(1, 9), st.booleans())


@pytest.mark.parametrize(
    ("acked", "committed"),
    [
        ([], MAX_INDEX),
        ([None], 0),
        ([12], 12),
        ([12, 5], 5),
        ([12, None], 0),
        ([12, 5, 6], 6),
        ([12, 5, None], 5),
        ([12, None, None], 0),
        ([5, 5, 7, 9], 5),  # of four, three
        ([5, 6, 7, 9], 6),
        ([1, 2, 3, 4, 5], 3),
        ([1, 2, 3, 4, 5, 6], 3),  # of six, four
        ([1, 2, 3, 4, 5, 6, 7], 4),
    ],
)
def test_committed_by_a_majority(acked: list[int | None], committed: int) -> None:
    assert Majority(range(len(acked))).committed_index(lambda each: acked[each]) == committed


@pytest.mark.parametrize(
    ("size", "votes", "result"),
    [
        (0, "", WON),
        (1, "", PENDING),
        (1, "y", WON),
        (1, "n", LOST),
        (2, "y", PENDING),
        (2, "n", LOST),
        (2, "yy", WON),
        (2, "yn", LOST),
        (3, "y", PENDING),
        (3, "yy", WON),
        (3, "yn", PENDING),
        (3, "nn", LOST),
        (4, "yy", PENDING),
        (4, "yyy", WON),
        (4, "nn", LOST),
        (4, "yyn", PENDING),
        (5, "yyn", PENDING),
        (5, "yynn", PENDING),
        (5, "nny", PENDING),
        (5, "nnn", LOST),
        (5, "yyy", WON),
    ],
)
def test_votes_of_a_majority(size: int, votes: str, result: VoteResult) -> None:
    given_votes = {member: vote == "y" for member, vote in enumerate(votes)}
    assert Majority(range(size)).vote_result(given_votes) is result


def test_votes_of_others_do_not_count() -> None:
    others = {7: True, 8: True, 9: False}
    assert Majority([1, 2, 3]).vote_result(others) is PENDING
    assert Majority([1, 2, 3]).vote_result({**others, 1: True}) is PENDING


JOINT = Joint(Majority([1, 2, 3]), Majority([3, 4, 5]))


@pytest.mark.parametrize(
    ("votes", "result"),
    [
        ({}, PENDING),
        ({1: True, 2: True}, PENDING),
        ({1: True, 3: True}, PENDING),
        ({1: True, 3: True, 5: True}, WON),
        ({1: False, 2: False, 3: True, 4: True}, LOST),
        ({1: True, 2: True, 4: False, 5: False}, LOST),
        ({4: False, 5: False}, LOST),
    ],
)
def test_votes_of_a_joint_configuration(votes: dict[int, bool], result: VoteResult) -> None:
    assert JOINT.vote_result(votes) is result


@pytest.mark.parametrize(
    ("acked", "committed"),
    [
        ({1: 9, 2: 9, 3: 9}, 0),
        ({1: 9, 2: 9, 3: 0, 4: 5, 5: 7}, 5),
        ({1: 4, 2: 3, 3: 8, 4: 8}, 4),
    ],
)
def test_committed_by_a_joint_configuration(acked: dict[int, int], committed: int) -> None:
    assert JOINT.committed_index(acked.get) == committed


def test_ids_are_those_of_both_halves_and_order_does_not_matter() -> None:
    assert JOINT.ids() == {1, 2, 3, 4, 5}
    assert Joint().ids() == frozenset()
    assert Majority([3, 1, 2, 1]) == Majority([1, 2, 3])
    assert Majority([3, 1, 2]).ordered == (1, 2, 3)
    assert hash(Majority([2, 1])) == hash(Majority([1, 2]))


def naive_committed(ids: frozenset[int], acked: dict[int, int]) -> int:
    """The highest index that more than half have; nobody holds back without ids."""
    if not ids:
        return MAX_INDEX
    return max(
        index
        for index in range(7)
        if sum(acked.get(each, 0) >= index for each in ids) > len(ids) / 2
    )


@settings(max_examples=500, deadline=None, derandomize=True)
@given(incoming=IDS, outgoing=IDS, acked=ACKED)
def test_committed_is_what_a_count_says(
    incoming: frozenset[int], outgoing: frozenset[int], acked: dict[int, int]
) -> None:
    expected = naive_committed(incoming, acked)
    assert Majority(incoming).committed_index(acked.get) == expected
    joint = Joint(Majority(incoming), Majority(outgoing))
    assert joint.committed_index(acked.get) == min(expected, naive_committed(outgoing, acked))


def could_win(ids: frozenset[int], votes: dict[int, bool], missing: bool) -> bool:
    """Whether more than half grant, if all that did not vote yet vote `missing`."""
    return not ids or sum(votes.get(each, missing) for each in ids) > len(ids) / 2


@settings(max_examples=500, deadline=None, derandomize=True)
@given(incoming=IDS, outgoing=IDS, votes=VOTES)
def test_a_vote_is_settled_exactly_when_no_later_vote_can_change_it(
    incoming: frozenset[int], outgoing: frozenset[int], votes: dict[int, bool]
) -> None:
    halves = (incoming, outgoing)
    expected = LOST
    if all(could_win(each, votes, False) for each in halves):
        expected = WON
    elif all(could_win(each, votes, True) for each in halves):
        expected = PENDING
    assert Joint(Majority(incoming), Majority(outgoing)).vote_result(votes) is expected


@settings(max_examples=200, deadline=None, derandomize=True)
@given(ids=IDS.filter(bool), votes=VOTES)
def test_what_commits_an_index_is_what_wins_a_vote(
    ids: frozenset[int], votes: dict[int, bool]
) -> None:
    majority = Majority(ids)
    committed = majority.committed_index(lambda each: int(votes.get(each, False)))
    assert (committed == 1) is (majority.vote_result(votes) is WON)
