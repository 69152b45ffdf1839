"""Terms (Ongaro and Ousterhout, 5.1): the logical clock that tells what is out of date."""

from collections.abc import Callable

import pytest

from api.v1.raft_pb2 import HardState, RaftMessage
from manager.raft.core.errors import UnknownPeerError
from manager.raft.core.ready import Role
from tests.support.raft_group import Group, Host, Kind, group, lone, lone_leader, stored

M = RaftMessage


def follower() -> Host:
    return lone(2, 2)


def candidate() -> Host:
    host = lone(2, 2, pre_vote=False)
    host.raw.campaign()
    host.work()
    return host


def leader() -> Host:
    return lone_leader(2, 2)


@pytest.mark.parametrize("make", [follower, candidate, leader])
@pytest.mark.parametrize(
    ("kind", "led_by"), [(M.TYPE_APPEND, 2), (M.TYPE_HEARTBEAT, 2), (M.TYPE_VOTE_RESPONSE, 0)]
)
def test_a_higher_term_is_taken_over_and_ends_a_candidacy_and_a_leadership(
    make: Callable[[], Host], kind: Kind, led_by: int
) -> None:
    host = make()
    host.step(kind, 2, 9, index=1, log_term=1, reject=True)
    assert (host.raw.term, host.role, host.raw.leader) == (9, Role.FOLLOWER, led_by)
    assert host.storage.initial_state()[0].term == 9


@pytest.mark.parametrize("kind", [M.TYPE_VOTE_RESPONSE, M.TYPE_APPEND_RESPONSE, M.TYPE_VOTE])
def test_a_message_of_a_lower_term_changes_nothing(kind: Kind) -> None:
    host = candidate()
    before = host.raw.status().describe()
    assert host.step(kind, 2, 2, index=9, log_term=9) == []
    assert host.raw.status().describe() == before


@pytest.mark.parametrize("kind", [M.TYPE_APPEND, M.TYPE_HEARTBEAT])
def test_a_leader_of_a_lower_term_is_told_of_the_higher(kind: Kind) -> None:
    host = candidate()
    [answer] = host.step(kind, 2, 2, index=3, log_term=2, commit=3)
    assert (answer.type, answer.to, answer.term) == (M.TYPE_APPEND_RESPONSE, 2, 3)
    assert (host.role, host.raw.committed) == (Role.CANDIDATE, 1)


@pytest.mark.parametrize("kind", [M.TYPE_APPEND, M.TYPE_HEARTBEAT])
def test_a_candidate_follows_the_leader_of_its_own_term(kind: Kind) -> None:
    host = candidate()
    host.step(kind, 3, 3, index=3, log_term=2)
    assert (host.role, host.raw.leader, host.raw.term) == (Role.FOLLOWER, 3, 3)


def test_a_member_starts_as_a_follower_in_its_stored_term() -> None:
    host = lone(2, 5)
    assert (host.role, host.raw.leader, host.raw.term) == (Role.FOLLOWER, 0, 5)


def test_a_new_term_is_persisted_before_anything_is_said_in_it() -> None:
    host = lone(2, pre_vote=False)
    host.raw.campaign()
    ready = host.raw.ready()
    assert ready.hard_state == HardState(term=3, vote=1, commit=1)
    assert ready.must_sync
    assert ready.early == []
    assert {each.type for each in ready.late} == {M.TYPE_VOTE}


def test_every_election_has_a_term_of_its_own() -> None:
    members = group(1, 2, 3)
    members.elect(1)
    terms = [members[1].raw.term]
    for _ in range(4):
        members.isolate(members.leader().id)
        members.tick(30)
        members.heal()
        members.tick(5)
        terms.append(members.leader().raw.term)
        assert {host.raw.term for host in members.hosts.values()} == {terms[-1]}
    assert terms == sorted(set(terms))


def test_an_answer_of_a_stranger_is_an_error_and_changes_nothing() -> None:
    host = leader()
    before = host.raw.status().describe()
    for stranger in (7, 1):
        with pytest.raises(UnknownPeerError):
            host.step(M.TYPE_APPEND_RESPONSE, stranger, 9, index=4)
    assert host.raw.status().describe() == before


def test_the_term_survives_a_restart() -> None:
    members = Group(*(Host(each, stored()) for each in (1, 2, 3)))
    members.elect(1)
    term = members[3].raw.term
    members.restart(3)
    assert members[3].raw.term == term
