"""Log compaction (Ongaro and Ousterhout, section 7): when a snapshot is sent, taken and refused."""

import pytest

from api.v1.raft_pb2 import RaftMessage, Snapshot
from manager.raft.core.progress import ProgressState
from tests.support.raft_entries import entries, snapshot
from tests.support.raft_group import Group, Host, group, lone, lone_leader, message

M = RaftMessage


def behind() -> Group:
    """1 leads, 3 missed entries that 1 and 2 have compacted meanwhile."""
    members = group(1, 2, 3)
    members.elect(1)
    members.isolate(3)
    for data in (b"a", b"b", b"c"):
        members.propose(data)
    for member in (1, 2):
        members[member].compact()
    members.heal()
    members.forget()
    return members


def test_a_follower_that_is_too_far_behind_gets_the_snapshot_and_then_entries() -> None:
    members = behind()
    members.propose(b"d")
    members.tick(3)
    host = members[3]
    [sent] = members.said(M.TYPE_SNAPSHOT)
    assert (sent.to, sent.snapshot.metadata.index, sent.snapshot.metadata.term) == (3, 5, 2)
    assert host.storage.first_index() == 6
    assert host.commands == [b"d"]
    assert host.raw.committed == members[1].raw.committed


def test_one_snapshot_at_a_time_and_no_appends_beside_it() -> None:
    members = behind()
    members.drop(M.TYPE_SNAPSHOT)
    members.tick(3)
    progress = members[1].raw.status().progress[3]
    assert (progress.state, progress.pending_snapshot) == (ProgressState.SNAPSHOT, 5)
    members.forget()
    members.propose(b"d")
    members.tick(5)
    assert members.said(M.TYPE_APPEND, to=3) == members.said(M.TYPE_SNAPSHOT) == []
    assert members.said(M.TYPE_HEARTBEAT, to=3)


@pytest.mark.parametrize(("ok", "snapshots"), [(True, 0), (False, 1)])
def test_what_became_of_a_snapshot_is_found_out(ok: bool, snapshots: int) -> None:
    members = behind()
    members.only(lambda each: each.type != M.TYPE_SNAPSHOT)
    members.tick(3)
    lost = members.said(M.TYPE_SNAPSHOT)[-1]
    members.heal()
    if ok:  # it arrived, but the answer was lost
        members[3].raw.step(lost)
        members[3].work()
    members.forget()
    members[1].raw.report_snapshot(3, ok)
    members.settle()
    assert members.said(M.TYPE_APPEND, to=3) == []  # not before a sign of life
    progress = members[1].raw.status().progress[3]
    assert (progress.next, progress.is_paused()) == (6 if ok else progress.match + 1, True)
    members.tick(3)
    assert len(members.said(M.TYPE_SNAPSHOT)) == snapshots
    assert members[3].raw.committed == members[1].raw.committed
    assert members[1].raw.status().progress[3].state is ProgressState.REPLICATE


def test_a_silent_follower_is_sent_no_snapshot() -> None:
    members = group(1, 2, 3)
    members.elect(1)
    members.stop(3)
    members.tick(20)
    members.propose(b"a")
    members[1].compact()
    members[1].raw.report_unreachable(3)
    members.propose(b"b")
    members.tick(5)
    assert members.said(M.TYPE_SNAPSHOT) == []
    members.restart(3)
    members.tick(3)
    assert len(members.said(M.TYPE_SNAPSHOT)) == 1
    assert members[3].raw.committed == members[1].raw.committed


def installed(host: Host, received: Snapshot, term: int = 3) -> RaftMessage:
    [answer] = host.step(M.TYPE_SNAPSHOT, 2, term, snapshot=received)
    assert answer.type == M.TYPE_APPEND_RESPONSE
    return answer


def test_a_snapshot_takes_the_place_of_the_log_and_brings_its_configuration() -> None:
    host = lone(2, 2)
    answer = installed(host, snapshot(9, 3, 1, 2, learners=[4]))
    assert (answer.index, answer.reject) == (9, False)
    assert (host.raw.committed, host.raw.applied) == (9, 9)
    assert host.raw.status().config.conf_state() == snapshot(9, 3, 1, 2, learners=[4]).metadata.conf
    assert (host.storage.first_index(), host.log) == (10, [])


@pytest.mark.parametrize(
    ("received", "index"),
    [
        (snapshot(1, 1, 1, 2, 3), 2),  # older than what is committed
        (snapshot(2, 2, 1, 2, 3), 2),
        (snapshot(3, 2, 1, 2, 3), 3),  # the log has its end: that it is committed is all the news
    ],
)
def test_a_snapshot_that_tells_nothing_new_leaves_the_log_alone(
    received: Snapshot, index: int
) -> None:
    host = lone(2, 2, 2)
    host.step(M.TYPE_HEARTBEAT, 2, 3, commit=2)
    answer = installed(host, received)
    assert (answer.index, answer.reject) == (index, False)
    assert host.log == [(2, 2), (3, 2), (4, 2)]
    assert host.raw.committed == index


def test_a_snapshot_of_another_history_replaces_a_tail_that_was_never_committed() -> None:
    host = lone(2, 2, 2)
    installed(host, snapshot(3, 3, 1, 2, 3))
    assert (host.log, host.raw.committed) == ([], 3)
    host.step(M.TYPE_APPEND, 2, 3, index=3, log_term=3, entries=entries(4, 3))
    assert host.log == [(4, 3)]


def test_a_snapshot_is_installed_before_entries_that_follow_it() -> None:
    host = lone()
    host.step(M.TYPE_HEARTBEAT, 2, 3)
    append = {"index": 9, "log_term": 3, "commit": 10, "entries": entries(10, 3)}
    host.raw.step(message(M.TYPE_SNAPSHOT, 2, 1, 3, snapshot=snapshot(9, 3, 1, 2, 3)))
    host.raw.step(message(M.TYPE_APPEND, 2, 1, 3, **append))
    ready = host.raw.ready()
    assert ready.snapshot is not None
    assert (ready.must_sync, [each.index for each in ready.entries]) == (True, [10])
    assert ready.committed_entries == []
    assert ready.early == []
    host.persist(ready)
    host.finish(ready)
    host.work()
    assert [each.index for each in host.applied] == [10]


def test_nobody_campaigns_with_a_snapshot_to_install() -> None:
    host = lone(pre_vote=False)
    host.raw.step(message(M.TYPE_SNAPSHOT, 2, 1, 3, snapshot=snapshot(9, 3, 1, 2, 3)))
    for _ in range(30):
        host.raw.tick()
    host.raw.campaign()
    assert host.raw.term == 3
    host.work()
    host.raw.campaign()
    assert host.raw.term == 4


def test_entries_are_kept_for_slow_followers_and_sent_without_a_snapshot() -> None:
    host = lone_leader(2, 2, 2)
    host.step(M.TYPE_APPEND_RESPONSE, 2, 3, index=5)
    host.storage.create_snapshot(5, host.raw.status().config.conf_state())
    host.storage.compact(3)
    refused = {"index": 4, "reject": True, "reject_hint": 3, "log_term": 2}
    said = host.step(M.TYPE_APPEND_RESPONSE, 3, 3, **refused)
    assert [(each.type, each.index) for each in said if each.to == 3] == [(M.TYPE_APPEND, 3)]


def test_a_restart_begins_at_the_snapshot() -> None:
    members = behind()
    members.propose(b"d")
    members.restart(1, 2)
    assert members[2].raw.applied == 5
    members.elect(2)
    assert members[2].commands == [b"d"]
    assert members[2].raw.status().config.conf_state().voters == [1, 2, 3]
