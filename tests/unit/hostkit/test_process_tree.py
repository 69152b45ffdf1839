"""Killing a process with what it brought forth."""

import subprocess
from pathlib import Path

import pytest

from hostkit import pidfd, process_tree
from tests.support.named_process import process_called

SCRIPTS = {
    "child": "sleep 60",
    "background": "sleep 60 & echo $!; wait",
    "grandchild": "sh -c 'sleep 60 & echo $!; wait' & wait",
    "orphan": "(sleep 60 & echo $!); sleep 60",
    "session": "setsid sh -c 'echo $$; exec sleep 60' & wait",
    "orphan of a session": "setsid sh -c '(sleep 60 & echo $!); exec sleep 60' & wait",
}
"""Each prints the pid of a process that must not stay."""


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_all_of_it_is_gone(script: str) -> None:
    command = ["sh", "-c", script if "echo" in script else f"echo $$; {script}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as child:
        assert child.stdout is not None
        descendant = pidfd.identify(int(child.stdout.readline()))
        root = pidfd.identify(child.pid)
        assert descendant is not None
        assert root is not None
        assert process_tree.kill(root, 10)
        assert pidfd.wait(descendant, 10)
        assert pidfd.wait(root, 0)


def test_others_are_left_alone() -> None:
    with subprocess.Popen(["sleep", "60"]) as other:
        child = subprocess.Popen(["sleep", "60"], start_new_session=True)
        root = pidfd.identify(child.pid)
        assert root is not None
        assert process_tree.kill(root, 10)
        assert child.wait() == -9
        assert other.poll() is None
        other.kill()


def test_a_name_of_somebody_else_s_process_is_no_matter(tmp_path: Path) -> None:
    with process_called(b"caf\xe9", tmp_path):
        child = subprocess.Popen(["sleep", "60"], start_new_session=True)
        try:
            root = pidfd.identify(child.pid)
            assert root is not None
            assert process_tree.kill(root, 10)
        finally:
            child.kill()
            child.wait()


def test_one_that_is_gone_already() -> None:
    child = subprocess.Popen(["true"], start_new_session=True)
    root = pidfd.identify(child.pid)
    child.wait()
    assert not Path(f"/proc/{child.pid}").exists()
    assert root is None or process_tree.kill(root, 10)
