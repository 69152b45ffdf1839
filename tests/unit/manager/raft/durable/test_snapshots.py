"""Snapshot files: whole or absent after a crash, refused when damaged, foreign or missing."""

import errno
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from api.v1.raft_pb2 import ConfState, Snapshot, SnapshotMetadata
from manager.raft.durable import snapshots as snapshots_module
from manager.raft.durable.keyring import FileKeys, Keys
from manager.raft.durable.snapshots import SnapshotStore, file_name
from tests.support.sim_disk import FATES, Fate, PowerCut, SimDisk

CHUNK = 64


@pytest.fixture(params=["sealed", "clear"])
def keys(request: pytest.FixtureRequest, tmp_path: Path) -> Keys | None:
    return FileKeys(tmp_path / "dek") if request.param == "sealed" else None


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots_module, "CHUNK_BYTES", CHUNK)


@pytest.fixture
def disk() -> SimDisk:
    return SimDisk()


def store(
    disk: SimDisk, keys: Keys | None, *, node: str = "n", cluster: str = "c"
) -> SnapshotStore:
    return SnapshotStore(disk, cluster_id=cluster, node_id=node, keys=keys)


def made(index: int, size: int = 150, term: int = 3) -> Snapshot:
    conf = ConfState(voters=[1, 2, 3])
    data = bytes((index + at) % 256 for at in range(size))
    return Snapshot(metadata=SnapshotMetadata(index=index, term=term, conf=conf), data=data)


@pytest.mark.parametrize("size", [0, 1, CHUNK, CHUNK + 1, 10 * CHUNK])
def test_a_snapshot_comes_back(disk: SimDisk, keys: Keys | None, size: int) -> None:
    assert store(disk, keys).load_latest() is None
    store(disk, keys).save(made(7, size))
    assert store(disk, keys).load_latest() == made(7, size)
    assert store(disk, keys).restore(made(7).metadata) == made(7, size)


def test_the_newest_is_loaded_and_the_others_pruned(disk: SimDisk, keys: Keys | None) -> None:
    snapshots = store(disk, keys)
    for index in (5, 90, 1000):
        snapshots.save(made(index))
    assert snapshots.load_latest() == made(1000)
    snapshots.prune(keep=2)
    assert disk.list() == [file_name(90), file_name(1000)]
    snapshots.prune(keep=1)
    assert disk.list() == [file_name(1000)]
    with pytest.raises(ValueError, match="newest"):
        snapshots.prune(keep=0)


def test_the_same_snapshot_can_be_saved_again(disk: SimDisk, keys: Keys | None) -> None:
    store(disk, keys).save(made(5))
    store(disk, keys).save(made(5))
    assert store(disk, keys).load_latest() == made(5)


def test_restore_takes_the_marked_one_and_removes_newer_ones(
    disk: SimDisk, keys: Keys | None
) -> None:
    for index in (5, 6, 7):
        store(disk, keys).save(made(index))
    assert store(disk, keys).restore(made(6).metadata) == made(6)
    assert disk.list() == [file_name(5), file_name(6)]
    assert store(disk, keys).restore(None) is None
    assert disk.list() == []


def test_restore_refuses_what_the_log_did_not_mark(disk: SimDisk, keys: Keys | None) -> None:
    store(disk, keys).save(made(5))
    with pytest.raises(
        SwarmError, match=f"{file_name(6)} is missing: the log goes on from"
    ) as error:
        store(disk, keys).restore(made(6).metadata)
    assert error.value.code == Code.INTERNAL
    with pytest.raises(SwarmError, match="it is of term 3, the log's mark of 4"):
        store(disk, keys).restore(made(5, term=4).metadata)
    assert disk.list() == [file_name(5)]


@pytest.mark.parametrize("fate", FATES, ids=lambda fate: type(fate).__name__)
def test_a_power_cut_leaves_the_old_or_the_new_one(fate: Fate, keys: Keys | None) -> None:
    def work(disk: SimDisk, acknowledged: list[Snapshot]) -> None:
        snapshots = store(disk, keys)
        for index in (1, 2, 3):
            snapshots.save(made(index))
            acknowledged.append(made(index))
            snapshots.prune(keep=1)

    whole = SimDisk()
    work(whole, [])
    for cut_at in range(whole.operations):
        disk = SimDisk(cut_at=cut_at)
        acknowledged: list[Snapshot] = []
        with pytest.raises(PowerCut):
            work(disk, acknowledged)
        left = disk.after_power_cut(fate)
        found = store(left, keys).load_latest()
        last = len(acknowledged)
        assert found in ([made(last), made(last + 1)] if last else [None, made(1)])
        store(left, keys).save(made(9))
        store(left, keys).prune(keep=1)
        assert left.list() == [file_name(9)]


@pytest.mark.parametrize("operation", ["create", "append", "fdatasync", "rename", "fsync_dir"])
def test_a_failed_save_leaves_the_old_one_and_can_be_done_anew(
    disk: SimDisk, keys: Keys | None, operation: str
) -> None:
    snapshots = store(disk, keys)
    snapshots.save(made(1))
    disk.fail_next(operation, errno.ENOSPC)
    with pytest.raises(OSError, match="No space left"):
        snapshots.save(made(2))
    assert snapshots.restore(made(1).metadata) == made(1)
    snapshots.save(made(2))
    assert snapshots.load_latest() == made(2)


def test_any_flipped_bit_is_refused(disk: SimDisk, keys: Keys | None) -> None:
    store(disk, keys).save(made(5))
    name = file_name(5)
    data = disk.read(name)
    for at in range(len(data)):
        disk.alter(name, data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :])
        with pytest.raises(SwarmError, match=name):
            store(disk, keys).load_latest()


def test_any_cut_or_addition_is_refused(disk: SimDisk, keys: Keys | None) -> None:
    store(disk, keys).save(made(5))
    name = file_name(5)
    data = disk.read(name)
    for changed in (*(data[:length] for length in range(len(data))), data + b"\0" * 8, data + b"x"):
        disk.alter(name, changed)
        with pytest.raises(SwarmError, match=f"{name} is damaged at byte"):
            store(disk, keys).load_latest()


def test_sealed_chunks_cannot_change_places(disk: SimDisk, tmp_path: Path) -> None:
    keys = FileKeys(tmp_path / "dek")
    store(disk, keys).save(made(5, 3 * CHUNK))
    name, chunk = file_name(5), CHUNK + 16 + 8
    data = disk.read(name)
    head, chunks = data[: -3 * chunk], data[-3 * chunk :]
    disk.alter(name, head + chunks[chunk : 2 * chunk] + chunks[:chunk] + chunks[2 * chunk :])
    with pytest.raises(SwarmError, match=f"byte {len(head)}: chunk 0 was altered"):
        store(disk, keys).load_latest()


@pytest.mark.parametrize(
    ("owner", "why"),
    [
        ({"node": "m"}, "another node: it was written by node n, this is m"),
        ({"cluster": "d"}, "another cluster: it was written by cluster c, this is d"),
    ],
)
def test_what_belongs_elsewhere_is_refused(
    disk: SimDisk, keys: Keys | None, owner: dict[str, str], why: str
) -> None:
    store(disk, keys).save(made(5))
    with pytest.raises(SwarmError, match=why):
        store(disk, keys, **owner).load_latest()


def test_a_snapshot_under_anothers_name_is_refused(disk: SimDisk, keys: Keys | None) -> None:
    store(disk, keys).save(made(5))
    disk.alter(file_name(6), disk.read(file_name(5)))
    with pytest.raises(SwarmError, match="it is snapshot 5 under another's name"):
        store(disk, keys).load_latest()


def test_the_wrong_key_is_refused(disk: SimDisk, tmp_path: Path) -> None:
    store(disk, FileKeys(tmp_path / "right")).save(made(5))
    with pytest.raises(SwarmError, match="is sealed under key"):
        store(disk, FileKeys(tmp_path / "wrong")).load_latest()
    with pytest.raises(SwarmError, match="there are no keys"):
        store(disk, None).load_latest()


def test_only_whole_names_of_snapshots_count(disk: SimDisk, keys: Keys | None) -> None:
    for name in ("0000000000000001.wal", "5.snap", file_name(9) + ".bak"):
        disk.alter(name, b"x")
    store(disk, keys).save(made(5))
    store(disk, keys).prune(keep=1)
    assert store(disk, keys).load_latest() == made(5)
    assert len(disk.list()) == 4
