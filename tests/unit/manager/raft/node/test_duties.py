"""What a Ready asks for: in the right order, and harmless wherever a crash comes."""

import random
from collections.abc import Callable

import pytest

from api.errors import Code, SwarmError
from api.v1.raft_pb2 import (
    ConfChange,
    ConfState,
    Entry,
    HardState,
    Member,
    MemberChange,
    RaftMessage,
    Snapshot,
    SnapshotMetadata,
)
from manager.raft.core.ready import Ready
from manager.raft.durable.snapshots import SnapshotStore
from manager.raft.durable.wal import Wal
from manager.raft.node import disk_duties
from manager.raft.node.core_options import CoreOptions
from manager.raft.node.disk_duties import KEPT_ENTRIES, needs_disk
from manager.raft.node.duties import Applied, Duties
from manager.raft.node.identity import GroupIdentity
from tests.support.sim_disk import Fate, Halved, Kept, Lost, PowerCut, SimDisk
from tests.support.word_machine import Words

ME = Member(raft_id=1, node_id="n", address="h:1")
FATES: list[Fate] = [Kept(), Lost(), Halved()]
PAGES = SnapshotMetadata(index=9, term=3, conf=ConfState(voters=[2], learners=[1]), removed=[7])


def begin(disk: SimDisk, *, bootstrap: bool = True) -> tuple[Duties, Words]:
    wal, recovered = Wal.open(disk, cluster_id="c", node_id="n", keys=None)
    machine = Words()
    duties = Duties.start(
        identity=GroupIdentity(1, 7, (ME,)),
        wal=wal,
        recovered=recovered,
        snapshots=SnapshotStore(disk, cluster_id="c", node_id="n", keys=None),
        machine=machine,
        chance=random.Random(1),
        options=CoreOptions(),
        bootstrap=bootstrap,
    )
    return duties, machine


def rounds(duties: Duties) -> list[Applied]:
    applied = []
    while duties.raw.has_ready():
        ready = duties.raw.ready()
        duties.disk.persist(ready)
        applied += duties.settle(ready)
    return applied


def leading(disk: SimDisk) -> tuple[Duties, Words]:
    duties, machine = begin(disk)
    rounds(duties)
    duties.raw.campaign()
    rounds(duties)
    assert duties.raw.is_leader
    return duties, machine


def entries(first: int, *words: bytes, term: int = 3) -> list[Entry]:
    return [Entry(index=first + at, term=term, data=word) for at, word in enumerate(words)]


def change(kind: MemberChange.Type.ValueType, raft_id: int) -> ConfChange:
    who = Member(raft_id=raft_id)
    return ConfChange(changes=[MemberChange(type=kind, member=who)])


def sent(metadata: SnapshotMetadata) -> RaftMessage:
    """A leader's snapshot."""
    snapshot = Snapshot(metadata=metadata, data=b"a b")
    message = RaftMessage(type=RaftMessage.TYPE_SNAPSHOT, to=1, term=4, snapshot=snapshot)
    setattr(message, "from", 2)
    return message


def log_of(disk: SimDisk) -> tuple[HardState, int, list[bytes]]:
    """Hard state, snapshot index and words that a restart finds."""
    _, recovered = Wal.open(disk, cluster_id="c", node_id="n", keys=None)
    mark = recovered.snapshot.index if recovered.snapshot is not None else 0
    return recovered.hard_state, mark, [entry.data for entry in recovered.entries]


def cuts(prepare: Callable[[], SimDisk], work: Callable[[SimDisk], object]) -> list[SimDisk]:
    """The disks that a power cut at each operation of `work` leaves, and the one after it."""
    disk = prepare()
    before = disk.operations
    work(disk)
    left = []
    for fate in FATES:
        for cut in range(before, disk.operations):
            again = prepare()
            again.cut_at = cut
            with pytest.raises(PowerCut):
                work(again)
            left.append(again.after_power_cut(fate))
    return left


def test_a_new_group_is_durable_before_anything_else() -> None:
    disk = SimDisk()
    begin(disk)
    duties, _ = begin(disk.after_power_cut(Lost()), bootstrap=False)
    assert (duties.applied, duties.snapshot_index) == (1, 1)
    assert dict(duties.membership.members) == {1: ME}
    assert duties.raw.status().config.conf_state() == ConfState(voters=[1])


def test_a_crash_while_the_group_is_made_only_delays_it() -> None:
    for disk in cuts(SimDisk, begin):
        duties, machine = leading(disk)
        duties.raw.propose(b"one")
        rounds(duties)
        assert machine.told == [b"one"]


def test_a_joiner_is_in_nobodys_configuration() -> None:
    duties, _ = begin(SimDisk(), bootstrap=False)
    assert (duties.applied, duties.raw.term, dict(duties.membership.members)) == (0, 0, {})
    assert duties.raw.status().config.conf_state() == ConfState()
    duties.raw.campaign()
    assert rounds(duties) == []


def test_a_restart_applies_again_what_was_committed() -> None:
    disk = SimDisk()
    duties, _ = leading(disk)
    duties.raw.propose(b"one", b"two")
    rounds(duties)
    duties.disk.flush()
    again, machine = begin(disk.after_kill())
    assert machine.told == []
    assert [each.entry.data for each in rounds(again) if each.entry.data] == [b"one", b"two"]
    assert (machine.told, again.applied) == ([b"one", b"two"], duties.applied)


def test_the_proposers_object_is_handed_to_the_machine() -> None:
    duties, machine = leading(SimDisk())
    index = duties.raw.propose(b"one", b"two")
    while duties.raw.has_ready():
        ready = duties.raw.ready()
        duties.disk.persist(ready)
        duties.settle(ready, lambda entry: "near" if entry.index == index else None)
    assert machine.locals == ["near", None]


def test_a_commit_index_alone_is_written_with_what_comes_next() -> None:
    disk = SimDisk()
    duties, _ = leading(disk)
    known = duties.raw.committed
    duties.raw.propose(b"one")
    writing = duties.raw.ready()
    duties.disk.persist(writing)
    duties.settle(writing)
    commit = duties.raw.ready()
    operations = disk.operations
    assert (needs_disk(commit), commit.hard_state is None) == (False, False)
    duties.disk.persist(commit)
    duties.settle(commit)
    assert disk.operations == operations
    assert log_of(disk.copy())[0].commit == known
    duties.disk.flush()
    assert disk.operations == operations + 1
    assert log_of(disk.copy())[0].commit == duties.raw.committed == known + 1
    duties.disk.flush()
    assert disk.operations == operations + 1


def test_a_commit_index_kept_back_is_not_lost_to_a_save_without_one() -> None:
    disk = SimDisk()
    duties, _ = leading(disk)
    duties.raw.propose(b"one")
    rounds(duties)
    committed = duties.raw.committed
    duties.disk.persist(Ready(entries=entries(committed + 1, b"two", term=2), must_sync=True))
    assert log_of(disk.after_power_cut(Lost()))[0].commit == committed


def test_a_committed_change_of_the_group_is_durable_before_it_is_applied() -> None:
    """Or a restart might wait for the vote of somebody who is gone for good."""
    disk = SimDisk()
    duties, _ = leading(disk)
    for kind in (MemberChange.TYPE_ADD_LEARNER, MemberChange.TYPE_REMOVE):
        duties.raw.propose_conf_change(change(kind, 2))
        rounds(duties)
    again, _ = begin(disk.after_power_cut(Lost()))
    rounds(again)
    assert again.membership.removed == {2}


def test_a_received_snapshot_comes_before_the_entries_behind_it() -> None:
    disk = SimDisk()
    duties, _ = begin(disk, bootstrap=False)
    before = len(disk.log)
    duties.disk.persist(received())
    steps = [each.split()[0] for each in disk.log[before:]]
    assert steps == [
        *("create", "append", "append", "fdatasync", "rename", "fsync_dir"),  # its file
        *("append", "fdatasync"),  # its mark
        *("append", "fdatasync"),  # the entries
    ]
    state = HardState(term=4, vote=2, commit=10)
    assert log_of(disk.after_power_cut(Lost())) == (state, 9, [b"ten", b"eleven"])


def test_a_received_snapshot_outdates_a_commit_index_that_was_kept_back() -> None:
    disk = SimDisk()
    duties, _ = begin(disk, bootstrap=False)
    duties.disk.persist(
        Ready(entries=entries(1, b"one"), hard_state=HardState(term=3), must_sync=True)
    )
    duties.disk.persist(Ready(hard_state=HardState(term=3, commit=1)))
    duties.disk.persist(Ready(snapshot=Snapshot(metadata=PAGES), must_sync=True))
    assert log_of(disk.after_power_cut(Lost()))[0].commit == PAGES.index


def received() -> Ready:
    return Ready(
        hard_state=HardState(term=4, vote=2, commit=10),
        entries=entries(10, b"ten", b"eleven", term=4),
        snapshot=Snapshot(metadata=PAGES, data=b"a b"),
        must_sync=True,
    )


def test_a_crash_while_a_snapshot_is_received_leaves_the_old_or_the_new() -> None:
    def prepare() -> SimDisk:
        duties, _ = begin(disk := SimDisk(), bootstrap=False)
        duties.disk.persist(
            Ready(
                hard_state=HardState(term=2, vote=3),
                entries=entries(1, b"x", b"y", term=2),
                must_sync=True,
            )
        )
        place[id(disk)] = duties
        return disk

    place: dict[int, Duties] = {}
    seen = set()
    for disk in cuts(prepare, lambda disk: place[id(disk)].disk.persist(received())):
        duties, machine = begin(disk, bootstrap=False)
        term = duties.raw.term
        seen.add((duties.applied, term))
        assert machine.told == ([b"a", b"b"] if duties.applied else [])
        assert duties.membership.removed == ({7} if duties.applied else set())
        duties.disk.persist(Ready(hard_state=HardState(term=9, vote=1, commit=duties.applied)))
    assert seen == {(0, 2), (9, 3), (9, 4)}


def test_a_snapshot_that_cannot_be_read_never_counts() -> None:
    class Old(Words):
        def prepare(self, data: bytes) -> Callable[[], None]:
            raise SwarmError(Code.UNSUPPORTED, "it is newer")

    disk = SimDisk()
    duties, _ = begin(disk, bootstrap=False)
    duties.disk._prepare = Old().prepare
    operations = disk.operations
    with pytest.raises(SwarmError, match="newer"):
        duties.disk.persist(received())
    assert disk.operations == operations


def test_a_received_snapshot_is_installed() -> None:
    duties, machine = begin(SimDisk(), bootstrap=False)
    duties.raw.step(sent(PAGES))
    rounds(duties)
    assert (machine.told, duties.applied, duties.snapshot_index) == ([b"a", b"b"], 9, 9)
    assert (sorted(duties.membership.members), set(duties.membership.removed)) == ([1, 2], {7})
    assert duties.plan_snapshot().metadata.conf == PAGES.conf


def test_no_snapshot_is_planned_once_the_core_is_ahead_of_what_is_applied() -> None:
    """The core takes up a received snapshot's configuration at once, also amid applying."""
    duties, _ = begin(SimDisk(), bootstrap=False)
    append = RaftMessage(type=RaftMessage.TYPE_APPEND, to=1, term=3, commit=2)
    setattr(append, "from", 2)
    joining = ConfChange(
        changes=[
            MemberChange(type=MemberChange.TYPE_ADD_VOTER, member=Member(raft_id=each))
            for each in (1, 2)
        ]
    )
    append.entries.extend(entries(1, b"one", joining.SerializeToString()))
    append.entries[1].type = Entry.TYPE_CONF_CHANGE
    duties.raw.step(append)
    ready = duties.raw.ready()
    duties.disk.persist(ready)
    for applied in duties.settling(ready):
        if applied.entry.index == 1:
            duties.raw.step(sent(PAGES))
    assert duties.outdated
    with pytest.raises(RuntimeError, match="about to replace"):
        duties.plan_snapshot()
    rounds(duties)
    assert not duties.outdated
    assert duties.plan_snapshot().metadata == SnapshotMetadata(
        index=9,
        term=3,
        conf=PAGES.conf,
        members=[Member(raft_id=1), Member(raft_id=2)],
        removed=[7],
    )


@pytest.mark.parametrize("limit", [1, 4, 7, 100])
def test_entries_too_many_for_one_record_are_saved_in_portions(
    monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(disk_duties, "SAVE_BYTES", limit)
    words = [b"one", b"", b"three", b"four", b"fi"]

    def prepare() -> SimDisk:
        duties, _ = begin(disk := SimDisk())
        old = entries(2, b"old", b"older", term=1)
        duties.disk.persist(
            Ready(entries=old, hard_state=HardState(term=1, vote=1, commit=1), must_sync=True)
        )
        place[id(disk)] = duties
        return disk

    def work(disk: SimDisk) -> None:
        place[id(disk)].disk.persist(
            Ready(
                hard_state=HardState(term=3, vote=2, commit=6),
                entries=entries(2, *words),
                must_sync=True,
            )
        )

    place: dict[int, Duties] = {}
    for disk in cuts(prepare, work):
        state, _, found = log_of(disk)
        assert found in ([b"old", b"older"], *(words[:count] for count in range(1, 6)))
        if found[:1] == [b"one"]:
            assert state.term == 3
    work(disk := prepare())
    assert log_of(disk.after_power_cut(Lost())) == (
        HardState(term=3, vote=2, commit=6),
        1,
        words,
    )


def test_a_member_that_was_removed_for_ever_is_refused_when_it_is_applied() -> None:
    duties, _ = leading(SimDisk())
    add, remove = (
        change(kind, 2) for kind in (MemberChange.TYPE_ADD_LEARNER, MemberChange.TYPE_REMOVE)
    )
    results = []
    for each in (add, remove, add):
        duties.raw.propose_conf_change(each)
        (applied,) = rounds(duties)
        results.append(applied.result)
    assert results[:2] == [ConfState(voters=[1], learners=[2]), ConfState(voters=[1])]
    assert isinstance(results[2], SwarmError)
    assert duties.raw.status().config.conf_state() == ConfState(voters=[1])
    assert sorted(duties.membership.members) == [1]


def test_a_change_that_the_core_does_not_admit_changes_nothing() -> None:
    disk = SimDisk()
    duties, _ = begin(disk)
    nobody = change(MemberChange.TYPE_REMOVE, 1).SerializeToString()
    entry = Entry(index=2, term=1, type=Entry.TYPE_CONF_CHANGE, data=nobody)
    duties.disk.persist(
        Ready(entries=[entry], hard_state=HardState(term=1, commit=2), must_sync=True)
    )
    again, _ = begin(disk.after_kill())
    (applied,) = rounds(again)
    assert isinstance(applied.result, SwarmError)
    assert applied.result.code is Code.REFUSED
    assert (sorted(again.membership.members), again.applied) == ([1], 2)
    again.raw.campaign()
    rounds(again)
    assert again.raw.is_leader


def test_a_snapshot_replaces_what_is_far_below_it() -> None:
    disk = SimDisk()
    duties, _ = leading(disk)
    count = KEPT_ENTRIES + 100
    duties.raw.propose(*(b"%d" % number for number in range(count)))
    rounds(duties)
    plan = duties.plan_snapshot()
    duties.raw.propose(b"after")
    rounds(duties)
    duties.disk.keep_snapshot(plan.metadata, plan.encode())
    duties.snapshot_kept(plan.metadata)
    assert plan.metadata.members[:] == [ME]
    assert duties.raw.status().first_index == plan.metadata.index - KEPT_ENTRIES + 1
    duties.disk.flush()
    again, machine = begin(disk.after_kill())
    assert (again.applied, len(machine.told)) == (plan.metadata.index, count)
    rounds(again)
    assert machine.told[-1] == b"after"


@pytest.mark.parametrize(("older", "left"), [(0, 1), (2, 3)])
def test_as_many_older_snapshots_are_kept_as_asked_for(older: int, left: int) -> None:
    disk = SimDisk()
    duties, _ = leading(disk)
    for number in range(5):
        duties.raw.propose(b"%d" % number)
        rounds(duties)
        plan = duties.plan_snapshot()
        duties.disk.keep_snapshot(plan.metadata, plan.encode(), max_snapshots=older)
        duties.snapshot_kept(plan.metadata)
    assert sum(name.endswith(".snap") for name in disk.list()) == left


def test_a_planned_snapshot_gives_way_to_a_newer_one_from_the_leader() -> None:
    disk = SimDisk()
    duties, machine = begin(disk)
    rounds(duties)
    plan = duties.plan_snapshot()
    duties.raw.step(sent(SnapshotMetadata(index=9, term=3, conf=ConfState(voters=[1, 2]))))
    rounds(duties)
    duties.disk.keep_snapshot(plan.metadata, plan.encode())
    duties.snapshot_kept(plan.metadata)
    assert (duties.snapshot_index, machine.told) == (9, [b"a", b"b"])
    assert log_of(disk.after_kill())[1] == 9
