"""Files that are replaced as a whole: whatever fails, there is the old content or the new."""

from pathlib import Path

import pytest

from hostkit.durable import replace, sync_folder
from tests.support.failing_disk import FailingDisk

STEPS = 5
"""Two files are opened and synced, the new one and its folder, and one is renamed between."""


def test_it_is_made_and_replaced_with_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "file"
    replace(path, b"one")
    assert path.stat().st_mode & 0o777 == 0o600
    replace(path, b"two", mode=0o640)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"two", 0o640)
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", range(1, STEPS + 1))
def test_a_failure_leaves_the_old_content_or_the_new(
    step: int, after: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    replace(path, b"old")
    with monkeypatch.context() as patched:
        disk = FailingDisk(patched)
        disk.fail_at(step, after=after)
        with pytest.raises(OSError, match="the disk failed"):
            replace(path, b"new")
        is_renamed = step > 3 or (step == 3 and after)
        assert path.read_bytes() == (b"new" if is_renamed else b"old")
        disk.mend()
        replace(path, b"newest")
        assert disk.count >= STEPS
    assert path.read_bytes() == b"newest"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_what_a_crash_left_half_done_is_in_nobodys_way(tmp_path: Path) -> None:
    beside = tmp_path / ".file.new"
    beside.symlink_to(tmp_path / "elsewhere")
    replace(tmp_path / "file", b"content")
    assert not (tmp_path / "elsewhere").exists()
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_a_folder_that_is_none_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        sync_folder(tmp_path / "none")
    with pytest.raises(FileNotFoundError):
        replace(tmp_path / "none" / "file", b"")
