"""Log replication (Ongaro and Ousterhout, 5.3): consistency check, repair, and what commits."""

import pytest

from api.v1.raft_pb2 import Entry, RaftMessage
from tests.support.raft_entries import entries, rows
from tests.support.raft_group import group, lone, lone_leader, message

M = RaftMessage


def test_a_leader_appends_and_sends_what_is_proposed() -> None:
    host = lone_leader()
    for member in (2, 3):
        host.step(M.TYPE_APPEND_RESPONSE, member, 2, index=2)
    assert host.raw.propose(b"x", b"y") == 3
    said = [each for each in host.work() if each.type == M.TYPE_APPEND]
    for member in (2, 3):
        [append] = [each for each in said if each.to == member]
        assert (append.index, append.log_term, append.commit) == (2, 2, 2)
        assert [(each.index, each.term, each.data) for each in append.entries] == [
            (3, 2, b"x"),
            (4, 2, b"y"),
        ]
    assert host.log == [(2, 2), (3, 2), (4, 2)]


@pytest.mark.parametrize(
    ("voters", "acks", "committed"),
    [
        ((1,), (), True),
        ((1, 2), (), False),
        ((1, 2), (2,), True),
        ((1, 2, 3), (), False),
        ((1, 2, 3), (3,), True),
        ((1, 2, 3, 4), (3,), False),
        ((1, 2, 3, 4), (3, 4), True),
        ((1, 2, 3, 4, 5), (3,), False),
        ((1, 2, 3, 4, 5), (3, 5), True),
    ],
)
def test_an_entry_commits_once_a_majority_has_it(
    voters: tuple[int, ...], acks: tuple[int, ...], committed: bool
) -> None:
    host = lone_leader(voters=voters)
    for member in voters[1:]:
        host.step(M.TYPE_APPEND_RESPONSE, member, 2, index=2)
    host.raw.propose(b"x")
    host.work()
    for member in acks:
        host.step(M.TYPE_APPEND_RESPONSE, member, 2, index=3)
    assert (host.raw.committed == 3) is committed
    assert host.commands == ([b"x"] if committed else [])


def test_what_commits_takes_earlier_entries_of_other_leaders_along() -> None:
    host = lone_leader(2, 3, 3)
    assert host.raw.committed == 1
    host.step(M.TYPE_APPEND_RESPONSE, 2, 4, index=5)
    assert host.raw.committed == 5
    assert rows(host.applied) == [(2, 2), (3, 3), (4, 3), (5, 4)]


def test_followers_learn_the_commit_index_and_apply_in_order() -> None:
    members = group(1, 2, 3)
    members.elect(1)
    for data in (b"a", b"b", b"c"):
        members.propose(data)
    for host in members.hosts.values():
        assert host.commands == [b"a", b"b", b"c"]
        assert [each.index for each in host.applied] == [2, 3, 4, 5]


@pytest.mark.parametrize(("commit", "applied"), [(1, 0), (2, 1), (3, 2), (9, 2)])
def test_a_follower_commits_no_further_than_what_it_was_sent(commit: int, applied: int) -> None:
    host = lone()
    host.step(
        M.TYPE_APPEND, 2, 2, index=1, log_term=1, commit=commit, entries=entries(2, 2, 2, data=b"x")
    )
    assert host.commands == [b"x"] * applied


@pytest.mark.parametrize(
    ("index", "term", "refused", "hint"),
    [
        (1, 1, False, (0, 0)),
        (2, 2, False, (0, 0)),
        (3, 3, False, (0, 0)),
        (3, 2, True, (2, 2)),  # there, of another term
        (3, 1, True, (1, 1)),
        (5, 5, True, (3, 3)),  # not there: as far as the log goes
        (5, 2, True, (2, 2)),
    ],
)
def test_a_follower_checks_what_the_entries_follow(
    index: int, term: int, refused: bool, hint: tuple[int, int]
) -> None:
    host = lone(2, 3)
    [answer] = host.step(M.TYPE_APPEND, 2, 6, index=index, log_term=term)
    assert (answer.type, answer.reject, answer.index) == (M.TYPE_APPEND_RESPONSE, refused, index)
    assert (answer.reject_hint, answer.log_term) == hint
    assert host.log == [(2, 2), (3, 3)]


@pytest.mark.parametrize(
    ("prev", "terms", "after"),
    [
        ((3, 3), (4,), [(2, 2), (3, 3), (4, 4)]),
        ((2, 2), (3, 4), [(2, 2), (3, 3), (4, 4)]),
        ((2, 2), (4,), [(2, 2), (3, 4)]),
        ((1, 1), (4,), [(2, 4)]),
        ((1, 1), (2,), [(2, 2), (3, 3)]),  # a late append cuts off nothing
        ((1, 1), (), [(2, 2), (3, 3)]),
    ],
)
def test_only_a_conflict_removes_entries(
    prev: tuple[int, int], terms: tuple[int, ...], after: list[tuple[int, int]]
) -> None:
    host = lone(2, 3)
    [answer] = host.step(
        M.TYPE_APPEND, 2, 4, index=prev[0], log_term=prev[1], entries=entries(prev[0] + 1, *terms)
    )
    assert (answer.reject, answer.index) == (False, prev[0] + len(terms))
    assert host.log == after


def test_an_append_is_persisted_before_it_is_answered() -> None:
    host = lone()
    host.step(M.TYPE_HEARTBEAT, 2, 2)
    append = message(M.TYPE_APPEND, 2, 1, 2, index=1, log_term=1, entries=entries(2, 2))
    host.raw.step(append)
    ready = host.raw.ready()
    assert (rows(ready.entries), ready.must_sync, ready.early) == ([(2, 2)], True, [])
    assert [each.type for each in ready.late] == [M.TYPE_APPEND_RESPONSE]


FIGURE_7 = {
    "a": (1, 1, 4, 4, 5, 5, 6, 6),
    "b": (1, 1, 4),
    "c": (1, 1, 4, 4, 5, 5, 6, 6, 6, 6),
    "d": (1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7),
    "e": (1, 1, 4, 4, 4, 4),
    "f": (1, 1, 2, 2, 2, 3, 3, 3, 3, 3),
}
"""Terms of the followers' entries from index 2 on; entry 1, of term 1, is everybody's snapshot."""


@pytest.mark.parametrize("name", FIGURE_7)
def test_a_leader_brings_any_log_of_figure_7_in_line(name: str) -> None:
    leader = (1, 1, 4, 4, 5, 5, 6, 6, 6)
    logs = {1: leader, 2: FIGURE_7[name], 3: leader}
    members = group(1, 2, 3, logs=logs, term=7, pre_vote=False)
    members.elect(1)
    assert members[1].raw.term == 8
    expected = list(enumerate((*leader, 8), start=2))
    assert members[2].log == members[1].log == expected
    assert members[2].raw.committed == 11


def test_a_long_divergence_is_skipped_by_terms() -> None:
    ours, theirs = (1, *[3] * 200), (1, *[2] * 200)
    members = group(1, 2, 3, logs={1: ours, 2: theirs, 3: ours})
    members.elect(1)
    assert members[2].log == members[1].log
    assert len([each for each in members.said(M.TYPE_APPEND_RESPONSE) if each.reject]) <= 2


def test_lost_and_late_appends_are_repaired() -> None:
    members = group(1, 2, 3)
    members.elect(1)
    members.cut(1, 2)
    for data in (b"a", b"b", b"c"):
        members.propose(data)
    members.heal()
    assert members[2].commands == []
    members.propose(b"d")
    members.tick(4)
    assert members[2].commands == [b"a", b"b", b"c", b"d"]


def test_a_duplicate_append_changes_nothing() -> None:
    host = lone()
    fields = {"index": 1, "log_term": 1, "commit": 2}
    host.step(M.TYPE_APPEND, 2, 2, entries=entries(2, 2, 2), **fields)
    [answer] = host.step(M.TYPE_APPEND, 2, 2, entries=entries(2, 2), **fields)
    assert (answer.reject, answer.index) == (False, 2)
    assert (host.log, len(host.applied)) == ([(2, 2), (3, 2)], 1)


def test_what_is_below_the_commit_index_is_answered_and_left_alone() -> None:
    host = lone()
    host.step(M.TYPE_APPEND, 2, 2, index=1, log_term=1, commit=3, entries=entries(2, 2, 2))
    [answer] = host.step(M.TYPE_APPEND, 2, 2, index=1, log_term=1, entries=entries(2, 9))
    assert (answer.reject, answer.index) == (False, 3)
    assert host.log == [(2, 2), (3, 2)]


def test_a_leader_never_changes_its_own_log() -> None:
    host = lone_leader(2, 2)
    before = host.log
    host.step(M.TYPE_APPEND_RESPONSE, 2, 3, index=3, reject=True, reject_hint=1, log_term=1)
    host.step(M.TYPE_APPEND, 2, 3, index=1, log_term=1, entries=entries(2, 3))
    assert host.log == before


def test_a_follower_passes_proposals_on() -> None:
    members = group(1, 2, 3)
    members.elect(1)
    assert members[2].raw.propose(b"x") is None
    members.settle()
    assert [host.commands for host in members.hosts.values()] == [[b"x"]] * 3
    assert members[1].applied[-1].type == Entry.TYPE_COMMAND
