"""The driver sshfs against a real SSH server: what it mounts, what it says, what dies with it."""

import asyncio
import ctypes
import os
import signal
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from api.errors import SwarmError
from hostkit import cgroup, mount, pidfd
from hostkit.clock import boot, wall
from runtime.volume.driver import Place, Scope, Volume
from runtime.volume.guardians import GuardianLink, Guardians
from runtime.volume.sshfs import SshfsDriver
from tests.support.ssh_server import SshServer, ssh_server
from tests.support.until import until_true

pytestmark = pytest.mark.root

ID = "g" * 25
_PIDFD_GETFD = 438


class Client:
    """A host with the driver, and a guardian for one mount."""

    def __init__(self, root: Path, server: SshServer) -> None:
        self.root = root
        self.server = server
        self.group = f"/test-sshfs-{os.getpid()}"
        self.driver = SshfsDriver(root / "notes", wall)
        self.target = root / "g" / ID / "data"
        self.volume = Volume("v", server.options(), secrets={"identity": server.key})

    def run(self, scenario: Callable[[Place, GuardianLink], Awaitable[Any]]) -> None:
        async def whole() -> None:
            guardians = Guardians(self.root / "g", self.group)
            try:
                link = await guardians.start(ID, self.target, until=boot() + 60, term=10.0)
                await asyncio.to_thread(self.target.mkdir)
                await scenario(Place(ID, self.target, link), link)
                await link.dismiss()
            finally:
                await guardians.close()

        asyncio.run(whole())

    def ssh(self) -> pidfd.ProcessId:
        """The process that has the connection."""
        for pid in cgroup.processes(cgroup.detect(), self.group):
            found = pidfd.identify(pid)
            if found is not None and Path(f"/proc/{pid}/comm").read_text() == "ssh\n":
                return found
        raise AssertionError("there is no ssh")

    def clear(self) -> None:
        assert cgroup.kill(cgroup.detect(), self.group, 20.0)
        while mount.unmount(self.target):
            pass
        until_true(lambda: cgroup.remove(cgroup.detect(), self.group), "the group is gone")


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with ssh_server(tmp_path) as server:
        made = Client(tmp_path, server)
        try:
            yield made
        finally:
            made.clear()


def test_it_mounts_with_a_key_from_memory_and_takes_it_away(client: Client) -> None:
    async def scenario(place: Place, link: GuardianLink) -> None:
        can = await client.driver.capabilities()
        assert (can.scope, can.ends_with_process, can.fences) == (Scope.GLOBAL, True, False)
        await client.driver.create(client.volume)
        mounted = await client.driver.mount(client.volume, place)
        again = await client.driver.mount(client.volume, place)
        assert mounted == again
        (client.target / "file").write_text("x")
        (client.target / "link").symlink_to("/absolute")
        assert os.readlink(client.target / "link") == "/absolute"
        assert (client.server.folder / "file").read_text() == "x"
        await link.leave()
        await client.driver.unmount(client.volume, place)
        await client.driver.unmount(client.volume, place)
        assert mount.mount_points(client.root) == []

    client.run(scenario)
    notes = [path.read_bytes() for path in (client.root / "notes").rglob("*") if path.is_file()]
    assert notes
    assert not any(client.server.key in each for each in notes), "the key is on no disk"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"host_key": "ssh-ed25519 " + "A" * 68}, "Host key verification failed"),
        ({"port": "1"}, "Connection refused"),
        ({"sshcmd": "root@127.0.0.1:/no/such/folder"}, "No such file"),
    ],
)
def test_what_cannot_be_mounted_says_why(client: Client, change: dict[str, str], why: str) -> None:
    async def scenario(place: Place, _: GuardianLink) -> None:
        volume = replace(client.volume, options={**client.volume.options, **change})
        with pytest.raises(SwarmError, match="cannot be mounted") as refused:
            await client.driver.mount(volume, place)
        assert why in refused.value.why
        assert client.server.key.decode() not in str(refused.value)
        assert mount.mount_points(client.root) == []

    client.run(scenario)


def test_nothing_is_sent_any_more_once_ssh_is_dead(client: Client) -> None:
    """Its socket throws away what is not sent when it closes, and gives up a silent peer."""

    async def scenario(place: Place, link: GuardianLink) -> None:
        mounted = await client.driver.mount(client.volume, place)
        ssh = client.ssh()
        assert _connections(ssh.pid) == [(client.server.port, (1, 0), 10_000)]
        os.kill(mounted.pid, signal.SIGKILL)
        end = await link.gone
        assert end.why.startswith("sshfs has ended")
        assert not pidfd.is_alive(ssh)

    client.run(scenario)


def _connections(pid: int) -> list[tuple[int, tuple[int, int], int]]:
    """Of a process: the peer's port, SO_LINGER, and TCP_USER_TIMEOUT in milliseconds."""
    libc, process = ctypes.CDLL(None), os.pidfd_open(pid)
    found = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        handle = libc.syscall(_PIDFD_GETFD, process, int(name), 0)
        if handle < 0:
            continue
        if not os.readlink(f"/proc/self/fd/{handle}").startswith("socket:"):
            os.close(handle)
            continue
        with socket.socket(fileno=handle) as connection:
            if connection.family == socket.AF_INET:
                linger = connection.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)
                timeout = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
                port = connection.getpeername()[1]
                found.append((port, struct.unpack("ii", linger), timeout))
    os.close(process)
    return found
