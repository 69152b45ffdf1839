"""Single changes of the configuration, leaving, disruptive servers (Ongaro's thesis, 4.1, 4.2)."""

import pytest

from api.v1.raft_pb2 import ConfChange, Entry, MemberChange, RaftMessage
from manager.raft.core.errors import ConfChangeError, DropReason, ProposalDroppedError
from manager.raft.core.ready import Role
from tests.support.raft_entries import ADD, LEARN, REMOVE, UPDATE, conf_change
from tests.support.raft_group import Group, Host, group, lone_leader, message

M = RaftMessage


def committed_leader(*others: int) -> Host:
    """Member 1, leading, with the first entry of its term committed and everybody up to date."""
    host = lone_leader(voters=(1, *others))
    for member in others:
        host.step(M.TYPE_APPEND_RESPONSE, member, 2, index=2)
    return host


def change_at(host: Host, index: int) -> bool:
    [entry] = host.storage.entries(index, index + 1, 0)
    return entry.type == Entry.TYPE_CONF_CHANGE


# Single changes: 4.1.


def test_a_change_takes_effect_on_all_members_when_it_is_applied() -> None:
    members = group(1, 2, 3)
    members.elect(1)
    members.change(conf_change((REMOVE, 3)))
    assert members[1].voters == members[2].voters == [1, 2]


def test_a_change_has_no_effect_before_it_is_committed() -> None:
    host = committed_leader(2, 3)
    index = host.raw.propose_conf_change(conf_change((ADD, 4)))
    assert not [each for each in host.work() if each.to == 4]
    assert index is not None
    assert host.voters == [1, 2, 3]
    assert change_at(host, index)
    host.step(M.TYPE_APPEND_RESPONSE, 2, 2, index=index)
    assert host.voters == [1, 2, 3, 4]


def test_the_new_majority_counts_from_then_on() -> None:
    host = committed_leader(2, 3)
    index = host.raw.propose_conf_change(conf_change((ADD, 4)))
    assert index is not None
    host.work()
    host.step(M.TYPE_APPEND_RESPONSE, 2, 2, index=index)
    host.raw.propose(b"x")
    host.work()
    host.step(M.TYPE_APPEND_RESPONSE, 2, 2, index=index + 1)
    assert host.raw.committed == index
    host.step(M.TYPE_APPEND_RESPONSE, 3, 2, index=index + 1)
    assert host.raw.committed == index + 1


def test_a_smaller_majority_commits_what_it_has_at_once() -> None:
    host = committed_leader(2, 3, 4)
    index = host.raw.propose_conf_change(conf_change((REMOVE, 4)))
    assert index is not None
    host.raw.propose(b"x")
    host.work()
    host.step(M.TYPE_APPEND_RESPONSE, 2, 2, index=index + 1)
    assert host.raw.committed == 2
    host.step(M.TYPE_APPEND_RESPONSE, 3, 2, index=index)
    assert host.commands == [b"x"]  # 1 and 2 of 1, 2, 3


def test_one_change_at_a_time() -> None:
    host = committed_leader(2, 3)
    first = host.raw.propose_conf_change(conf_change((ADD, 4)))
    second = host.raw.propose_conf_change(conf_change((ADD, 5)))
    host.work()
    assert first is not None
    assert second == first + 1
    assert change_at(host, first)
    assert not change_at(host, second)
    host.step(M.TYPE_APPEND_RESPONSE, 2, 2, index=second)
    assert host.voters == [1, 2, 3, 4]
    third = host.raw.propose_conf_change(conf_change((ADD, 5)))
    host.work()
    assert third is not None
    assert change_at(host, third)


def test_the_next_change_waits_until_the_last_is_applied_not_just_committed() -> None:
    host = committed_leader(2, 3)
    first = host.raw.propose_conf_change(conf_change((ADD, 4)))
    assert first is not None
    host.work()
    host.raw.step(message(M.TYPE_APPEND_RESPONSE, 2, 1, 2, index=first))
    assert host.raw.committed == first
    second = host.raw.propose_conf_change(conf_change((ADD, 5)))
    host.work()
    assert second is not None
    assert not change_at(host, second)


def test_no_change_before_an_entry_of_the_own_term_is_committed() -> None:
    """The flaw of single changes that Ongaro reported to raft-dev in 2015."""
    host = lone_leader()
    index = host.raw.propose_conf_change(conf_change((ADD, 4)))
    host.work()
    assert index is not None
    assert not change_at(host, index)
    host.step(M.TYPE_APPEND_RESPONSE, 2, 2, index=index)
    assert host.voters == [1, 2, 3]
    later = host.raw.propose_conf_change(conf_change((ADD, 4)))
    host.work()
    assert later is not None
    assert change_at(host, later)


def test_a_new_leader_waits_until_it_has_applied_the_changes_of_the_last() -> None:
    members = group(1, 2, 3)
    members.elect(1)
    members.only(lambda each: each.type != M.TYPE_APPEND_RESPONSE)
    members.change(conf_change((ADD, 4)))
    members.heal()
    members.stop(1)
    members.tick(10, 2, 3)
    members.drop(M.TYPE_APPEND_RESPONSE)
    members.elect(2)
    host = members[2]
    index = host.raw.propose_conf_change(conf_change((ADD, 5)))
    members.heal()
    members.tick(4)
    assert index is not None
    assert not change_at(host, index)
    assert host.voters == [1, 2, 3, 4]


def test_a_new_leader_waits_until_it_has_applied_all_that_it_found_in_its_log() -> None:
    """Somewhere in there may be a change, and it is committed but not in force yet."""
    host = lone_leader(2, 2)
    host.raw.step(message(M.TYPE_APPEND_RESPONSE, 2, 1, 3, index=4))
    assert (host.raw.committed, host.raw.applied) == (4, 1)
    index = host.raw.propose_conf_change(conf_change((ADD, 5)))
    host.work()
    assert index is not None
    assert not change_at(host, index)


@pytest.mark.parametrize(
    "change",
    [
        conf_change((REMOVE, 1), (REMOVE, 2), (REMOVE, 3)),
        conf_change((ADD, 0)),
        ConfChange(),  # not joint: nothing to leave
    ],
)
def test_a_change_that_the_configuration_does_not_admit_becomes_an_empty_entry(
    change: ConfChange,
) -> None:
    host = committed_leader(2, 3)
    index = host.raw.propose_conf_change(change)
    host.work()
    assert index is not None
    [entry] = host.storage.entries(index, index + 1, 0)
    assert (entry.type, entry.data) == (Entry.TYPE_COMMAND, b"")


def test_a_refused_change_changes_nothing() -> None:
    host = committed_leader(2, 3)
    assert host.raw.apply_conf_change(None).voters == [1, 2, 3]
    with pytest.raises(ConfChangeError):
        host.raw.apply_conf_change(conf_change((ADD, 0)))
    assert host.voters == [1, 2, 3]


def test_an_update_changes_no_configuration() -> None:
    members = group(1, 2, 3)
    members.elect(1)
    members.change(conf_change((UPDATE, 2)))
    assert members[3].voters == [1, 2, 3]
    members.propose(b"goes on")
    assert members[3].commands == [b"goes on"]


def test_nobody_campaigns_with_a_committed_change_to_apply() -> None:
    members = group(1, 2, 3)
    members.elect(1)
    host = members[2]
    members.stop(2)
    index = members.change(conf_change((REMOVE, 3)))
    assert index is not None
    log = [each for each in members.said(M.TYPE_APPEND, to=2) if each.entries]
    host.raw.step(log[-1])
    host.raw.step(message(M.TYPE_HEARTBEAT, 1, 2, 2, commit=index))
    assert host.raw.committed == index
    host.raw.campaign()
    roles = [host.role]
    host.work()
    host.raw.campaign()
    assert [*roles, host.role] == [Role.FOLLOWER, Role.PRE_CANDIDATE]


# Leaving: 4.2.2.


@pytest.mark.parametrize("kind", [REMOVE, LEARN])
def test_a_leader_that_is_no_voter_any_more_steps_down(kind: "MemberChange.Type.ValueType") -> None:
    members = group(1, 2, 3)
    members.elect(1)
    members.change(conf_change((kind, 1)))
    assert (members[1].role, members[1].raw.leader) == (Role.FOLLOWER, 0)
    members.tick(30)
    assert members.leader().id in (2, 3)
    members.propose(b"x")
    assert members[2].commands == members[3].commands == [b"x"]


def test_a_leader_may_stay_to_manage_a_group_without_it() -> None:
    members = group(1, 2, 3, step_down_on_removal=False)
    members.elect(1)
    members.change(conf_change((REMOVE, 1)))
    assert members[1].raw.is_leader
    with pytest.raises(ProposalDroppedError) as caught:
        members[1].raw.propose(b"x")
    assert caught.value.reason is DropReason.NOT_A_MEMBER


def test_a_removed_member_does_not_campaign() -> None:
    members = group(1, 2, 3)
    members.elect(1)
    members.change(conf_change((REMOVE, 3)))
    members[3].raw.apply_conf_change(conf_change((REMOVE, 3)))
    members.tick(50, 3)
    assert (members[3].role, members[3].raw.term) == (Role.FOLLOWER, members[1].raw.term)


def removed_leader_knows_best(*voters: int, stopped: tuple[int, ...] = ()) -> Group:
    """1 removed itself. Only 1 knows that this is committed, and its log is longer than 2's."""
    members = group(*voters)
    members.elect(1)
    members.stop(*stopped)
    index = members[1].raw.propose_conf_change(conf_change((REMOVE, 1)))
    members[1].raw.propose(b"never sent")
    assert index is not None
    members.only(
        lambda each: each.commit < index and all(entry.index <= index for entry in each.entries)
    )
    members.settle()
    members.heal()
    assert (members[1].role, members[1].raw.committed) == (Role.FOLLOWER, index)
    assert members[2].raw.committed == index - 1
    return members


def test_a_group_does_not_lock_up_when_only_its_removed_leader_knows_of_the_removal() -> None:
    members = removed_leader_knows_best(1, 2)
    members.tick(40)
    assert members.leader().id == 2
    assert members[2].voters == [2]
    members.propose(b"x")
    assert members[2].commands == [b"x"]


def test_a_candidate_that_learns_of_a_change_gives_up() -> None:
    members = removed_leader_knows_best(1, 2, 3, stopped=(3,))
    members.tick(10, 1, 2)
    members[2].raw.campaign()
    members.settle()
    assert members[2].role is Role.FOLLOWER
    assert members[2].voters == [2, 3]


# Disruptive servers: 4.2.3.


def test_a_member_that_does_not_know_of_its_removal_disturbs_nobody() -> None:
    members = group(1, 2, 3, 4, pre_vote=False)
    members.elect(1)
    members.cut(1, 4)
    members.change(conf_change((REMOVE, 4)))
    term = members[1].raw.term
    members.tick(100)
    assert members[4].raw.term > term
    assert (members[1].raw.is_leader, members[1].raw.term) == (True, term)


def test_a_vote_request_is_ignored_while_the_leader_is_heard() -> None:
    members = group(1, 2, 3)
    members.elect(1)
    host = members[2]
    assert host.step(M.TYPE_VOTE, 3, 9, index=99, log_term=8) == []
    assert host.raw.term == 2
    members.stop(1)
    members.tick(10, 2)
    [answer] = host.step(M.TYPE_VOTE, 3, 9, index=99, log_term=8)
    assert (answer.reject, host.raw.term) == (False, 9)
