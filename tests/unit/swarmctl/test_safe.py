"""The secrets on a node's disk: what cannot be read without the unlock key, what no crash loses."""

from collections.abc import Callable
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from api.identity import Credentials
from manager.raft.durable.key_file import LockedError
from swarmctl.membership import MembershipStore
from swarmctl.safe import NodeSafe, found, made
from tests.support.failing_disk import FailingDisk
from tests.support.members import MEMBERSHIP, credentials

KEK, ANOTHER = b"k" * 32, b"a" * 32
KEY = bytes(32)
OWN, RENEWED = credentials(), credentials()


def a_manager(state_dir: Path, kek: bytes | None = None) -> NodeSafe:
    store = MembershipStore(state_dir)
    safe = made(store, OWN, manager=True, kek=kek)
    store.save(MEMBERSHIP)
    return safe


def opened(state_dir: Path, kek: bytes | None = None) -> NodeSafe:
    return found(MembershipStore(state_dir), MEMBERSHIP, kek)


def holds(safe: NodeSafe, credentials: Credentials, wrapped: bytes) -> bool:
    assert safe.keys is not None
    return safe.credentials == credentials and safe.keys.unwrap(wrapped, b"") == KEY


def refusal(call: Callable[[], object]) -> SwarmError:
    with pytest.raises(SwarmError) as caught:
        call()
    return caught.value


def is_in_clear(state_dir: Path) -> list[str]:
    """The names of the files that hold a secret for all to read."""
    return sorted(
        path.name
        for path in (state_dir / "swarm").iterdir()
        if path.read_bytes().startswith((b"-----BEGIN PRIVATE KEY", b"swarm-keys 1 clear"))
    )


@pytest.mark.parametrize("manager", [True, False])
def test_what_was_made_is_found_again(tmp_path: Path, manager: bool) -> None:
    store = MembershipStore(tmp_path)
    safe = made(store, OWN, manager=manager)
    assert (safe.credentials, safe.keys is not None) == (OWN, manager)
    safe.save(RENEWED)
    assert safe.credentials == RENEWED
    assert store.credentials(MEMBERSHIP) == RENEWED
    assert (tmp_path / "swarm" / "manager.key").exists() == manager


def test_a_swarm_that_is_locked_from_the_beginning_leaves_nothing_in_clear(tmp_path: Path) -> None:
    a_manager(tmp_path, KEK)
    assert is_in_clear(tmp_path) == []
    assert isinstance(refusal(lambda: opened(tmp_path)), LockedError)
    assert refusal(lambda: opened(tmp_path, ANOTHER)).code is Code.DENIED
    assert opened(tmp_path, KEK).credentials == OWN


def test_locking_rotating_and_unlocking(tmp_path: Path) -> None:
    safe = a_manager(tmp_path)
    assert is_in_clear(tmp_path) == ["manager.key", "node.key"]
    assert safe.keys is not None
    wrapped = safe.keys.wrap(KEY, b"")
    safe.relock(KEK, 3)
    assert is_in_clear(tmp_path) == []
    assert holds(opened(tmp_path, KEK), OWN, wrapped)
    node_key = (tmp_path / "swarm" / "node.key").read_bytes()
    safe.relock(ANOTHER, 4)
    assert (tmp_path / "swarm" / "node.key").read_bytes() == node_key, "one file is rotated"
    assert refusal(lambda: opened(tmp_path, KEK)).code is Code.DENIED
    assert holds(opened(tmp_path, ANOTHER), OWN, wrapped)
    safe.relock(None, 5)
    assert is_in_clear(tmp_path) == ["manager.key", "node.key"]
    assert holds(opened(tmp_path), OWN, wrapped)


def test_a_renewed_certificate_is_locked_too(tmp_path: Path) -> None:
    safe = a_manager(tmp_path)
    safe.relock(KEK, 3)
    safe.save(RENEWED)
    assert is_in_clear(tmp_path) == []
    assert opened(tmp_path, KEK).credentials == RENEWED


def test_a_lock_of_the_past_does_not_bring_a_key_into_the_clear(tmp_path: Path) -> None:
    safe = a_manager(tmp_path)
    safe.relock(KEK, 9)
    for each in (safe, opened(tmp_path, KEK)):
        each.relock(None, 4)
        assert is_in_clear(tmp_path) == []


def test_a_new_place_has_new_keys_whatever_locked_ones_an_old_one_left(tmp_path: Path) -> None:
    a_manager(tmp_path, KEK)
    a_manager(tmp_path)
    assert opened(tmp_path).credentials == OWN


def test_a_worker_is_not_locked(tmp_path: Path) -> None:
    store = MembershipStore(tmp_path)
    safe = made(store, OWN, manager=False, kek=KEK)
    safe.relock(KEK, 1)
    assert store.credentials(MEMBERSHIP) == OWN


@pytest.mark.parametrize("kek", [None, KEK], ids=["clear", "locked"])
def test_a_manager_without_its_keys_says_so_and_makes_no_others(
    tmp_path: Path, kek: bytes | None
) -> None:
    a_manager(tmp_path, kek)
    keys = tmp_path / "swarm" / "manager.key"
    kept = keys.rename(tmp_path / "elsewhere")
    for _ in range(2):
        assert refusal(lambda: opened(tmp_path)).what == f"the key file {keys} is gone"
    kept.rename(keys)
    opened(tmp_path, kek)


STEPS = 10
"""More than any change of the lock takes."""


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", range(1, STEPS + 1))
@pytest.mark.parametrize(
    ("old", "new"), [(None, KEK), (KEK, ANOTHER), (KEK, None)], ids=["lock", "rotate", "unlock"]
)
def test_wherever_the_disk_fails_one_of_the_two_keys_opens_everything(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    old: bytes | None,
    new: bytes | None,
    step: int,
    after: bool,
) -> None:
    safe = a_manager(tmp_path, old)
    assert safe.keys is not None
    wrapped = safe.keys.wrap(KEY, b"")
    disk = FailingDisk(monkeypatch)
    disk.fail_at(step, after=after)
    try:
        safe.relock(new, 5)
    except OSError:
        assert disk.count >= step
    else:
        assert disk.count < step, "every step was taken"
    disk.mend()

    usable = [kek for kek in {old, new} if opens(tmp_path, kek)]
    assert usable
    for kek in usable:
        assert holds(opened(tmp_path, kek), OWN, wrapped)
    opened(tmp_path, usable[0]).relock(new, 5)  # as the next start of the daemon does
    safe = opened(tmp_path, new)
    assert holds(safe, OWN, wrapped)
    if new is not None:
        assert is_in_clear(tmp_path) == []


def opens(state_dir: Path, kek: bytes | None) -> bool:
    try:
        opened(state_dir, kek)
    except SwarmError:
        return False
    return True
