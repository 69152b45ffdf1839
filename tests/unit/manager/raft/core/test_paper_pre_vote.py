"""Pre-votes (Ongaro's thesis, 9.6), and leaders that notice they are alone (6.2, CheckQuorum)."""

import pytest

from api.v1.raft_pb2 import HardState, RaftMessage
from manager.raft.core.ready import Role
from tests.support.raft_group import Group, group, lone

M = RaftMessage


def led() -> Group:
    members = group(1, 2, 3)
    members.elect(1)
    members.forget()
    return members


def test_a_pre_vote_changes_no_term_and_no_vote() -> None:
    host = lone()
    host.raw.campaign()
    requests = host.work()
    assert [(each.type, each.to, each.term) for each in requests] == [
        (M.TYPE_PRE_VOTE, 2, 2),
        (M.TYPE_PRE_VOTE, 3, 2),
    ]
    assert host.role is Role.PRE_CANDIDATE
    assert host.storage.initial_state()[0] == HardState(term=1, commit=1)


@pytest.mark.parametrize(
    ("answers", "role", "term"),
    [
        ({}, Role.PRE_CANDIDATE, 1),
        ({2: False}, Role.PRE_CANDIDATE, 1),
        ({2: True}, Role.CANDIDATE, 2),
        ({2: False, 3: True}, Role.CANDIDATE, 2),
        ({2: False, 3: False}, Role.FOLLOWER, 1),
    ],
)
def test_only_who_could_win_stands(answers: dict[int, bool], role: Role, term: int) -> None:
    host = lone()
    host.raw.campaign()
    host.work()
    for member, granted in answers.items():
        answered = 2 if granted else 1
        host.step(M.TYPE_PRE_VOTE_RESPONSE, member, answered, reject=not granted)
    assert (host.role, host.raw.term) == (role, term)


@pytest.mark.parametrize(
    ("index", "log_term", "granted"), [(2, 2, True), (3, 2, True), (9, 1, False), (1, 2, False)]
)
def test_a_pre_vote_is_granted_by_the_rule_for_votes_and_binds_nobody(
    index: int, log_term: int, granted: bool
) -> None:
    host = lone(2)
    for candidate in (2, 3):
        [answer] = host.step(M.TYPE_PRE_VOTE, candidate, 7, index=index, log_term=log_term)
        assert answer.type == M.TYPE_PRE_VOTE_RESPONSE
        assert answer.reject is not granted
        assert answer.term == (7 if granted else 2)
    assert host.storage.initial_state()[0] == HardState(term=2, commit=1)
    assert host.raw.term == 2


def test_a_pre_vote_is_refused_while_the_leader_is_heard() -> None:
    members = led()
    assert members[2].step(M.TYPE_PRE_VOTE, 3, 3, index=9, log_term=9) == []
    members.stop(1)
    members.tick(10, 2)
    [answer] = members[2].step(M.TYPE_PRE_VOTE, 3, 3, index=9, log_term=9)
    assert not answer.reject


def test_who_forgets_its_leader_grants_at_once() -> None:
    members = led()
    members[2].raw.forget_leader()
    assert members[2].raw.leader == 0
    [answer] = members[2].step(M.TYPE_PRE_VOTE, 3, 3, index=9, log_term=9)
    assert not answer.reject
    members[1].raw.forget_leader()
    assert members[1].raw.is_leader
    assert members[1].raw.leader == 1


def test_a_pre_candidate_of_a_lower_term_is_told() -> None:
    host = lone(5)
    [answer] = host.step(M.TYPE_PRE_VOTE, 2, 3, index=9, log_term=2)
    assert (answer.type, answer.reject, answer.term) == (M.TYPE_PRE_VOTE_RESPONSE, True, 5)
    asker = lone(2)
    asker.raw.campaign()
    asker.work()
    asker.step(M.TYPE_PRE_VOTE_RESPONSE, 2, 5, reject=True)
    assert (asker.role, asker.raw.term) == (Role.FOLLOWER, 5)


def test_a_member_that_was_cut_off_does_not_disturb_when_it_comes_back() -> None:
    members = led()
    members.isolate(3)
    members.tick(100)
    assert members[3].raw.term == 2
    members.heal()
    members.tick(20)
    assert (members[1].raw.is_leader, members[1].raw.term) == (True, 2)
    assert members[3].raw.leader == 1


def test_a_member_that_paused_does_not_disturb() -> None:
    members = led()
    members.tick(200, 3)  # its clock runs ahead while the others' stand still
    assert (members[1].raw.is_leader, members[1].raw.term) == (True, 2)


def test_without_pre_vote_a_stuck_candidate_is_let_in_again_by_a_new_term() -> None:
    """It hears nobody of a lower term, and nobody who has a leader hears it."""
    members = group(1, 2, 3, pre_vote=False)
    members.elect(1)
    members.isolate(3)
    members.tick(60)
    assert members[3].raw.term > 2
    members.heal()
    members.tick(40)
    assert len({host.raw.term for host in members.hosts.values()}) == 1
    members.propose(b"x")
    assert members[3].commands == [b"x"]


def test_a_leader_without_a_quorum_steps_down_in_its_term() -> None:
    members = led()
    members.isolate(1)
    members.tick(9)
    assert members[1].raw.is_leader
    members.tick(11, 1)
    assert (members[1].role, members[1].raw.leader, members[1].raw.term) == (Role.FOLLOWER, 0, 2)


def test_a_leader_with_a_quorum_stays() -> None:
    members = led()
    members.stop(3)
    members.tick(100)
    assert members[1].raw.is_leader


def test_without_check_quorum_a_leader_that_is_cut_off_goes_on() -> None:
    members = group(1, 2, 3, check_quorum=False)
    members.elect(1)
    members.isolate(1)
    members.tick(50, 1)
    assert members[1].raw.is_leader


def test_a_half_connected_member_ends_in_a_stable_group() -> None:
    """1 hears 2 alone, and so does 3: whoever leads, the others do not take turns for ever."""
    members = led()
    members.cut(1, 3)
    members.tick(100)
    term = members.leader().raw.term
    members.tick(200)
    assert members.leader().raw.term == term
