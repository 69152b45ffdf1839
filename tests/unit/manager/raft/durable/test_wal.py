"""What a log takes, gives back and refuses, without crashes."""

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from api.v1.raft_pb2 import ConfState, Entry, HardState, SnapshotMetadata
from manager.raft.durable import wal as wal_module
from manager.raft.durable.keyring import FileKeys, Keys
from manager.raft.durable.wal import Recovered, Wal
from tests.support.log_model import state_of
from tests.support.sim_disk import Lost, PowerCut, SimDisk


@pytest.fixture(params=["sealed", "clear"])
def keys(request: pytest.FixtureRequest, tmp_path: Path) -> Keys | None:
    return FileKeys(tmp_path / "dek") if request.param == "sealed" else None


@pytest.fixture
def disk() -> SimDisk:
    return SimDisk()


def open_wal(
    disk: SimDisk, keys: Keys | None = None, *, cluster: str = "c", node: str = "n", size: int = 800
) -> tuple[Wal, Recovered]:
    return Wal.open(disk, cluster_id=cluster, node_id=node, keys=keys, segment_bytes=size)


def entries(first: int, count: int, term: int = 1, size: int = 5) -> list[Entry]:
    return [
        Entry(term=term, index=index, data=b"%05d" % index * (size // 5))
        for index in range(first, first + count)
    ]


def rows(*lists: list[Entry]) -> list[tuple[int, int, bytes]]:
    return [(entry.index, entry.term, entry.data) for each in lists for entry in each]


def segments(disk: SimDisk) -> list[int]:
    return [int(name.removesuffix(".wal")) for name in disk.list()]


def test_a_new_log_is_empty(disk: SimDisk, keys: Keys | None) -> None:
    _, recovered = open_wal(disk, keys)
    assert recovered == Recovered(HardState(), None, [])


def test_everything_comes_back(disk: SimDisk, keys: Keys | None) -> None:
    wal, _ = open_wal(disk, keys)
    change = Entry(term=2, index=4, type=Entry.TYPE_CONF_CHANGE, data=b"x")
    wal.save(HardState(term=1, vote=7), entries(1, 3), sync=True)
    wal.save(HardState(term=2, vote=9, commit=3), [change], sync=True)
    mark = SnapshotMetadata(index=2, term=1, conf=ConfState(voters=[7, 9], learners=[8]))
    wal.mark_snapshot(mark)
    wal.close()
    _, recovered = open_wal(disk, keys)
    assert recovered == Recovered(
        HardState(term=2, vote=9, commit=3), mark, [*entries(3, 1), change]
    )


def test_an_unsynced_save_needs_no_sync_and_close_syncs_it(disk: SimDisk) -> None:
    wal, _ = open_wal(disk)
    wal.save(HardState(term=1), entries(1, 2), sync=True)
    disk.log.clear()
    wal.save(HardState(term=1, commit=2), [], sync=False)
    assert disk.log == ["append 0000000000000001.wal"]
    wal.close()
    assert disk.log[1:] == ["fdatasync 0000000000000001.wal"]


def test_a_save_is_one_write_and_one_sync(disk: SimDisk, keys: Keys | None) -> None:
    wal, _ = open_wal(disk, keys, size=1 << 20)
    disk.log.clear()
    wal.save(HardState(term=1, vote=1), entries(1, 256), sync=True)
    name = "0000000000000001.wal"
    assert disk.log == [f"append {name}", f"fdatasync {name}"]
    assert state_of(open_wal(disk, keys)[1])[2] == rows(entries(1, 256))


def test_an_empty_synced_save_syncs_what_came_before(disk: SimDisk) -> None:
    wal, _ = open_wal(disk)
    wal.save(None, entries(1, 2), sync=False)
    wal.save(None, [], sync=True)
    disk.log.clear()
    wal.save(None, [], sync=True)
    assert disk.log == []
    _, recovered = open_wal(disk.after_power_cut(Lost()))
    assert state_of(recovered)[2] == rows(entries(1, 2))


def test_a_conflict_is_overwritten_by_a_later_record(disk: SimDisk, keys: Keys | None) -> None:
    wal, _ = open_wal(disk, keys)
    wal.save(HardState(term=1, commit=2), entries(1, 6), sync=True)
    size = len(disk.read("0000000000000001.wal"))
    wal.save(HardState(term=3, commit=2), entries(3, 2, term=3), sync=True)
    assert len(disk.read("0000000000000001.wal")) > size
    assert not [step for step in disk.log if step.startswith("truncate")]
    _, recovered = open_wal(disk, keys)
    assert state_of(recovered)[2] == rows(entries(1, 2), entries(3, 2, term=3))


def test_each_start_opens_a_segment_unless_the_last_is_unused(
    disk: SimDisk, keys: Keys | None
) -> None:
    for index in (1, 2, 3):
        wal, _ = open_wal(disk, keys)
        wal.save(None, entries(index, 1), sync=True)
    assert segments(disk) == [1, 2, 3]
    for _ in range(3):
        open_wal(disk, keys)
    assert segments(disk) == [1, 2, 3, 4]
    assert state_of(open_wal(disk, keys)[1])[2] == rows(entries(1, 3))


def test_segments_roll_by_size(disk: SimDisk, keys: Keys | None) -> None:
    wal, _ = open_wal(disk, keys)
    for index in range(1, 21):
        wal.save(HardState(term=1, commit=index), entries(index, 1, size=200), sync=True)
    assert len(segments(disk)) > 4
    assert all(len(disk.read(name)) <= 800 for name in disk.list())
    wal.save(None, entries(21, 1, size=5000), sync=True)
    wal.save(None, entries(22, 1), sync=True)
    _, recovered = open_wal(disk, keys)
    expected = rows(entries(1, 20, size=200), entries(21, 1, size=5000), entries(22, 1))
    assert state_of(recovered)[2] == expected


def test_compaction_drops_whole_segments_and_nothing_else(disk: SimDisk, keys: Keys | None) -> None:
    wal, _ = open_wal(disk, keys)
    for index in range(1, 21):
        wal.save(HardState(term=1, vote=3, commit=index), entries(index, 1, size=200), sync=True)
    before = segments(disk)
    wal.mark_snapshot(SnapshotMetadata(index=15, term=1))
    wal.compact(0)
    assert segments(disk) == before
    wal.compact(15)
    assert before[0] < segments(disk)[0] < before[-1]
    assert state_of(open_wal(disk.copy(), keys)[1]) == (
        (1, 3, 20),
        (15, 1),
        rows(entries(16, 5, size=200)),
    )
    wal.mark_snapshot(SnapshotMetadata(index=20, term=1))
    wal.compact(20)
    assert len(segments(disk)) <= 2
    assert state_of(open_wal(disk, keys)[1]) == ((1, 3, 20), (20, 1), [])


def test_compaction_behind_an_overwritten_tail(disk: SimDisk) -> None:
    wal, _ = open_wal(disk)
    wal.save(HardState(term=1, commit=2), entries(1, 6), sync=True)
    wal.roll()
    wal.save(HardState(term=2, commit=2), entries(4, 4, term=2), sync=True)
    wal.mark_snapshot(SnapshotMetadata(index=6, term=2))
    wal.compact(6)
    assert segments(disk) == [2]
    expected = ((2, 0, 6), (6, 2), rows(entries(7, 1, term=2)))
    assert state_of(open_wal(disk)[1]) == expected


def test_compaction_beyond_the_snapshot_is_refused(disk: SimDisk) -> None:
    wal, _ = open_wal(disk)
    wal.save(HardState(term=1, commit=4), entries(1, 4), sync=True)
    with pytest.raises(SwarmError, match="no snapshot covers the entries up to 1"):
        wal.compact(1)
    wal.mark_snapshot(SnapshotMetadata(index=2, term=1))
    with pytest.raises(SwarmError, match="no snapshot covers the entries up to 3"):
        wal.compact(3)


def test_a_received_snapshot_starts_the_log_anew(disk: SimDisk, keys: Keys | None) -> None:
    wal, _ = open_wal(disk, keys)
    wal.save(HardState(term=1, vote=1, commit=2), entries(1, 4), sync=True)
    wal.mark_snapshot(SnapshotMetadata(index=100, term=5))
    assert state_of(open_wal(disk, keys)[1]) == ((5, 0, 100), (100, 5), [])
    wal, _ = open_wal(disk, keys)
    wal.save(HardState(term=5, commit=100), entries(101, 2, term=5), sync=True)
    assert state_of(open_wal(disk, keys)[1])[2] == rows(entries(101, 2, term=5))


def test_a_received_snapshot_is_replayed_without_the_entries_it_contradicted(
    disk: SimDisk, keys: Keys | None
) -> None:
    """Segment 2 begins behind the mark; that the log started anew there is not to be seen in it."""
    wal, _ = open_wal(disk, keys)
    wal.save(HardState(term=1, commit=2), entries(1, 9), sync=True)
    wal.roll()
    wal.save(None, entries(10, 5), sync=True)
    wal.mark_snapshot(SnapshotMetadata(index=8, term=5))
    wal.roll()
    wal.save(HardState(term=5, commit=12), entries(9, 4, term=5), sync=True)
    wal.mark_snapshot(SnapshotMetadata(index=10, term=5))
    wal.compact(10)
    assert segments(disk) == [2, 3]
    expected = ((5, 0, 12), (10, 5), rows(entries(11, 2, term=5)))
    assert state_of(open_wal(disk, keys)[1]) == expected


def test_a_new_key_seals_the_next_segment(disk: SimDisk, tmp_path: Path) -> None:
    keys = FileKeys(tmp_path / "dek")
    wal, _ = open_wal(disk, keys)
    wal.save(None, entries(1, 1), sync=True)
    keys.rotate()
    wal.roll()
    wal.save(None, entries(2, 1), sync=True)
    assert state_of(open_wal(disk, FileKeys(tmp_path / "dek"))[1])[2] == rows(entries(1, 2))
    newest = tmp_path / "newest"
    newest.write_text("swarm-keys 1 clear 0\n" + (tmp_path / "dek").read_text().split()[-1])
    newest.chmod(0o600)
    with pytest.raises(SwarmError, match=r"^0000000000000001.wal cannot be unsealed: it is sealed"):
        open_wal(disk, FileKeys(newest))


def test_nothing_readable_is_on_the_disk_when_sealed(disk: SimDisk, tmp_path: Path) -> None:
    wal, _ = open_wal(disk, FileKeys(tmp_path / "dek"))
    wal.save(None, [Entry(term=1, index=1, data=b"a secret")], sync=True)
    assert b"a secret" not in disk.read("0000000000000001.wal")


@pytest.mark.parametrize("operation", ["append", "fdatasync"])
def test_after_a_failed_write_nothing_goes_any_more(
    disk: SimDisk, keys: Keys | None, operation: str
) -> None:
    wal, _ = open_wal(disk, keys)
    wal.save(HardState(term=1, commit=1), entries(1, 1), sync=True)
    wal.mark_snapshot(SnapshotMetadata(index=1, term=1))
    disk.fail_next(operation, errno.ENOSPC)
    with pytest.raises(OSError, match="No space left"):
        wal.save(None, entries(2, 1), sync=True)
    disk.log.clear()
    calls: list[Callable[[], None]] = [
        lambda: wal.save(None, entries(2, 1), sync=True),
        lambda: wal.save(None, [], sync=True),
        lambda: wal.mark_snapshot(SnapshotMetadata(index=1, term=1)),
        lambda: wal.compact(1),
        wal.roll,
    ]
    for call in calls:
        with pytest.raises(SwarmError, match="takes no more writes: an earlier write failed"):
            call()
    wal.close()
    assert disk.log == []
    for left in (disk.after_power_cut(Lost()), disk.after_kill()):
        assert state_of(open_wal(left, keys)[1])[:2] == ((1, 0, 1), (1, 1))


@pytest.mark.parametrize("operation", ["create", "append", "fdatasync", "rename", "fsync_dir"])
def test_a_log_that_cannot_be_opened_says_so(operation: str) -> None:
    disk = SimDisk()
    wal, _ = open_wal(disk)
    wal.save(HardState(term=1, commit=1), entries(1, 1), sync=True)
    wal.close()
    disk.fail_next(operation, errno.ENOSPC)
    with pytest.raises(SwarmError, match=r"cannot be opened: .*No space left.*free space") as error:
        open_wal(disk)
    assert error.value.code == Code.UNAVAILABLE
    assert state_of(open_wal(disk.after_kill())[1])[2] == rows(entries(1, 1))


@pytest.mark.parametrize("operation", ["create", "rename", "fsync_dir", "remove"])
def test_a_failed_roll_or_compaction_ends_the_log_too(disk: SimDisk, operation: str) -> None:
    wal, _ = open_wal(disk)
    wal.save(HardState(term=1, commit=1), entries(1, 1), sync=True)
    wal.mark_snapshot(SnapshotMetadata(index=1, term=1))
    if operation == "remove":
        wal.roll()
    disk.fail_next(operation)
    with pytest.raises(OSError, match="Input/output error"):
        wal.compact(1) if operation == "remove" else wal.roll()
    with pytest.raises(SwarmError, match="takes no more writes"):
        wal.save(None, [], sync=False)
    assert state_of(open_wal(disk.after_kill())[1]) == ((1, 0, 1), (1, 1), [])


def test_an_interrupted_write_ends_the_log_too(disk: SimDisk) -> None:
    wal, _ = open_wal(disk)
    disk.cut_at = disk.operations + 1
    with pytest.raises(PowerCut):
        wal.save(None, entries(1, 1), sync=True)
    disk.cut_at = None
    with pytest.raises(SwarmError, match="an earlier write was interrupted"):
        wal.save(None, entries(1, 1), sync=True)


def test_a_closed_log_takes_nothing(disk: SimDisk) -> None:
    wal, _ = open_wal(disk)
    wal.close()
    with pytest.raises(SwarmError, match="it is closed"):
        wal.save(HardState(term=1), [], sync=True)
    wal.close()


def test_what_raft_forbids_is_refused_and_changes_nothing(disk: SimDisk) -> None:
    wal, _ = open_wal(disk)
    wal.save(HardState(term=2, vote=1, commit=3), entries(1, 5, term=2), sync=True)
    disk.log.clear()
    with pytest.raises(SwarmError, match="entry 3 would overwrite, up to 3 all is committed"):
        wal.save(None, entries(3, 1, term=2), sync=True)
    with pytest.raises(SwarmError, match="vote for 2 after one for 1 in term 2"):
        wal.save(HardState(term=2, vote=2, commit=3), [], sync=True)
    assert disk.log == []
    wal.save(HardState(term=3, vote=2, commit=3), entries(6, 1, term=3), sync=True)
    assert len(state_of(open_wal(disk)[1])[2]) == 6


def test_an_oversized_save_is_refused(disk: SimDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wal_module, "MAX_RECORD_BYTES", 1000)
    wal, _ = open_wal(disk)
    with pytest.raises(SwarmError, match=r"over the limit of 1000.* Save fewer entries"):
        wal.save(None, entries(1, 300), sync=True)
    wal.save(None, entries(1, 1), sync=True)


def test_the_recovered_state_is_the_callers_own(disk: SimDisk) -> None:
    wal, recovered = open_wal(disk)
    recovered.hard_state.term = 9
    wal.save(HardState(term=1), [], sync=True)
