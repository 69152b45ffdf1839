"""The daemon as a process: its starts and ends, its socket, its disk, and what each costs."""

import asyncio
import errno
import os
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from api.errors import Code, SwarmError
from api.status import from_grpc
from api.unlock_key import format_unlock_key
from api.v1 import host_pb2
from hostkit import mount
from overlay_net.fabric.sandboxes import Sandboxes
from tests.support.daemon_process import Daemon
from tests.support.told_networks import Ground, a_task, answers, told, written

pytestmark = pytest.mark.root

FREE_BYTES = 1 << 20


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="d") as path:  # short, for the socket's sake
        yield Path(path)


@pytest.fixture
def daemon(folder: Path) -> Iterator[Daemon]:
    made = Daemon(folder)
    try:
        yield made
    finally:
        if made.process is not None and made.process.poll() is None:
            made.end()


@contextmanager
def another(folder: Path) -> Iterator[Daemon]:
    (folder / "b").mkdir()
    made = Daemon(folder / "b")
    try:
        yield made
    finally:
        if made.process is not None and made.process.poll() is None:
            made.process.kill()
            made.process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_daemon_that_is_told_to_ends_in_order(daemon: Daemon, number: int) -> None:
    daemon.start()
    assert daemon.info().swarm.state == host_pb2.SwarmInfo.STATE_INACTIVE
    assert daemon.end(number)[0] == 0
    assert not (daemon.run / "swarmd.sock").exists()


def test_its_folders_and_its_socket_are_for_those_they_should_be_for(daemon: Daemon) -> None:
    daemon.start()
    daemon.info()
    modes = [p.stat().st_mode & 0o777 for p in (daemon.state, daemon.run, daemon.run / "c")]
    assert modes == [0o700, 0o755, 0o700]
    assert (daemon.run / "swarmd.sock").stat().st_mode & 0o777 == 0o660


@pytest.mark.parametrize("shared", ["run", "state"])
def test_a_second_daemon_in_the_same_folder_is_refused_and_harms_nobody(
    daemon: Daemon, folder: Path, shared: str
) -> None:
    daemon.start()
    daemon.info()
    with another(folder) as second:
        second.start(**{shared: getattr(daemon, shared)})
        code, words = second.ends()
    assert (code, "another swarmd uses it" in words) == (1, True)
    daemon.info()


def test_told_to_stop_while_it_starts_it_stops(daemon: Daemon) -> None:
    daemon.start()
    while not daemon.run.exists():  # from then on signals are heard
        assert daemon.process is not None
        assert daemon.process.poll() is None
    assert daemon.end()[0] == 0


def test_after_kill_9_the_socket_is_taken_over_and_the_swarm_goes_on(daemon: Daemon) -> None:
    daemon.start()
    daemon.init()
    daemon.create("web")
    assert daemon.end(signal.SIGKILL)[0] == -signal.SIGKILL
    assert (daemon.run / "swarmd.sock").exists()
    daemon.start()
    daemon.info()
    assert daemon.services() == 1


def test_a_taken_port_at_the_start_is_said_and_nothing_is_left_half_started(
    daemon: Daemon,
) -> None:
    daemon.start()
    daemon.init()
    daemon.end()
    host, _, port = daemon.address.rpartition(":")
    with socket.create_server((host, int(port) + 1)):
        daemon.start()
        code, words = daemon.ends()
    assert (code, words.startswith("swarmd: cannot listen on")) == (1, True)
    assert not (daemon.run / "swarmd.sock").exists()
    daemon.start()
    assert daemon.info().swarm.node_id


def test_a_leave_that_a_crash_cut_off_is_done_at_the_next_start(daemon: Daemon) -> None:
    daemon.start()
    daemon.init()
    daemon.end(signal.SIGKILL)
    swarm = daemon.state / "swarm"
    (swarm / "membership.json").rename(swarm / "leaving.json")  # as far as the leave had come
    daemon.start()
    assert daemon.info().swarm.state == host_pb2.SwarmInfo.STATE_INACTIVE
    assert [each.name for each in daemon.state.iterdir() if each.name.startswith("agent")] == []
    assert not swarm.exists()
    daemon.init()


def refusal(call: Callable[[], object]) -> SwarmError:
    with pytest.raises(grpc.RpcError) as failed:
        call()
    return from_grpc(failed.value, "asking")


def test_a_locked_manager_waits_for_its_key_and_goes_on_without_a_restart(daemon: Daemon) -> None:
    daemon.start()
    daemon.init(autolock=True)
    daemon.create("web")
    node_id, key = daemon.info().swarm.node_id, daemon.unlock_key()
    daemon.end(signal.SIGKILL)
    daemon.start()
    swarm = daemon.info().swarm
    assert (swarm.state, swarm.node_id) == (host_pb2.SwarmInfo.STATE_LOCKED, node_id)
    for call in (daemon.services, daemon.init, lambda: daemon.leave(force=False)):
        assert ("locked" in refusal(call).what) == (call != daemon.init)
    assert "swarm unlock" in refusal(daemon.services).remedy
    for wrong in ("", key[:-1], format_unlock_key(bytes(32))):
        assert refusal(lambda: daemon.unlock(wrong)).field == "key"  # noqa: B023 - called at once
    assert daemon.info().swarm.state == host_pb2.SwarmInfo.STATE_LOCKED
    daemon.unlock(f"{key}\n")
    assert daemon.services() == 1
    assert daemon.info().swarm.state != host_pb2.SwarmInfo.STATE_LOCKED
    assert refusal(lambda: daemon.unlock(key)).what == "this node is not locked"


def test_a_locked_manager_whose_port_is_taken_stays_locked_and_can_be_tried_again(
    daemon: Daemon,
) -> None:
    daemon.start()
    daemon.init(autolock=True)
    key = daemon.unlock_key()
    daemon.end()
    daemon.start()
    daemon.info()
    host, _, port = daemon.address.rpartition(":")
    with socket.create_server((host, int(port) + 1)):
        assert "cannot listen on" in refusal(lambda: daemon.unlock(key)).what
        assert "locked" in refusal(daemon.services).what
    daemon.unlock(key)
    assert daemon.services() == 0


def test_a_locked_manager_leaves_by_force_and_the_host_is_free(daemon: Daemon) -> None:
    daemon.start()
    daemon.init(autolock=True)
    daemon.end()
    daemon.start()
    daemon.info()
    assert refusal(lambda: daemon.leave(force=False)).code is Code.REFUSED
    daemon.leave()
    assert daemon.info().swarm.state == host_pb2.SwarmInfo.STATE_INACTIVE
    assert not (daemon.state / "swarm").exists()
    assert "not part of a swarm" in refusal(daemon.services).what
    daemon.init()
    assert daemon.services() == 0


def test_a_lock_that_changes_while_the_manager_runs_is_on_its_disk(daemon: Daemon) -> None:
    def follows(is_so: Callable[[str], bool]) -> None:
        while not is_so(daemon.key_file()):
            assert daemon.process is not None
            assert daemon.process.poll() is None

    daemon.start()
    daemon.init()
    daemon.set_lock()
    follows(lambda text: " sealed " in text)
    first, header = daemon.unlock_key(), daemon.key_file().splitlines()[0]
    daemon.set_lock(rotate=True)
    follows(lambda text: text.splitlines()[0] != header)  # a new data key is not yet a rotation
    second = daemon.unlock_key()
    daemon.end(signal.SIGKILL)
    daemon.start()
    daemon.info()
    assert refusal(lambda: daemon.unlock(first)).field == "key"
    daemon.unlock(second)
    daemon.set_lock(autolock=False)
    follows(lambda text: " clear " in text)
    daemon.end(signal.SIGKILL)
    daemon.start()
    daemon.info()
    assert daemon.services() == 0
    assert daemon.unlock_key() == ""


def test_a_full_disk_ends_a_manager_with_the_cause_and_loses_nothing(daemon: Daemon) -> None:
    daemon.state.mkdir()
    mount.mount("tmpfs", daemon.state, "tmpfs", options="size=16m")
    try:
        daemon.start()
        daemon.init()
        daemon.create("first")
        fill(daemon.state / "ballast")
        made, why = create_until_refused(daemon)
        assert "No space left" in why
        code, words = daemon.ends()
        assert (code, os.strerror(errno.ENOSPC) in words) == (1, True)
        (daemon.state / "ballast").unlink()
        daemon.start()
        daemon.info()
        assert daemon.services() in (1 + made, 2 + made)  # the last one's fate was not known
        daemon.end()
    finally:
        if daemon.process is not None and daemon.process.poll() is None:
            daemon.end()
        mount.unmount(daemon.state)


def create_until_refused(daemon: Daemon) -> tuple[int, str]:
    """How many large services could be created, and why no more."""
    for number in range(100):
        try:
            daemon.create(f"s{number}", size=100_000)
        except grpc.RpcError as error:
            return number, str(error)
    raise AssertionError("the disk does not fill")


def fill(path: Path) -> None:
    """Leaves FREE_BYTES on the file system of `path`."""
    space = os.statvfs(path.parent)
    with path.open("wb") as ballast:
        size = space.f_bavail * space.f_frsize - FREE_BYTES
        os.posix_fallocate(ballast.fileno(), 0, size)


def test_a_daemon_that_begins_anew_answers_names_by_what_was_written_down(folder: Path) -> None:
    daemon = Daemon(folder, ["--networks", "kernel"])
    task = a_task(f"t{os.getpid()}")
    daemon.state.mkdir()
    asyncio.run(written(daemon.state, told(Ground("n1", "10.98.0.1")), [task]))
    path = Sandboxes().make(task.id)
    try:
        daemon.start()  # in no swarm: nobody else would tell it of any network
        daemon.info()
        assert answers(path, "web") == ["10.0.1.2"]
        assert daemon.end()[0] == 0
    finally:
        Sandboxes().remove(task.id)
        if daemon.process is not None and daemon.process.poll() is None:
            daemon.end()
