"""What happens to proposals: taken, passed on, or dropped."""

import pytest

from api.v1.raft_pb2 import Entry, RaftMessage
from manager.raft.core.errors import DropReason, ProposalDroppedError
from tests.support.raft_entries import REMOVE, conf_change
from tests.support.raft_group import group
from tests.support.raft_lone import Lone

PROPOSE, HEARTBEAT = RaftMessage.TYPE_PROPOSE, RaftMessage.TYPE_HEARTBEAT


def reason(lone: Lone, *data: bytes) -> DropReason:
    with pytest.raises(ProposalDroppedError) as dropped:
        lone.raw.propose(*(data or (b"x",)))
    return dropped.value.reason


def test_a_leader_appends_and_names_the_first_index() -> None:
    lone = Lone()
    lone.lead()
    assert lone.raw.propose(b"a") == 3
    assert lone.raw.propose(b"b", b"", b"c") == 4
    lone.work()
    stored = lone.storage.entries(3, 7, 1 << 20)
    assert [each.data for each in stored] == [b"a", b"b", b"", b"c"]
    assert {each.term for each in stored} == {2}


def test_nothing_is_no_proposal() -> None:
    lone = Lone()
    lone.lead()
    with pytest.raises(ValueError, match="nothing was proposed"):
        lone.raw.propose()
    assert lone.hear(PROPOSE, 2, term=0) == []


def test_a_follower_passes_proposals_on_in_its_own_name() -> None:
    lone = Lone()
    lone.hear(HEARTBEAT, 2)
    assert lone.raw.propose(b"a", b"b") is None
    (said,) = lone.work()
    assert (said.type, said.to, getattr(said, "from"), said.term) == (PROPOSE, 2, 1, 0)
    assert list(said.entries) == [Entry(data=b"a"), Entry(data=b"b")]
    (said,) = lone.hear(PROPOSE, 3, term=0, entries=[Entry(data=b"c")])
    assert (said.to, getattr(said, "from")) == (2, 1)


def test_what_is_proposed_to_a_follower_commits_everywhere() -> None:
    trio = group(1, 2, 3)
    trio.elect(1)
    trio[2].raw.propose(b"a", b"b")
    trio.settle()
    assert [host.commands for host in trio.hosts.values()] == [[b"a", b"b"]] * 3


def test_without_a_leader_proposals_are_dropped() -> None:
    lone = Lone()
    assert reason(lone) is DropReason.NO_LEADER
    lone.raw.campaign()
    assert reason(lone) is DropReason.NO_LEADER
    with pytest.raises(ProposalDroppedError):
        lone.hear(PROPOSE, 2, term=0, entries=[Entry(data=b"x")])


def test_forwarding_can_be_turned_off() -> None:
    lone = Lone(disable_proposal_forwarding=True)
    lone.hear(HEARTBEAT, 2)
    assert reason(lone) is DropReason.FORWARDING_DISABLED


def test_a_leader_that_was_removed_takes_none() -> None:
    pair = group(1, 2, step_down_on_removal=False)
    pair.elect(1)
    pair.change(conf_change((REMOVE, 1)))
    leader = pair[1]
    assert leader.raw.is_leader
    with pytest.raises(ProposalDroppedError) as dropped:
        leader.raw.propose(b"x")
    assert dropped.value.reason is DropReason.NOT_A_MEMBER


def test_entries_behind_the_removal_of_their_leader_still_commit() -> None:
    pair = group(1, 2, step_down_on_removal=False)
    pair.elect(1)
    pair[1].raw.propose_conf_change(conf_change((REMOVE, 1)))
    ready = pair[1].raw.ready()
    pair[1].persist(ready)
    pair[1].raw.propose(b"behind")
    for each in ready.messages:
        pair[2].raw.step(each)
    pair[1].finish(ready)
    pair.settle()
    assert pair[2].commands == [b"behind"]


def test_data_ahead_of_the_commit_index_is_bounded() -> None:
    lone = Lone(max_uncommitted_size=100)
    lone.lead(heard=[2])
    lone.raw.propose(bytes(60))
    assert reason(lone, bytes(41)) is DropReason.TOO_MUCH_UNCOMMITTED
    assert reason(lone, bytes(20), bytes(21)) is DropReason.TOO_MUCH_UNCOMMITTED
    assert lone.raw.propose(bytes(40)) == 4
    assert lone.raw.propose(b"") == 5
    lone.work()
    assert lone.raw.status().uncommitted_size == 100
    lone.accept(2, 3)
    assert lone.raw.status().uncommitted_size == 40
    lone.accept(2)
    assert lone.raw.status().uncommitted_size == 0


def test_data_of_any_size_goes_if_nothing_is_ahead() -> None:
    lone = Lone(max_uncommitted_size=100)
    lone.lead(heard=[2])
    assert lone.raw.propose(bytes(1000)) == 3
    assert lone.raw.propose(b"") == 4
    assert reason(lone, b"x") is DropReason.TOO_MUCH_UNCOMMITTED


def test_what_an_earlier_leader_appended_is_not_counted() -> None:
    lone = Lone()
    earlier = Entry(term=1, index=2, data=bytes(50))
    lone.hear(RaftMessage.TYPE_APPEND, 2, index=1, log_term=1, entries=[earlier])
    lone.lead()
    lone.raw.propose(bytes(10))
    lone.work()
    lone.accept(2, 3)
    assert lone.raw.status().uncommitted_size == 0


def test_a_lost_leadership_counts_no_data() -> None:
    lone = Lone(max_uncommitted_size=100)
    lone.lead()
    lone.raw.propose(bytes(100))
    lone.hear(HEARTBEAT, 2, term=9)
    assert lone.raw.status().uncommitted_size == 0
    lone.lead()
    assert lone.raw.propose(bytes(100)) is not None
