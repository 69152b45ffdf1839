"""The round of ready and advance: what is handed out, and that it stays so."""

import copy

import pytest

from api.v1.raft_pb2 import ConfState, Entry, HardState, RaftMessage
from manager.raft.core.config import Config
from manager.raft.core.errors import InvariantError
from manager.raft.core.raw_node import RawNode
from manager.raft.core.ready import ReadState, Role, SoftState
from manager.raft.core.storage import MemoryStorage
from tests.support.raft_entries import entries, rows, snapshot, storage
from tests.support.raft_group import group
from tests.support.raft_lone import Dice, Lone

APPEND, HEARTBEAT, VOTE = (
    RaftMessage.TYPE_APPEND,
    RaftMessage.TYPE_HEARTBEAT,
    RaftMessage.TYPE_VOTE,
)


def sole() -> Lone:
    lone = Lone(conf=ConfState(voters=[1]))
    lone.lead()
    return lone


def test_nothing_to_do_at_the_start() -> None:
    lone = Lone(1, 1, term=4, vote=2)
    assert not lone.raw.has_ready()
    assert (lone.raw.term, lone.raw.leader, lone.raw.is_leader) == (4, 0, False)
    assert (lone.raw.committed, lone.raw.applied) == (1, 1)


def test_committed_entries_of_before_are_handed_out_after_a_restart() -> None:
    lone = Lone(1, 1, 1, commit=3)
    ready = lone.raw.ready()
    assert rows(ready.committed_entries) == [(2, 1), (3, 1)]
    assert (ready.hard_state, ready.entries, ready.must_sync) == (None, [], False)
    lone.obey(ready)
    assert lone.raw.applied == 3


def test_what_the_caller_has_applied_is_not_handed_out_again() -> None:
    made = storage(1, 1, 1, after=(1, 1), voters=[1])
    made.set_hard_state(HardState(term=1, commit=4))
    raw = RawNode(Config(id=1, storage=made, chance=Dice(), applied=3))
    assert rows(raw.ready().committed_entries) == [(4, 1)]


def test_a_commit_index_beyond_the_log_stops_the_node() -> None:
    made = storage(1, after=(1, 1), voters=[1])
    made.set_hard_state(HardState(term=1, commit=3))
    with pytest.raises(InvariantError, match="commit index 3 is beyond the log, which ends at 2"):
        RawNode(Config(id=1, storage=made, chance=Dice()))


def test_a_commit_index_behind_the_snapshot_is_caught_up() -> None:
    made = MemoryStorage()
    made.apply_snapshot(snapshot(9, 2, 1, 2))
    made.set_hard_state(HardState(term=2, vote=1, commit=4))
    raw = RawNode(Config(id=1, storage=made, chance=Dice()))
    assert (raw.committed, raw.applied, raw.term) == (9, 9, 2)
    assert raw.status().hard_state == HardState(term=2, vote=1, commit=9)


def test_one_ready_at_a_time() -> None:
    lone = sole()
    lone.raw.propose(b"x")
    ready = lone.raw.ready()
    lone.raw.propose(b"y")
    assert not lone.raw.has_ready()
    with pytest.raises(RuntimeError, match="still to be advanced"):
        lone.raw.ready()
    lone.obey(ready)
    assert lone.raw.has_ready()
    lone.work()
    with pytest.raises(RuntimeError, match="no Ready"):
        lone.raw.advance()


def test_a_sole_voter_persists_before_it_commits_and_then_applies() -> None:
    lone = sole()
    lone.work()
    lone.raw.propose(b"x")
    first = lone.raw.ready()
    assert (rows(first.entries), first.committed_entries, first.must_sync) == ([(3, 2)], [], True)
    lone.obey(first)
    second = lone.raw.ready()
    assert (second.entries, rows(second.committed_entries)) == ([], [(3, 2)])
    assert second.hard_state == HardState(term=2, vote=1, commit=3)
    assert second.must_sync is False
    lone.obey(second)
    assert not lone.raw.has_ready()


def test_an_outstanding_ready_stays_as_it_was_handed_out() -> None:
    lone = Lone()
    lone.raw.step(lone.message(APPEND, 2, index=1, log_term=1, entries=entries(2, 1, 1), commit=2))
    ready = lone.raw.ready()
    before = copy.deepcopy(ready)
    lone.raw.step(lone.message(APPEND, 2, index=3, log_term=1, entries=entries(4, 1), commit=2))
    lone.raw.step(
        lone.message(APPEND, 3, term=7, index=2, log_term=1, entries=entries(3, 7), commit=3)
    )
    for _ in range(30):
        lone.raw.tick()
    lone.raw.read_index(b"r")
    assert ready == before


def test_entries_that_came_meanwhile_are_persisted_by_the_next_ready() -> None:
    lone = Lone()
    lone.raw.step(lone.message(APPEND, 2, index=1, log_term=1, entries=entries(2, 1), commit=1))
    ready = lone.raw.ready()
    lone.raw.step(lone.message(APPEND, 2, index=2, log_term=1, entries=entries(3, 1), commit=3))
    lone.obey(ready)
    assert (lone.terms, lone.raw.applied) == ([1], 1)
    ready = lone.raw.ready()
    assert rows(ready.entries) == [(3, 1)]
    assert rows(ready.committed_entries) == [(2, 1), (3, 1)]
    lone.obey(ready)
    assert (lone.terms, lone.raw.applied) == ([1, 1], 3)


def test_entries_that_were_overwritten_meanwhile_are_persisted_again() -> None:
    lone = Lone()
    append = lone.message(APPEND, 2, index=1, log_term=1, entries=entries(2, 1, 1), commit=1)
    lone.raw.step(append)
    ready = lone.raw.ready()
    lone.raw.step(
        lone.message(APPEND, 3, term=2, index=2, log_term=1, entries=entries(3, 2), commit=1)
    )
    lone.obey(ready)
    assert lone.terms == [1, 1]
    assert rows(lone.raw.ready().entries) == [(2, 1), (3, 2)]


def test_the_own_append_counts_up_to_what_was_handed_out() -> None:
    lone = Lone()
    lone.lead(heard=[2])
    lone.raw.propose(b"x")
    ready = lone.raw.ready()
    lone.raw.propose(b"y")
    lone.raw.step(lone.message(RaftMessage.TYPE_APPEND_RESPONSE, 2, index=4))
    lone.obey(ready)
    assert lone.raw.committed == 3
    lone.work()
    assert lone.raw.committed == 4


def test_states_are_handed_out_when_they_change() -> None:
    lone = Lone()
    lone.raw.step(lone.message(HEARTBEAT, 2, term=3))
    first = lone.raw.ready()
    assert first.soft_state == SoftState(leader=2, role=Role.FOLLOWER)
    assert first.hard_state == HardState(term=3, commit=1)
    assert first.must_sync
    lone.obey(first)
    lone.raw.step(lone.message(HEARTBEAT, 2))
    second = lone.raw.ready()
    assert (second.soft_state, second.hard_state, second.must_sync) == (None, None, False)
    lone.obey(second)
    lone.raw.forget_leader()
    assert lone.raw.has_ready()
    assert lone.raw.ready().soft_state == SoftState(leader=0, role=Role.FOLLOWER)


def test_a_vote_alone_needs_an_fsync() -> None:
    lone = Lone()
    lone.raw.step(lone.message(VOTE, 2, index=1, log_term=1))
    ready = lone.raw.ready()
    assert ready.hard_state == HardState(term=1, vote=2, commit=1)
    assert (ready.must_sync, ready.early) == (True, [])


def test_what_is_to_be_applied_comes_in_pages() -> None:
    lone = sole()
    lone.settings["max_committed_size_per_ready"] = 250
    lone.start()
    lone.lead()
    lone.raw.propose(*([bytes(100)] * 5))
    lone.obey(lone.raw.ready())
    pages = []
    while lone.raw.has_ready():
        ready = lone.raw.ready()
        pages.append([each.index for each in ready.committed_entries if each.data])
        lone.obey(ready)
    assert [each for each in pages if each] == [[4, 5], [6, 7], [8]]


def test_reads_are_handed_out_once() -> None:
    lone = sole()
    lone.work()
    lone.raw.read_index(b"r")
    ready = lone.raw.ready()
    assert ready.read_states == [ReadState(index=2, context=b"r")]
    lone.obey(ready)
    assert not lone.raw.has_ready()


def test_messages_and_entries_are_never_changed_once_taken_or_handed_out() -> None:
    trio = group(1, 2, 3)
    seen: list[tuple[RaftMessage, bytes]] = []

    def note(each: RaftMessage) -> bool:
        seen.append((each, each.SerializeToString()))
        return True

    trio.only(note)
    trio.elect(1)
    trio.propose(b"a", b"b")
    trio[2].raw.propose(b"c")
    trio.tick(30)
    trio.isolate(1)
    trio.only(note)
    trio.tick(30, 2, 3)
    trio.propose(b"d")
    trio.heal()
    trio.tick(5)
    assert len(seen) > 50
    assert all(each.SerializeToString() == before for each, before in seen)


def test_a_restarted_group_goes_on() -> None:
    trio = group(1, 2, 3)
    trio.elect(1)
    trio.propose(b"a")
    trio[1].compact()
    trio.stop(1, 2, 3)
    trio.restart(1, 2, 3)
    trio.tick(25)
    trio.propose(b"b")
    assert [each.commands[-1] for each in trio.hosts.values()] == [b"b"] * 3
    assert len({each.log[-1] for each in trio.hosts.values()}) == 1


def test_a_member_that_was_cut_off_does_not_disturb_when_it_returns() -> None:
    """PreVote: its term did not rise, so its leader stays (thesis, 9.6)."""
    trio = group(1, 2, 3)
    trio.elect(1)
    trio.isolate(3)
    trio.tick(60)
    trio.heal()
    trio.tick(20)
    assert trio.leader().id == 1
    assert {each.raw.term for each in trio.hosts.values()} == {trio[1].raw.term}


def test_a_member_that_came_back_with_a_higher_term_is_taken_in_again() -> None:
    """Without PreVote the leader learns of the term by the refusal of its own messages."""
    trio = group(1, 2, 3, pre_vote=False)
    trio.elect(1)
    trio.isolate(3)
    trio.tick(60)
    assert trio[3].raw.term > trio[1].raw.term
    trio.heal()
    trio.tick(40)
    assert {each.raw.term for each in trio.hosts.values()} == {trio.leader().raw.term}
    trio.propose(b"x")
    assert trio[3].commands == [b"x"]


def test_data_of_an_entry_is_kept_as_it_is() -> None:
    lone = sole()
    lone.raw.propose(b"\0\xff", b"")
    lone.work()
    assert lone.applied[-2:] == [
        Entry(term=2, index=3, data=b"\0\xff"),
        Entry(term=2, index=4),
    ]
