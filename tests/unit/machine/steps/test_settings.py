"""What the steps know of a daemon's settings."""

from machine.steps.settings import Folders, folders_of, text


def test_folders_are_read_from_the_file() -> None:
    assert folders_of(text({"state_dir": "/data", "run_dir": "/run/x"})) == Folders(
        "/data", "/run/x", "/swarm"
    )
    assert folders_of(b"").socket == "/run/swarm/swarmd.sock"


def test_a_damaged_file_means_the_defaults() -> None:
    assert folders_of(b"\xff") == folders_of(b"= nonsense") == Folders()
