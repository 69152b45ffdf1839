"""Trees of any depth are deleted, and nothing that is mounted in them, or that links lead to."""

import errno
import os
import sys
from pathlib import Path

import pytest

from hostkit import mount
from hostkit.removal import remove_tree
from tests.support.deep_tree import make_deep


def test_a_tree_deeper_than_python_recurses_is_deleted(tmp_path: Path) -> None:
    make_deep(tmp_path / "top", sys.getrecursionlimit() + 200)
    remove_tree(tmp_path / "top")
    assert list(tmp_path.iterdir()) == []


def test_all_kinds_of_files_go_and_what_links_lead_to_stays(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("x")
    for branch in ("a/b/c", "a/d", "e"):
        (tmp_path / "top" / branch).mkdir(parents=True)
        (tmp_path / "top" / branch / "file").write_text("x")
    (tmp_path / "top/link").symlink_to(kept)
    (tmp_path / "top/a/broken").symlink_to("nowhere")
    os.mkfifo(tmp_path / "top/a/pipe")
    remove_tree(tmp_path / "top")
    assert [each.name for each in tmp_path.iterdir()] == ["kept"]
    assert (kept / "file").exists()


def test_what_is_no_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(FileNotFoundError):
        remove_tree(tmp_path / "none")
    for name in ("file", "link"):
        with pytest.raises(NotADirectoryError):
            remove_tree(tmp_path / name)


@pytest.mark.root
@pytest.mark.parametrize("place", ["top", "top/a/point"])
def test_nothing_is_deleted_in_a_mount(tmp_path: Path, place: str) -> None:
    kept, point = tmp_path / "kept", tmp_path / place
    kept.mkdir()
    (kept / "file").write_text("x")
    point.mkdir(parents=True)
    (tmp_path / "top/z").mkdir()
    mount.mount(str(kept), point, "", mount.MS_BIND)  # of the same file system
    try:
        with pytest.raises(OSError, match=f"'{point}'") as refusal:
            remove_tree(tmp_path / "top")
        assert refusal.value.errno == errno.EBUSY
    finally:
        mount.unmount(point)
    assert (kept / "file").exists()
    remove_tree(tmp_path / "top")
    assert not (tmp_path / "top").exists()
