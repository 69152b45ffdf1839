"""The key file: made once, kept private, locked and unlocked whole, refused if it is not right."""

from collections.abc import Callable
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from manager.raft.durable.key_file import LockedError
from manager.raft.durable.keyring import FileKeys, KeyNotFoundError
from tests.support.failing_disk import FailingDisk

KEY = bytes(range(32))
KEK, ANOTHER = b"k" * 32, b"a" * 32


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "dek"


def refusal(call: Callable[[], object]) -> SwarmError:
    with pytest.raises(SwarmError) as caught:
        call()
    return caught.value


@pytest.mark.parametrize("kek", [None, KEK])
def test_a_missing_file_is_made_private_and_stays(path: Path, kek: bytes | None) -> None:
    wrapped = FileKeys(path, kek).wrap(KEY, b"context")
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["dek"]
    assert FileKeys(path, kek).unwrap(wrapped, b"context") == KEY
    assert KEY not in wrapped


def test_two_wraps_differ(path: Path) -> None:
    keys = FileKeys(path)
    assert keys.wrap(KEY, b"") != keys.wrap(KEY, b"")


@pytest.mark.parametrize("kek", [None, KEK])
def test_rotation_keeps_the_older_keys_and_the_lock(path: Path, kek: bytes | None) -> None:
    keys = FileKeys(path, kek)
    old = keys.wrap(KEY, b"1")
    keys.rotate()
    new = keys.wrap(KEY, b"2")
    assert old[:8] != new[:8]
    for ring in (keys, FileKeys(path, kek)):
        assert ring.unwrap(old, b"1") == ring.unwrap(new, b"2") == KEY
        assert ring.is_locked == (kek is not None)
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


CLEAR, SEALED = "swarm-keys 1 clear 0\n", "swarm-keys 1 sealed 0\n"


@pytest.mark.parametrize("kek", [None, KEK])
@pytest.mark.parametrize(
    "text",
    [
        "",
        "ab" * 32,
        "swarm-keys 2 clear 0\n" + "ab" * 32,
        "swarm-keys 1 open 0\n" + "ab" * 32,
        "swarm-keys 1 clear -1\n" + "ab" * 32,
        "swarm-keys 1 clear 0 \n" + "ab" * 32,
        CLEAR,
        CLEAR + "ab",
        CLEAR + "zz" * 32,
        CLEAR + "AB" * 32,
        CLEAR + "ab" * 32 + "\nab",
        SEALED,
        SEALED + "abc",
        SEALED + "zz",
        SEALED + "ab" * 60 + "\n" + "ab" * 60,
    ],
)
def test_a_file_of_something_else_is_refused(path: Path, text: str, kek: bytes | None) -> None:
    path.parent.mkdir()
    path.write_text(text)
    path.chmod(0o600)
    error = refusal(lambda: FileKeys(path, kek))
    assert (error.code, "it is not a list of 32-byte keys" in error.why) == (Code.REFUSED, True)
    assert path.read_text() == text


@pytest.mark.parametrize("length", [0, 12, 28, 59, 61])
def test_a_sealed_file_of_an_impossible_length_is_refused(path: Path, length: int) -> None:
    path.parent.mkdir()
    path.write_text(SEALED + "ab" * length)
    path.chmod(0o600)
    assert refusal(lambda: FileKeys(path, KEK)).code is Code.REFUSED


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


def test_a_locked_file_says_so_and_opens_with_its_key_alone(path: Path) -> None:
    FileKeys(path, KEK)
    locked = refusal(lambda: FileKeys(path))
    assert isinstance(locked, LockedError)
    assert (locked.code, "swarmctl swarm unlock" in locked.remedy) == (Code.DENIED, True)
    wrong = refusal(lambda: FileKeys(path, ANOTHER))
    assert (wrong.code, wrong.field) == (Code.DENIED, "key")
    assert not isinstance(wrong, LockedError)
    assert FileKeys(path, KEK).is_locked


def test_nothing_of_the_keys_is_in_a_locked_file(path: Path) -> None:
    keys = FileKeys(path)
    clear = path.read_text().splitlines()[1:]
    assert keys.relock(KEK, 7)
    assert not keys.relock(KEK, 7)
    assert path.read_text().startswith("swarm-keys 1 sealed 7\n")
    assert not any(line in path.read_text() for line in clear)
    assert [each.name for each in path.parent.iterdir()] == ["dek"]


@pytest.mark.parametrize("at", [0, 21, 25, -2])
def test_an_altered_locked_file_is_refused(path: Path, at: int) -> None:
    FileKeys(path).relock(KEK, 7)
    text = path.read_text()
    at %= len(text)
    path.write_text(text[:at] + ("0" if text[at] != "0" else "1") + text[at + 1 :])
    assert refusal(lambda: FileKeys(path, KEK)).code in (Code.DENIED, Code.REFUSED)


@pytest.mark.parametrize("old", [None, KEK])
@pytest.mark.parametrize("new", [None, KEK, ANOTHER])
def test_a_changed_lock_keeps_every_key(path: Path, old: bytes | None, new: bytes | None) -> None:
    keys = FileKeys(path, old)
    wrapped = [keys.wrap(KEY, b"")]
    keys.rotate()
    wrapped.append(keys.wrap(KEY, b""))
    keys.relock(new, 5)
    wrapped.append(keys.wrap(KEY, b""))
    for ring in (keys, FileKeys(path, new)):
        assert [ring.unwrap(each, b"") for each in wrapped] == [KEY] * 3
        assert ring.is_locked == (new is not None)
    if old is not None and old != new:
        assert new is None or refusal(lambda: FileKeys(path, old)).code is Code.DENIED


@pytest.mark.parametrize(("old", "new"), [(None, KEK), (KEK, ANOTHER)], ids=["lock", "rotate"])
def test_what_is_sealed_under_another_lock_has_a_key_that_was_not_in_the_file(
    path: Path, old: bytes | None, new: bytes
) -> None:
    keys = FileKeys(path, old)
    stolen = path.read_text()
    keys.relock(new, 5)
    wrapped = keys.wrap(KEY, b"")
    path.write_text(stolen)
    with pytest.raises(KeyNotFoundError):
        FileKeys(path, old).unwrap(wrapped, b"")


def test_a_lock_of_the_past_changes_nothing(path: Path) -> None:
    keys = FileKeys(path)
    keys.relock(KEK, 10)
    for ring in (keys, FileKeys(path, KEK)):
        ring.relock(None, 4)
        ring.relock(ANOTHER, 9)
        assert FileKeys(path, KEK).is_locked
    keys.relock(ANOTHER, 12)
    assert FileKeys(path, ANOTHER).is_locked
    keys.relock(None, 13)
    keys.relock(ANOTHER, 12)
    assert not FileKeys(path).is_locked


def test_the_same_lock_again_does_not_touch_the_disk(path: Path) -> None:
    keys = FileKeys(path, KEK)
    before = path.stat()
    assert not keys.differs(KEK, 3)
    keys.relock(KEK, 3)
    assert path.stat().st_ino == before.st_ino


def test_a_derived_secret_has_one_purpose_and_one_key(path: Path) -> None:
    keys = FileKeys(path)
    (first,) = keys.derived("this")
    assert keys.derived("that") != (first,)
    keys.rotate()
    newest, oldest = keys.derived("this")
    assert oldest == first != newest
    assert FileKeys(path).derived("this") == (newest, oldest)


def failures() -> list[tuple[int, bool]]:
    return [(step, after) for step in range(1, 6) for after in (False, True)]


@pytest.mark.parametrize(("step", "after"), failures())
@pytest.mark.parametrize("new", [None, ANOTHER])
def test_wherever_the_disk_fails_the_old_key_or_the_new_one_opens_the_file(
    path: Path, monkeypatch: pytest.MonkeyPatch, step: int, after: bool, new: bytes | None
) -> None:
    keys = FileKeys(path, KEK)
    wrapped = keys.wrap(KEY, b"")
    disk = FailingDisk(monkeypatch)
    disk.fail_at(step, after=after)
    with pytest.raises(OSError, match="the disk failed"):
        keys.relock(new, 5)
    disk.mend()
    assert any(opens(path, kek, wrapped) for kek in (KEK, new))
    keys.relock(new, 5)
    assert opens(path, new, wrapped)
    assert [each.name for each in path.parent.iterdir()] == ["dek"]


def test_a_replacement_has_as_many_steps_as_are_tried(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = FileKeys(path)
    disk = FailingDisk(monkeypatch)
    keys.relock(KEK, 1)
    assert disk.count == max(step for step, _ in failures())


def opens(path: Path, kek: bytes | None, wrapped: bytes) -> bool:
    try:
        return FileKeys(path, kek).unwrap(wrapped, b"") == KEY
    except SwarmError:
        return False
