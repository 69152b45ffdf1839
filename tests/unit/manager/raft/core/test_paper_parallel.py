"""Writing to the own disk in parallel (Ongaro's thesis, 10.2.1), and flow control (10.2)."""

from typing import Any

import pytest

from api.v1.raft_pb2 import RaftMessage
from manager.raft.core.errors import DropReason, ProposalDroppedError
from manager.raft.core.progress import ProgressState
from manager.raft.core.ready import Role
from tests.support.raft_entries import entries, rows
from tests.support.raft_group import Host, group, lone, lone_leader, message

M = RaftMessage


def ready_leader(**settings: Any) -> Host:
    host = lone_leader(**settings)
    for member in (2, 3):
        host.step(M.TYPE_APPEND_RESPONSE, member, 2, index=2)
    return host


def test_a_leader_sends_before_its_own_disk_is_done() -> None:
    host = ready_leader()
    host.raw.propose(b"x")
    ready = host.raw.ready()
    assert (rows(ready.entries), ready.must_sync) == ([(3, 2)], True)
    assert {(each.type, each.to) for each in ready.early} == {
        (M.TYPE_APPEND, 2),
        (M.TYPE_APPEND, 3),
    }
    assert ready.late == []


def test_a_leader_counts_itself_only_once_its_entries_are_persisted() -> None:
    host = ready_leader()
    host.raw.propose(b"x")
    ready = host.raw.ready()
    host.raw.step(message(M.TYPE_APPEND_RESPONSE, 2, 1, 2, index=3))
    assert host.raw.committed == 2
    host.persist(ready)
    host.finish(ready)
    assert host.raw.committed == 3


def test_a_majority_without_the_leader_commits_while_it_writes() -> None:
    host = ready_leader()
    host.raw.propose(b"x")
    ready = host.raw.ready()
    for member in (2, 3):
        host.raw.step(message(M.TYPE_APPEND_RESPONSE, member, 1, 2, index=3))
    assert host.raw.committed == 3
    host.persist(ready)
    host.finish(ready)
    assert host.work()
    assert host.commands == [b"x"]


def test_an_own_vote_counts_only_once_it_is_persisted() -> None:
    host = lone(voters=(1,), pre_vote=False)
    host.raw.campaign()
    ready = host.raw.ready()
    assert (ready.must_sync, host.raw.is_leader) == (True, False)
    host.persist(ready)
    roles = [host.role]
    host.finish(ready)
    assert [*roles, host.role] == [Role.CANDIDATE, Role.LEADER]


def test_what_comes_while_the_disk_works_goes_into_the_next_ready() -> None:
    host = ready_leader()
    host.raw.propose(b"x")
    first = host.raw.ready()
    host.raw.propose(b"y")
    host.raw.tick()
    assert not host.raw.has_ready()
    assert rows(first.entries) == [(3, 2)]
    host.persist(first)
    host.finish(first)
    second = host.raw.ready()
    assert rows(second.entries) == [(4, 2)]


def test_an_overwrite_while_the_disk_works_is_persisted_by_the_next_ready() -> None:
    host = lone(2)
    host.step(M.TYPE_APPEND, 2, 2, index=2, log_term=2)
    after = {"index": 2, "log_term": 2}
    host.raw.step(message(M.TYPE_APPEND, 2, 1, 2, entries=entries(3, 2), **after))
    first = host.raw.ready()
    host.raw.step(message(M.TYPE_APPEND, 3, 1, 3, entries=entries(3, 3), **after))
    host.persist(first)
    host.finish(first)
    second = host.raw.ready()
    assert rows(second.entries) == [(3, 3)]
    host.persist(second)
    host.finish(second)
    assert host.log == [(2, 2), (3, 3)]
    assert not host.raw.has_ready()


def test_at_most_one_ready_is_outstanding() -> None:
    host = lone(voters=(1,))
    with pytest.raises(RuntimeError):
        host.raw.advance()
    host.raw.campaign()
    host.raw.ready()
    assert not host.raw.has_ready()
    with pytest.raises(RuntimeError):
        host.raw.ready()


def test_appends_stream_ahead_of_their_answers_up_to_the_window() -> None:
    host = ready_leader(max_inflight_msgs=3)
    for _ in range(5):
        host.raw.propose(b"x")
    sent = [each for each in host.work() if each.type == M.TYPE_APPEND and each.to == 2]
    assert [(each.index, len(each.entries)) for each in sent] == [(2, 1), (3, 1), (4, 1)]
    said = host.step(M.TYPE_APPEND_RESPONSE, 2, 2, index=4)
    sent = [each for each in said if each.type == M.TYPE_APPEND and each.to == 2 and each.entries]
    assert [(each.index, len(each.entries)) for each in sent] == [(5, 2)]


def test_a_full_window_is_probed_once_per_answer_to_a_heartbeat() -> None:
    host = ready_leader(max_inflight_msgs=1)
    host.raw.propose(b"x")
    host.raw.propose(b"y")
    host.work()
    for _ in range(2):
        said = host.step(M.TYPE_HEARTBEAT_RESPONSE, 2, 2)
        assert [(each.type, len(each.entries)) for each in said] == [(M.TYPE_APPEND, 0)]


def test_a_window_of_bytes_holds_back_too() -> None:
    host = ready_leader(max_inflight_bytes=100, max_size_per_msg=100)
    for _ in range(4):
        host.raw.propose(b"x" * 60)
    sent = [each for each in host.work() if each.type == M.TYPE_APPEND and each.to == 2]
    assert len(sent) == 2


def test_messages_are_no_larger_than_allowed_but_carry_an_entry() -> None:
    members = group(1, 2, 3, max_size_per_msg=1000)
    members.elect(1)
    members.isolate(3)
    members.propose(*[b"x" * 300] * 10, b"y" * 3000)
    members.heal()
    members.forget()
    members.tick(4)
    sizes = [sum(len(entry.data) for entry in each.entries) for each in members.said(M.TYPE_APPEND)]
    assert max(size for size in sizes if size < 3000) <= 1000
    assert members[3].commands == members[1].commands


def test_an_unreachable_member_is_probed() -> None:
    members = group(1, 2, 3)
    members.elect(1)
    members.isolate(3)
    members.propose(b"a")
    members[1].raw.report_unreachable(3)
    members.forget()
    members.propose(b"b")
    members.propose(b"c")
    assert len(members.said(M.TYPE_APPEND, to=3)) == 1
    members.heal()
    members.tick(4)
    assert members[3].commands == [b"a", b"b", b"c"]


def test_a_probe_that_finds_no_news_ends_the_probing() -> None:
    members = group(1, 2, 3)
    members.elect(1)
    members[1].raw.report_unreachable(3)
    states = [members[1].raw.status().progress[3].state]
    members.tick(3)
    states.append(members[1].raw.status().progress[3].state)
    assert states == [ProgressState.PROBE, ProgressState.REPLICATE]


def test_a_leader_takes_no_more_than_it_can_hold_uncommitted() -> None:
    host = ready_leader(max_uncommitted_size=100)
    host.raw.propose(b"x" * 90)
    with pytest.raises(ProposalDroppedError) as caught:
        host.raw.propose(b"x" * 20)
    assert caught.value.reason is DropReason.TOO_MUCH_UNCOMMITTED
    assert host.raw.propose(b"") == 4  # an empty one passes
    host.work()
    host.step(M.TYPE_APPEND_RESPONSE, 2, 2, index=4)
    assert host.raw.propose(b"x" * 20) == 5


def test_a_single_proposal_of_any_size_passes() -> None:
    host = ready_leader(max_uncommitted_size=100)
    assert host.raw.propose(b"x" * 500) == 3


def test_proposals_are_dropped_without_a_leader() -> None:
    host = lone()
    with pytest.raises(ProposalDroppedError) as caught:
        host.raw.propose(b"x")
    assert caught.value.reason is DropReason.NO_LEADER


def test_proposals_are_not_passed_on_if_that_is_off() -> None:
    members = group(1, 2, 3, disable_proposal_forwarding=True)
    members.elect(1)
    with pytest.raises(ProposalDroppedError) as caught:
        members[2].raw.propose(b"x")
    assert caught.value.reason is DropReason.FORWARDING_DISABLED


def test_committed_entries_come_in_batches() -> None:
    host = ready_leader(max_committed_size_per_ready=1000)
    host.raw.propose(*[b"x" * 300] * 10)
    host.work()
    host.raw.step(message(M.TYPE_APPEND_RESPONSE, 2, 1, 2, index=12))
    batches = []
    while host.raw.has_ready():
        ready = host.raw.ready()
        batches.append(len(ready.committed_entries))
        host.persist(ready)
        host.finish(ready)
    assert sum(batches) == 10
    assert max(batches) == 3
