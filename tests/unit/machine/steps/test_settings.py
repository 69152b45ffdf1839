"""What the steps know of a daemon's settings."""

from pathlib import Path

from machine.steps.settings import Folders, folders_of, text
from swarmctl.membership import MembershipStore
from tests.support.members import MEMBERSHIP


def test_folders_are_read_from_the_file() -> None:
    assert folders_of(text({"state_dir": "/data", "run_dir": "/run/x"})) == Folders(
        "/data", "/run/x", "/swarm"
    )
    assert folders_of(b"").socket == "/run/swarm/swarmd.sock"


def test_a_damaged_file_means_the_defaults() -> None:
    assert folders_of(b"\xff") == folders_of(b"= nonsense") == Folders()


def test_the_sign_of_a_membership_is_where_the_daemon_keeps_its_own(tmp_path: Path) -> None:
    sign, store = Path(Folders(str(tmp_path)).membership), MembershipStore(tmp_path)
    store.directory.mkdir()
    assert not sign.exists()
    store.save(MEMBERSHIP)
    assert sign.exists()
    store.resign()
    assert not sign.exists()
