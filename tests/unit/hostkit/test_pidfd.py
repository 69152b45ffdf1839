"""Identity of processes beyond the reuse of pids."""

import os
import select
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostkit import pidfd
from tests.support.named_process import process_called


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


def test_identity_of_a_running_process(sleeper: subprocess.Popen[bytes]) -> None:
    found = pidfd.identify(sleeper.pid)
    assert found is not None
    assert found.pid == sleeper.pid
    assert found.started > 0
    assert pidfd.is_alive(found)
    assert pidfd.identify(sleeper.pid) == found


@pytest.mark.parametrize("name", [b"a) S 1 (b", b"caf\xe9", "über-große-Dünen".encode()])
def test_a_process_may_be_called_anything(tmp_path: Path, name: bytes) -> None:
    with process_called(name, tmp_path) as pid:
        shown = Path(f"/proc/{pid}/comm").read_bytes()
        assert shown == name[:15] + b"\n"  # as the kernel cuts it, be it amid a character
        found = pidfd.identify(pid)
        assert found is not None
        assert pidfd.is_alive(found)


def test_another_start_time_is_another_process(sleeper: subprocess.Popen[bytes]) -> None:
    found = pidfd.identify(sleeper.pid)
    assert found is not None
    earlier = pidfd.ProcessId(found.pid, found.started - 1)
    assert not pidfd.is_alive(earlier)
    assert pidfd.open_process(earlier) is None
    assert not pidfd.send_signal(earlier, signal.SIGKILL)
    assert sleeper.poll() is None


def test_a_pid_that_a_thread_has_by_now_is_no_process() -> None:
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        assert thread.native_id is not None
        reused = pidfd.ProcessId(thread.native_id, 1)
        assert pidfd.open_process(reused) is None
        assert not pidfd.send_signal(reused, signal.SIGKILL)
        assert pidfd.kill(reused, 0)
    finally:
        done.set()
        thread.join()


def test_signal_and_death(sleeper: subprocess.Popen[bytes]) -> None:
    found = pidfd.identify(sleeper.pid)
    assert found is not None
    fd = pidfd.open_process(found)
    assert fd is not None
    try:
        assert pidfd.send_signal(found, signal.SIGTERM)
        assert select.select([fd], [], [], 30)[0] == [fd]
        assert pidfd.identify(sleeper.pid) is None  # a zombie is no process that runs
        assert not pidfd.is_alive(found)
    finally:
        os.close(fd)
    assert sleeper.wait() == -signal.SIGTERM
    assert not pidfd.send_signal(found, 0)


def test_waiting_and_killing(sleeper: subprocess.Popen[bytes]) -> None:
    found = pidfd.identify(sleeper.pid)
    assert found is not None
    assert not pidfd.wait(found, 0)
    assert pidfd.kill(found, 60)
    assert sleeper.wait() == -signal.SIGKILL
    assert pidfd.kill(found, 0)
    assert pidfd.wait(found, 0)


def test_a_command_with_brackets_and_blanks(tmp_path: Path) -> None:
    program = tmp_path / "a) S (b"
    shutil.copy("/usr/bin/cat", program)
    process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        os.write(process.stdin.fileno(), b"x")  # its echo means that the program is in place
        assert os.read(process.stdout.fileno(), 1) == b"x"
        assert Path(f"/proc/{process.pid}/comm").read_text() == "a) S (b\n"
        found = pidfd.identify(process.pid)
        assert found is not None
        assert found.started > 0
    finally:
        process.kill()
        process.communicate()


def test_reaping_only_what_is_ours(sleeper: subprocess.Popen[bytes]) -> None:
    fd = os.pidfd_open(os.getppid())
    try:
        pidfd.reap(fd)  # no child: nothing happens
    finally:
        os.close(fd)
    assert pidfd.identify(2**22) is None
