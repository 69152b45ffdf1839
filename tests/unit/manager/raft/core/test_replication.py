"""What a leader sends and makes of the answers: probes, streams, snapshots, the commit index."""

from typing import Any

import pytest

from api.v1.raft_pb2 import ConfState, RaftMessage, Snapshot
from manager.raft.core.errors import (
    SnapshotTemporarilyUnavailableError,
    UnknownPeerError,
)
from manager.raft.core.progress import Progress, ProgressState
from manager.raft.core.storage import MemoryStorage
from tests.support.raft_entries import REMOVE, conf_change
from tests.support.raft_group import group
from tests.support.raft_lone import Kind, Lone, kinds, told

APPEND = RaftMessage.TYPE_APPEND
APPEND_RESPONSE = RaftMessage.TYPE_APPEND_RESPONSE
HEARTBEAT_RESPONSE = RaftMessage.TYPE_HEARTBEAT_RESPONSE


def progress(lone: Lone, member: int) -> Progress:
    return lone.raw.status().progress[member]


def leader(*terms: int, **settings: Any) -> Lone:
    """Member 1 as a leader to whom 2 and 3 have said nothing yet."""
    lone = Lone(*terms, **settings)
    lone.lead()
    return lone


def test_what_is_proposed_is_streamed_and_commits_with_a_majority() -> None:
    lone = leader()
    lone.accept(2)
    lone.accept(3)
    assert lone.raw.propose(b"a", b"b") == 3
    assert told(lone.work()) == [(2, 2, 3, 4), (3, 2, 3, 4)]
    assert lone.raw.propose(b"c") == 5
    assert told(lone.work()) == [(2, 4, 5), (3, 4, 5)]  # ahead of the answers
    said = lone.accept(2, 4)
    assert (lone.raw.committed, lone.commands) == (4, [b"a", b"b"])
    assert [(each.to, each.commit) for each in said] == [(2, 4), (3, 4)]


def test_a_member_that_lacks_only_the_commit_index_is_told_it() -> None:
    lone = leader()
    assert kinds(lone.accept(2)) == [("APPEND", 2)]  # 3 is being probed
    (said,) = lone.accept(3)
    assert (said.to, said.index, list(said.entries), said.commit) == (3, 2, [], 2)
    assert lone.accept(3) == []


def test_a_commit_index_that_was_told_is_not_told_again() -> None:
    lone = leader()
    for member in (2, 3):
        lone.accept(member)
    lone.raw.propose(b"a", b"b")
    lone.work()
    assert [(each.to, each.commit) for each in lone.accept(2)] == [(2, 4), (3, 4)]
    assert lone.accept(3, 3) == []


def test_a_heartbeat_that_could_not_tell_the_commit_index_has_it_told_again() -> None:
    """It went out after the append, so if it was needed the append may be lost."""
    lone = leader()
    for member in (2, 3):
        lone.accept(member)
    lone.raw.propose(b"a", b"b")
    lone.work()
    lone.accept(2)
    assert [each.commit for each in lone.tick(2)] == [4, 2]
    assert [(each.to, each.commit) for each in lone.accept(3, 3)] == [(3, 4)]


def test_the_own_append_counts_once_it_is_persisted() -> None:
    lone = leader()
    lone.accept(2)
    lone.raw.propose(b"a")
    ready = lone.raw.ready()
    assert [each.type for each in ready.early] == [APPEND]
    lone.raw.step(lone.message(APPEND_RESPONSE, 2, index=3))
    assert lone.raw.committed == 2
    lone.obey(ready)
    assert lone.raw.committed == 3


def test_a_majority_of_others_commits_without_the_leaders_own_disk() -> None:
    lone = leader()
    lone.accept(2)
    lone.accept(3)
    lone.raw.propose(b"a")
    ready = lone.raw.ready()
    for member in (2, 3):
        lone.raw.step(lone.message(APPEND_RESPONSE, member, index=3))
    assert lone.raw.committed == 3
    lone.obey(ready)
    lone.work()
    assert lone.commands == [b"a"]


def test_a_late_own_append_of_a_lost_leadership_counts_for_nothing() -> None:
    lone = leader()
    lone.accept(2)
    lone.raw.propose(b"a")
    ready = lone.raw.ready()
    lone.raw.step(lone.message(RaftMessage.TYPE_HEARTBEAT, 2, term=9))
    lone.obey(ready)
    assert (lone.raw.committed, lone.raw.is_leader) == (2, False)


def test_a_sole_voter_commits_what_it_has_persisted() -> None:
    lone = Lone(conf=ConfState(voters=[1], learners=[2]))
    lone.lead()
    lone.raw.propose(b"a")
    ready = lone.raw.ready()
    assert (ready.committed_entries, lone.raw.committed) == ([], 2)
    lone.obey(ready)
    assert lone.raw.committed == 3


def test_entries_of_earlier_terms_commit_only_with_one_of_the_own() -> None:
    """Figure 8 of the paper: a majority holds entry 2 of term 2, and it may yet be overwritten."""
    lone = leader(2)
    assert (lone.raw.term, lone.terms) == (3, [2, 3])
    lone.accept(2, 2)
    assert lone.raw.committed == 1
    lone.accept(2, 3)
    assert lone.raw.committed == 3


def test_learners_do_not_count() -> None:
    lone = Lone(conf=ConfState(voters=[1, 2], learners=[3, 4]))
    lone.lead()
    lone.accept(3)
    lone.accept(4)
    assert lone.raw.committed == 1
    lone.accept(2)
    assert lone.raw.committed == 2


def test_a_joint_configuration_needs_both_majorities() -> None:
    lone = Lone(conf=ConfState(voters=[1, 2], voters_outgoing=[1, 3]))
    lone.lead()
    lone.accept(2)
    assert lone.raw.committed == 1
    lone.accept(3)
    assert lone.raw.committed == 2


def test_a_probe_goes_once_per_heartbeat() -> None:
    lone = leader()
    lone.raw.propose(b"a")
    assert lone.work() == []
    assert told(lone.hear(HEARTBEAT_RESPONSE, 2)) == [(2, 1, 2, 3)]
    lone.raw.propose(b"b")
    assert lone.work() == []
    assert told(lone.hear(HEARTBEAT_RESPONSE, 2)) == [(2, 1, 2, 3, 4)]
    assert progress(lone, 2).state is ProgressState.PROBE
    lone.accept(2)
    assert progress(lone, 2).state is ProgressState.REPLICATE


def test_heartbeats_of_a_member_that_has_all_ask_for_nothing() -> None:
    lone = leader()
    lone.accept(2)
    assert lone.hear(HEARTBEAT_RESPONSE, 2) == []


def test_heartbeats_carry_what_is_committed_and_known_to_match() -> None:
    lone = leader()
    lone.accept(2)
    assert lone.tick() == []
    said = lone.tick()
    assert kinds(said) == [("HEARTBEAT", 2), ("HEARTBEAT", 3)]
    assert [each.commit for each in said] == [2, 0]


def test_what_was_sent_to_an_unreachable_member_is_asked_for_again() -> None:
    lone = leader()
    lone.accept(2)
    lone.raw.propose(b"a")
    lone.work()
    lone.raw.report_unreachable(2)
    assert (progress(lone, 2).state, progress(lone, 2).next) == (ProgressState.PROBE, 3)
    assert told(lone.hear(HEARTBEAT_RESPONSE, 2)) == [(2, 2, 3)]


def test_a_probed_member_that_has_all_is_streamed_to_again() -> None:
    lone = leader()
    lone.accept(2)
    lone.raw.report_unreachable(2)
    assert told(lone.hear(HEARTBEAT_RESPONSE, 2)) == [(2, 2)]
    lone.accept(2)
    assert progress(lone, 2).state is ProgressState.REPLICATE


@pytest.mark.parametrize("member", [2, 9])
def test_reports_of_strangers_or_to_a_follower_mean_nothing(member: int) -> None:
    lone = Lone()
    if member == 9:
        lone.lead()
    lone.raw.report_unreachable(member)
    lone.raw.report_snapshot(member, True)
    assert not lone.raw.has_ready()


def test_a_report_about_a_probed_member_means_nothing() -> None:
    lone = leader()
    before = progress(lone, 2)
    lone.raw.report_unreachable(2)
    lone.raw.report_snapshot(2, False)
    assert (progress(lone, 2).state, progress(lone, 2).next) == (before.state, before.next)


def test_a_full_window_lets_one_empty_append_through_per_heartbeat() -> None:
    lone = leader(max_inflight_msgs=2)
    lone.accept(2)
    for _ in range(3):
        lone.raw.propose(b"a")
    assert told(each for each in lone.work() if each.to == 2) == [(2, 2, 3), (2, 3, 4)]
    assert told(lone.hear(HEARTBEAT_RESPONSE, 2)) == [(2, 4)]
    lone.raw.propose(b"a")
    assert lone.work() == []
    assert told(lone.accept(2, 3)) == [(2, 4, 5, 6)]


def test_messages_are_cut_to_size_and_streamed_on() -> None:
    lone = leader(max_size_per_msg=250)
    for member in (2, 3):
        lone.accept(member)
    lone.raw.propose(*([bytes(100)] * 5))
    said = lone.work() + lone.accept(2, 4)
    assert [len(each.entries) for each in said if each.to == 2] == [2, 2, 1]


@pytest.mark.parametrize("kind", [APPEND_RESPONSE, HEARTBEAT_RESPONSE])
def test_answers_of_strangers_are_refused(kind: Kind) -> None:
    lone = leader()
    for source in (9, 1):
        with pytest.raises(UnknownPeerError, match=f"an answer came from {source}"):
            lone.raw.step(lone.message(kind, source))
    assert not lone.raw.has_ready()


def test_an_answer_that_is_no_news_asks_for_nothing() -> None:
    lone = leader()
    lone.accept(2)
    lone.raw.propose(b"a")
    lone.work()
    assert lone.accept(2, 2) == []


@pytest.mark.parametrize(
    ("ours", "index", "hint", "hint_term", "expected"),
    [
        # The follower's log is shorter.
        ((1, 1, 1), 4, 2, 1, (2, 2, 3, 4, 5)),
        # It has a tail of a lower term than ours: all our higher terms are skipped.
        ((3, 3, 3, 5, 5, 5, 5, 5), 9, 6, 2, (2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)),
        # It knows no term at the hint, so that one is tried.
        ((1, 1, 1), 4, 3, 0, (2, 3, 4, 5)),
        # A hint beyond what was sent is no help.
        ((1, 1, 1), 4, 9, 1, (2, 3, 4, 5)),
    ],
)
def test_where_a_leader_probes_next(
    ours: tuple[int, ...], index: int, hint: int, hint_term: int, expected: tuple[int, ...]
) -> None:
    lone = leader(*ours)
    said = lone.hear(
        APPEND_RESPONSE, 2, index=index, reject=True, reject_hint=hint, log_term=hint_term
    )
    assert told(said) == [expected]


def test_a_rejection_that_is_no_news_asks_for_nothing() -> None:
    lone = leader(1, 1, 1)
    assert lone.hear(APPEND_RESPONSE, 2, index=2, reject=True, reject_hint=1, log_term=1) == []


def test_a_rejected_stream_is_probed() -> None:
    lone = leader()
    lone.accept(2)
    lone.raw.propose(b"a")
    lone.raw.propose(b"b")
    lone.work()
    said = lone.hear(APPEND_RESPONSE, 2, index=3, reject=True, reject_hint=2, log_term=2)
    assert told(said) == [(2, 2, 3, 4)]
    assert progress(lone, 2).state is ProgressState.PROBE


LEADER_LOG = (1, 1, 4, 4, 5, 5, 6, 6, 6)  # from index 2 on; index 1 is of term 1


@pytest.mark.parametrize(
    "theirs",
    [
        LEADER_LOG[:8],
        LEADER_LOG[:3],
        (*LEADER_LOG, 6),
        (*LEADER_LOG, 7, 7),
        (*LEADER_LOG[:4], 4, 4),
        (1, 1, 2, 2, 2, 3, 3, 3, 3, 3),
    ],
    ids="abcdef",
)
def test_logs_converge_as_in_figure_7(theirs: tuple[int, ...]) -> None:
    trio = group(1, 2, 3, logs={1: LEADER_LOG, 2: theirs, 3: LEADER_LOG})
    for _ in range(3):  # 2 may be ahead in its term and refuse the first
        trio[1].raw.campaign()
        trio.settle()
    assert trio.leader() is trio[1]
    trio.propose(b"x")
    trio.tick(3)
    assert trio[2].log == trio[1].log
    assert [each.commands for each in trio.hosts.values()] == [[b"x"]] * 3


# Snapshots.


def compacted(**settings: Any) -> Lone:
    """A leader whose log begins behind a snapshot of index 3; member 3 is up to date."""
    lone = leader(**settings)
    lone.raw.propose(b"a")
    lone.work()
    lone.accept(3)
    lone.compact()
    lone.raw.propose(b"b")
    lone.work()
    lone.accept(3)
    return lone


def reject(lone: Lone) -> list[RaftMessage]:
    """Member 2 says that its log is empty."""
    return lone.hear(APPEND_RESPONSE, 2, index=1, reject=True, reject_hint=0)


def test_a_member_that_the_log_cannot_help_gets_a_snapshot() -> None:
    lone = compacted()
    (said,) = reject(lone)
    assert kinds([said]) == [("SNAPSHOT", 2)]
    assert said.snapshot.metadata.index == 3
    state = progress(lone, 2)
    assert (state.state, state.pending_snapshot) == (ProgressState.SNAPSHOT, 3)
    lone.raw.propose(b"c")
    assert told(lone.work()) == [(3, 4, 5)]
    assert lone.hear(HEARTBEAT_RESPONSE, 2) == []


@pytest.mark.parametrize(("ok", "expected"), [(True, [("APPEND", 2)]), (False, [("SNAPSHOT", 2)])])
def test_what_follows_a_snapshot_waits_for_a_sign_of_life(
    ok: bool, expected: list[tuple[str, int]]
) -> None:
    lone = compacted()
    reject(lone)
    lone.raw.report_snapshot(2, ok)
    assert progress(lone, 2).state is ProgressState.PROBE
    lone.raw.propose(b"c")
    assert kinds(lone.work()) == [("APPEND", 3)]
    assert kinds(lone.hear(HEARTBEAT_RESPONSE, 2)) == expected


def test_an_installed_snapshot_is_followed_by_the_stream() -> None:
    lone = compacted()
    reject(lone)
    assert told(lone.accept(2, 3)) == [(2, 3, 4)]
    assert progress(lone, 2).state is ProgressState.REPLICATE


def test_any_progress_that_lets_the_log_help_ends_the_snapshot() -> None:
    lone = compacted()
    reject(lone)
    lone.raw.propose(b"c")
    lone.work()
    lone.accept(3)
    lone.compact()
    assert lone.storage.first_index() == 6
    assert lone.accept(2, 3) == []
    assert progress(lone, 2).pending_snapshot == 3
    lone.accept(2, 5)
    assert progress(lone, 2).state is ProgressState.REPLICATE


class BusyStorage(MemoryStorage):
    """Has no snapshot at hand while `busy`."""

    busy = False

    def snapshot(self) -> Snapshot:
        if self.busy:
            raise SnapshotTemporarilyUnavailableError
        return super().snapshot()


def test_a_snapshot_that_is_not_at_hand_is_sent_later() -> None:
    storage = BusyStorage()
    lone = compacted(storage=storage)
    storage.busy = True
    assert reject(lone) == []
    storage.busy = False
    assert kinds(lone.hear(HEARTBEAT_RESPONSE, 2)) == [("SNAPSHOT", 2)]


def test_a_silent_member_gets_no_snapshot() -> None:
    storage = BusyStorage()
    lone = compacted(storage=storage)
    storage.busy = True
    reject(lone)
    storage.busy = False
    for _ in range(2):
        lone.tick(9)
        lone.hear(HEARTBEAT_RESPONSE, 3)
    lone.raw.propose(b"b")
    assert kinds(lone.work()) == [("APPEND", 3)]
    assert kinds(lone.hear(HEARTBEAT_RESPONSE, 2)) == [("SNAPSHOT", 2)]


def test_a_leader_that_was_removed_meanwhile_counts_its_own_append_no_more() -> None:
    lone = leader(step_down_on_removal=False)
    lone.accept(2)
    lone.raw.propose_conf_change(conf_change((REMOVE, 1)))
    first = lone.raw.ready()
    lone.raw.step(lone.message(APPEND_RESPONSE, 2, index=3))
    lone.raw.propose(b"behind")
    lone.obey(first)
    second = lone.raw.ready()
    assert ([each.index for each in second.entries], lone.raw.committed) == ([4], 3)
    lone.obey(second)
    lone.accept(2)
    assert lone.raw.committed == 3
    lone.accept(3)
    assert lone.raw.committed == 4
