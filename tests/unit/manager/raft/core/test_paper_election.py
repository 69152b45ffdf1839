"""Leader election (Ongaro and Ousterhout, 5.2) and who may win it (5.4.1)."""

from random import Random

import pytest

from api.v1.raft_pb2 import HardState, RaftMessage
from manager.raft.core.ready import Role
from tests.support.raft_group import Kind, group, lone, lone_leader, message

M = RaftMessage


def test_a_leader_sends_heartbeats_to_all_others() -> None:
    host = lone_leader(voters=(1, 2, 3, 4))
    said = []
    for _ in range(2):
        host.raw.tick()
        said += host.work()
    assert [(each.type, each.to) for each in said] == [(M.TYPE_HEARTBEAT, to) for to in (2, 3, 4)]


def test_a_follower_without_a_leader_campaigns_after_its_timeout() -> None:
    host = lone(pre_vote=False)  # its timeout is 10 ticks
    for _ in range(9):
        host.raw.tick()
    assert host.work() == []
    host.raw.tick()
    requests = host.work()
    assert [(each.type, each.to, each.term) for each in requests] == [
        (M.TYPE_VOTE, 2, 2),
        (M.TYPE_VOTE, 3, 2),
    ]
    assert host.storage.initial_state()[0] == HardState(term=2, vote=1, commit=1)


@pytest.mark.parametrize("kind", [M.TYPE_HEARTBEAT, M.TYPE_APPEND, M.TYPE_SNAPSHOT])
def test_a_follower_that_hears_its_leader_waits_anew(kind: Kind) -> None:
    host = lone()
    for _ in range(3):
        for _ in range(9):
            host.raw.tick()
        host.step(kind, 2, 2, index=1, log_term=1)
    assert (host.role, host.raw.leader) == (Role.FOLLOWER, 2)


def test_a_granted_vote_makes_the_voter_wait_anew() -> None:
    host = lone(pre_vote=False)
    for _ in range(9):
        host.raw.tick()
    [answer] = host.step(M.TYPE_VOTE, 2, 1, index=1, log_term=1)
    assert not answer.reject
    for _ in range(9):
        host.raw.tick()
    assert host.role is Role.FOLLOWER


@pytest.mark.parametrize(
    ("voters", "votes", "role"),
    [
        ((1,), {}, Role.LEADER),
        ((1, 2), {}, Role.CANDIDATE),
        ((1, 2), {2: True}, Role.LEADER),
        ((1, 2), {2: False}, Role.FOLLOWER),
        ((1, 2, 3), {2: True}, Role.LEADER),
        ((1, 2, 3), {2: False}, Role.CANDIDATE),
        ((1, 2, 3), {2: False, 3: True}, Role.LEADER),
        ((1, 2, 3), {2: False, 3: False}, Role.FOLLOWER),
        ((1, 2, 3, 4), {2: True}, Role.CANDIDATE),
        ((1, 2, 3, 4), {2: True, 3: True}, Role.LEADER),
        ((1, 2, 3, 4), {2: False, 3: False}, Role.FOLLOWER),
        ((1, 2, 3, 4, 5), {2: True, 3: True}, Role.LEADER),
        ((1, 2, 3, 4, 5), {2: True, 3: False, 4: False}, Role.CANDIDATE),
        ((1, 2, 3, 4, 5), {2: False, 3: False, 4: False}, Role.FOLLOWER),
    ],
)
def test_a_majority_decides(voters: tuple[int, ...], votes: dict[int, bool], role: Role) -> None:
    host = lone(voters=voters, pre_vote=False)
    host.raw.campaign()
    host.work()
    for member, granted in votes.items():
        host.step(M.TYPE_VOTE_RESPONSE, member, 2, reject=not granted)
    assert (host.role, host.raw.term) == (role, 2)


def test_a_vote_that_comes_twice_counts_once() -> None:
    host = lone(voters=(1, 2, 3, 4, 5), pre_vote=False)
    host.raw.campaign()
    host.work()
    for _ in range(3):
        host.step(M.TYPE_VOTE_RESPONSE, 2, 2)
    assert host.role is Role.CANDIDATE


def test_a_vote_of_an_earlier_term_does_not_count() -> None:
    host = lone(pre_vote=False)
    host.raw.campaign()
    host.work()
    host.raw.campaign()
    host.work()
    host.step(M.TYPE_VOTE_RESPONSE, 2, 2)
    assert (host.role, host.raw.term) == (Role.CANDIDATE, 3)


@pytest.mark.parametrize(
    ("vote", "candidate", "granted"),
    [(0, 2, True), (0, 3, True), (2, 2, True), (2, 3, False), (3, 3, True), (3, 2, False)],
)
def test_one_vote_per_term_first_come_first_served(
    vote: int, candidate: int, granted: bool
) -> None:
    host = lone(vote=vote)
    [answer] = host.step(M.TYPE_VOTE, candidate, 1, index=1, log_term=1)
    assert (answer.type, answer.to) == (M.TYPE_VOTE_RESPONSE, candidate)
    assert answer.reject is not granted
    assert host.storage.initial_state()[0].vote == (candidate if granted else vote)


def test_a_vote_survives_a_restart() -> None:
    host = lone()
    host.step(M.TYPE_VOTE, 2, 5, index=1, log_term=1)
    host.start()
    [answer] = host.step(M.TYPE_VOTE, 3, 5, index=9, log_term=5)
    assert answer.reject


@pytest.mark.parametrize("term", [1, 5])  # its own, and a new one
def test_a_vote_is_persisted_before_it_is_told(term: int) -> None:
    host = lone()
    host.raw.step(message(M.TYPE_VOTE, 2, 1, term, index=1, log_term=1))
    ready = host.raw.ready()
    assert ready.hard_state == HardState(term=term, vote=2, commit=1)
    assert (ready.must_sync, ready.early) == (True, [])
    assert [each.type for each in ready.late] == [M.TYPE_VOTE_RESPONSE]


def test_a_new_term_frees_the_vote() -> None:
    host = lone(vote=2)
    [answer] = host.step(M.TYPE_VOTE, 3, 2, index=1, log_term=1)
    assert not answer.reject


@pytest.mark.parametrize(
    ("voter", "index", "term", "granted"),
    [
        ((1,), 2, 1, True),
        ((1,), 2, 2, True),
        ((1, 1), 2, 2, True),  # the later term wins, however short
        ((1,), 3, 1, True),  # the longer of the same term
        ((2,), 2, 1, False),
        ((2,), 3, 1, False),
        ((1, 1), 2, 1, False),
    ],
)
def test_only_a_candidate_whose_log_is_not_behind_gets_the_vote(
    voter: tuple[int, ...], index: int, term: int, granted: bool
) -> None:
    host = lone(*voter)
    [answer] = host.step(M.TYPE_VOTE, 2, 3, index=index, log_term=term)
    assert answer.reject is not granted


def test_vote_requests_tell_where_the_log_ends() -> None:
    host = lone(2, 4, pre_vote=False)
    host.raw.campaign()
    for request in host.work():
        assert (request.type, request.index, request.log_term) == (M.TYPE_VOTE, 3, 4)


def test_who_lacks_committed_entries_cannot_win() -> None:
    members = group(1, 2, 3)
    members.elect(1)
    members.isolate(3)
    members.propose(b"committed")
    members.heal()
    members.stop(1)
    members.tick(40, 3)  # 3 alone is impatient
    assert not members[3].raw.is_leader
    members.tick(40)
    assert members.leader().id == 2
    assert members[3].commands == [b"committed"]


def test_timeouts_are_drawn_anew_from_the_whole_range() -> None:
    drawn = set()
    host = lone(pre_vote=False, chance=Random(7))
    for term in range(2, 200):
        ticks = 0
        while not host.work():
            host.raw.tick()
            ticks += 1
        assert host.raw.term == term
        drawn.add(ticks)
    assert drawn == set(range(10, 20))


def test_a_split_vote_ends_with_the_next_timeouts() -> None:
    members = group(1, 2, 3, 4, pre_vote=False)
    members[1].raw.campaign()
    members[2].raw.campaign()
    members.settle()  # requests cross: 1 and 3, 2 and 4, or all for one
    term = max(host.raw.term for host in members.hosts.values())
    members.tick(25)
    assert members.leader().raw.term >= term
    assert {host.raw.leader for host in members.hosts.values()} == {members.leader().id}


def test_at_most_one_leader_per_term() -> None:
    leaders: dict[int, set[int]] = {}
    chance = Random(3)
    members = group(1, 2, 3, 4, 5, chance=chance)
    for _ in range(300):
        members.heal()
        if chance.randrange(0, 3):
            members.isolate(*chance.sample(range(1, 6), chance.randrange(1, 4)))
        members.tick(chance.randrange(1, 20))
        for host in members.hosts.values():
            if host.raw.is_leader:
                leaders.setdefault(host.raw.term, set()).add(host.id)
    assert len(leaders) > 20
    assert {len(each) for each in leaders.values()} == {1}
