"""The real disk: what it does to files, and the log on it under kill -9 and a full file."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from api.v1.raft_pb2 import HardState, Snapshot, SnapshotMetadata
from manager.raft.durable.disk import DirectoryDisk
from manager.raft.durable.keyring import FileKeys
from manager.raft.durable.snapshots import SnapshotStore
from manager.raft.durable.wal import Wal
from tests.support.open_files import open_files

ROOT = Path(__file__).parents[4]
WRITER = """
import resource, sys
from pathlib import Path
from api.v1.raft_pb2 import Entry, HardState
from manager.raft.durable.disk import DirectoryDisk
from manager.raft.durable.keyring import FileKeys
from manager.raft.durable.wal import Wal

folder, limit = Path(sys.argv[1]), int(sys.argv[2])
wal, _ = Wal.open(DirectoryDisk(folder / "raft"), cluster_id="c", node_id="n",
                  keys=FileKeys(folder / "dek"), segment_bytes=20_000)
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
index = 0
while True:
    index += 1
    entry = Entry(term=1, index=index, data=b"%d" % index * 100)
    wal.save(HardState(term=1, vote=1, commit=index - 1), [entry], sync=True)
    print(index, flush=True)
"""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[DirectoryDisk]:
    made = DirectoryDisk(tmp_path / "a" / "raft")
    yield made
    made.release()


def run_writer(folder: Path, *, until: int, limit: int = 0) -> tuple[int, str]:
    """Runs a writer until it has acknowledged `until` saves, kills it; last index, its stderr."""
    command = [sys.executable, "-c", WRITER, str(folder), str(limit)]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        assert writer.stderr is not None
        index = 0
        try:
            for line in writer.stdout:
                index = int(line)
                if index == until:
                    writer.send_signal(signal.SIGKILL)
            return index, writer.stderr.read()
        finally:
            writer.kill()


def recovered_indexes(folder: Path) -> list[int]:
    disk = DirectoryDisk(folder / "raft")
    try:
        wal, recovered = Wal.open(disk, cluster_id="c", node_id="n", keys=FileKeys(folder / "dek"))
        wal.close()
    finally:
        disk.release()
    for entry in recovered.entries:
        assert entry.data == b"%d" % entry.index * 100
    return [entry.index for entry in recovered.entries]


def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    acknowledged, _ = run_writer(tmp_path, until=150)
    found = recovered_indexes(tmp_path)
    assert found == list(range(1, len(found) + 1))
    assert acknowledged >= 150
    assert len(found) >= acknowledged


def test_a_write_that_does_not_fit_ends_the_log_and_is_cut(tmp_path: Path) -> None:
    acknowledged, stderr = run_writer(tmp_path, until=-1, limit=3000)
    assert "File too large" in stderr
    assert os.path.getsize(tmp_path / "raft" / "0000000000000001.wal") == 3000
    assert recovered_indexes(tmp_path) == list(range(1, acknowledged + 1))
    assert os.path.getsize(tmp_path / "raft" / "0000000000000001.wal") < 3000


def test_files_live_their_lives(disk: DirectoryDisk, tmp_path: Path) -> None:
    folder = tmp_path / "a" / "raft"
    assert folder.stat().st_mode & 0o777 == 0o700
    disk.create("x.tmp")
    with pytest.raises(FileExistsError):
        disk.create("x.tmp")
    disk.append("x.tmp", b"one")
    disk.fdatasync("x.tmp")
    disk.rename("x.tmp", "x")
    disk.append("x", b"two")
    disk.fsync_dir()
    assert disk.list() == ["x"]
    assert disk.read("x") == b"onetwo"
    assert (folder / "x").stat().st_mode & 0o777 == 0o600
    disk.close("x")
    disk.append("x", b"three")
    disk.truncate("x", 4)
    disk.append("x", b"!")
    assert disk.read("x") == b"onet!"
    disk.remove("x")
    assert disk.list() == []
    with pytest.raises(FileNotFoundError):
        disk.append("x", b"")


def test_a_rename_over_an_open_file_goes_on_with_the_new_one(
    disk: DirectoryDisk, tmp_path: Path
) -> None:
    for name in ("old", "new"):
        disk.create(name)
        disk.append(name, name.encode())
    before = len(open_files(tmp_path))
    disk.rename("new", "old")
    disk.append("old", b"er")
    assert len(open_files(tmp_path)) == before - 1
    assert disk.read("old") == b"newer"


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "/x"])
def test_only_plain_names_are_taken(disk: DirectoryDisk, name: str) -> None:
    with pytest.raises(ValueError, match="not a plain file name"):
        disk.create(name)


def test_links_and_folders_are_not_ours(disk: DirectoryDisk, tmp_path: Path) -> None:
    folder = tmp_path / "a" / "raft"
    (tmp_path / "target").write_bytes(b"x")
    (folder / "link").symlink_to(tmp_path / "target")
    (folder / "sub").mkdir()
    assert disk.list() == []
    with pytest.raises(OSError, match="symbolic links"):
        disk.read("link")


def test_a_second_user_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    first = DirectoryDisk(tmp_path)
    with pytest.raises(SwarmError, match="another process holds its lock") as caught:
        DirectoryDisk(tmp_path)
    assert caught.value.code == Code.REFUSED
    first.release()
    DirectoryDisk(tmp_path).release()


def test_nothing_stays_open(tmp_path: Path) -> None:
    for _ in range(3):
        disk = DirectoryDisk(tmp_path / "raft")
        wal, recovered = Wal.open(disk, cluster_id="c", node_id="n", keys=None)
        wal.save(HardState(term=1, commit=recovered.hard_state.commit), [], sync=True)
        metadata = SnapshotMetadata(index=3, term=1)
        store = SnapshotStore(disk, cluster_id="c", node_id="n", keys=None)
        store.save(Snapshot(metadata=metadata))
        wal.mark_snapshot(metadata)
        wal.roll()
        wal.close()
        assert store.restore(metadata) == Snapshot(metadata=metadata)
        assert open_files(tmp_path) == [str(tmp_path / "raft")], "the folder's own"
        disk.release()
    assert open_files(tmp_path) == []
