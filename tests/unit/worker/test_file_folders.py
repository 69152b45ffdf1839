"""Files of tasks are in memory, as they were asked for, and leave nothing behind."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from api.files import Place
from hostkit import mount
from worker.file_folders import FileFolders
from worker.task_files import TaskFile

pytestmark = pytest.mark.root

PAGE = os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "files"
    yield folder
    for point in mount.mount_points(tmp_path):
        mount.unmount(point)


def file(name: str = "secret-0", data: bytes = b"hidden", **place: int) -> TaskFile:
    given = {"uid": 0, "gid": 0, "mode": 0o444} | place
    return TaskFile(name, Place("/run/secrets/x", **given), data)


def test_files_are_in_a_file_system_of_their_own(root: Path) -> None:
    folders = FileFolders(root)
    folders.make("t1", [file(uid=12, gid=34, mode=0o4550), file("config-0", b"")])
    folder = folders.folder("t1")
    secret = (folder / "secret-0").stat()
    assert (folder / "secret-0").read_bytes() == b"hidden"
    assert (secret.st_uid, secret.st_gid, secret.st_mode & 0o7777) == (12, 34, 0o4550)
    assert folder.stat().st_mode & 0o7777 == 0o700
    assert mount.mount_points(root) == [folder]
    (line,) = [each for each in mount.MOUNTS.read_text().splitlines() if str(folder) in each]
    assert line.split()[2] == "tmpfs"
    assert {"nosuid", "nodev", "noexec", "mode=700"} <= set(line.split()[3].split(","))


def test_a_folder_is_as_large_as_what_is_in_it(root: Path) -> None:
    folders = FileFolders(root)
    folders.make("t1", [file(data=b"x" * (PAGE + 1)), file("secret-1", b"y" * PAGE)])
    size = os.statvfs(folders.folder("t1"))
    assert (size.f_blocks * size.f_frsize, size.f_bfree) == (3 * PAGE, 0)
    with pytest.raises(OSError, match="No space left"):
        (folders.folder("t1") / "more").write_bytes(b"x")


def test_a_folder_is_made_anew_and_removed_as_often_as_one_likes(root: Path) -> None:
    folders = FileFolders(root)
    folders.make("t1", [file(), file("secret-1")])
    folders.make("t1", [file(data=b"other")])
    assert [each.name for each in folders.folder("t1").iterdir()] == ["secret-0"]
    folders.remove("t1")
    folders.remove("t1")
    assert not folders.folder("t1").exists()
    assert mount.mount_points(root) == []


def test_what_is_left_over_is_swept(root: Path) -> None:
    folders = FileFolders(root)
    folders.sweep([])
    for task in ("t1", "t2"):
        folders.make(task, [file()])
    (root / "before-a-reboot").mkdir()
    folders.sweep(["t2"])
    assert os.listdir(root) == ["t2"]
    assert mount.mount_points(root) == [folders.folder("t2")]


def test_a_folder_that_cannot_be_made_leaves_nothing(root: Path) -> None:
    folders = FileFolders(root)
    with pytest.raises(SwarmError) as refused:
        folders.make("t1", [file(), file()])  # the name is taken the second time
    assert refused.value.code is Code.REFUSED
    assert "hidden" not in str(refused.value)
    assert mount.mount_points(root) == []
    assert os.listdir(root) == []
