"""The key file: made once, kept private, refused when it is not what it should be."""

from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from manager.raft.durable.keyring import FileKeys, KeyNotFoundError

KEY = bytes(range(32))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "dek"


def test_a_missing_file_is_made_private_and_stays(path: Path) -> None:
    wrapped = FileKeys(path).wrap(KEY, b"context")
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["dek"]
    assert FileKeys(path).unwrap(wrapped, b"context") == KEY
    assert KEY not in wrapped


def test_two_wraps_differ(path: Path) -> None:
    keys = FileKeys(path)
    assert keys.wrap(KEY, b"") != keys.wrap(KEY, b"")


def test_rotation_keeps_the_older_keys(path: Path) -> None:
    keys = FileKeys(path)
    old = keys.wrap(KEY, b"1")
    keys.rotate()
    new = keys.wrap(KEY, b"2")
    assert old[:8] != new[:8]
    for ring in (keys, FileKeys(path)):
        assert ring.unwrap(old, b"1") == ring.unwrap(new, b"2") == KEY
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_does_not_fit_is_not_unwrapped(path: Path, tmp_path: Path) -> None:
    keys = FileKeys(path)
    wrapped = keys.wrap(KEY, b"context")
    with pytest.raises(KeyNotFoundError, match="its header was altered"):
        keys.unwrap(wrapped, b"another")
    with pytest.raises(KeyNotFoundError, match="its header was altered"):
        keys.unwrap(wrapped[:-1] + bytes([wrapped[-1] ^ 1]), b"context")
    with pytest.raises(KeyNotFoundError, match="its header was altered"):
        keys.unwrap(wrapped[:12], b"context")
    with pytest.raises(KeyNotFoundError, match=f"under key {wrapped[:8].hex()}, not in .*/other"):
        FileKeys(tmp_path / "other").unwrap(wrapped, b"context")


@pytest.mark.parametrize("text", ["", "ab", "zz" * 32, "AB" * 32, "ab" * 32 + "\nab"])
def test_a_file_of_something_else_is_refused(path: Path, text: str) -> None:
    path.parent.mkdir()
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(SwarmError, match="it is not a list of 32-byte keys in hex"):
        FileKeys(path)
    assert path.read_text() == text


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_file_that_others_can_reach_is_refused(path: Path, mode: int) -> None:
    FileKeys(path)
    path.chmod(mode)
    with pytest.raises(SwarmError, match=f"Chmod 600 {path}") as caught:
        FileKeys(path)
    assert caught.value.code == Code.REFUSED


def test_a_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    FileKeys(path)
    link = tmp_path / "link"
    link.symlink_to(path)
    with pytest.raises(OSError, match="symbolic links"):
        FileKeys(link)
