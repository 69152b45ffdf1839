"""Files of the operator's: whatever goes wrong while they are written, the one before stays."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from swarmctl.cli.whole_files import write_whole


def test_all_of_it_is_written_once_it_was_checked(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")
    seen: list[tuple[bytes, bytes]] = []

    def check(fresh: Path) -> str:
        seen.append((fresh.read_bytes(), path.read_bytes()))
        return "good"

    assert write_whole(path, [b"one ", b"two"], check) == "good"
    assert seen == [(b"one two", b"before")]
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"one two", 0o600)


@pytest.mark.parametrize("fails", ["pieces", "check"])
def test_what_fails_leaves_what_was_there(fails: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")
    error = SwarmError(Code.UNAVAILABLE, "broken off")

    def pieces() -> Iterator[bytes]:
        yield b"one"
        if fails == "pieces":
            raise error

    def check(fresh: Path) -> None:
        raise error

    with pytest.raises(SwarmError, match="broken off"):
        write_whole(path, pieces(), check)
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_what_the_system_refuses_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SwarmError, match="cannot write") as found:
        write_whole(tmp_path / "none" / "file", [b""], lambda _: None)
    assert found.value.code is Code.REFUSED
    (tmp_path / "folder").mkdir()
    with pytest.raises(SwarmError, match="cannot write"):
        write_whole(tmp_path / "folder", [b""], lambda _: None)
    assert [each.name for each in tmp_path.iterdir()] == ["folder"]


def test_what_is_no_file_is_never_replaced_by_one(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "device")
    (tmp_path / "link").symlink_to("device")
    for name in ("device", "link"):
        with pytest.raises(SwarmError, match="it is no regular file") as found:
            write_whole(tmp_path / name, [b"one"], lambda _: None)
        assert found.value.code is Code.REFUSED
    assert (tmp_path / "device").is_fifo()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["device", "link"]


def test_a_link_stays_one_and_its_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "link").symlink_to("store/file")
    write_whole(tmp_path / "link", [b"one"], lambda _: None)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "store" / "file").read_bytes() == b"one"
