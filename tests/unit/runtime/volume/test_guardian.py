"""Guardians as processes: what they do when they hear nothing, when they are stopped, when the
daemon is. The mounts are real ones: sshfs joined to an SFTP server without a network between.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from api.errors import SwarmError
from hostkit import cgroup, mount, pidfd
from hostkit.clock import boot
from runtime.volume import guardians as module
from runtime.volume.driver import Server
from runtime.volume.guard import LAPSED
from runtime.volume.guardians import KILLED, GuardianLink, Guardians
from tests.support.plain_mount import name_of
from tests.support.ssh_server import SFTP
from tests.support.until import until_true

pytestmark = pytest.mark.root

ID = "g" * 25
SOON = 4.0
"""Seconds in which a mount is let go on a busy machine, too, and between which it is renewed."""
LEASE, TERM = 2 * SOON, 5 * SOON
"""A lease of these tests, the last half of which is its notice: a fifth of the term."""


class Box:
    """A folder for guardians, a storage that they mount, and containers that are just processes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.storage = root / "storage"
        self.storage.mkdir()
        self.group = f"/test-guardian-{os.getpid()}"
        self.target = root / "g" / ID / "data"
        self._started: list[subprocess.Popen[bytes]] = []
        self._hierarchies = cgroup.detect()

    def guardians(self) -> Guardians:
        return Guardians(self.root / "g", f"{self.group}/guardians")

    def run(self, scenario: Callable[[Guardians], Awaitable[Any]]) -> Any:
        async def whole() -> Any:
            guardians = self.guardians()
            try:
                return await scenario(guardians)
            finally:
                await guardians.close()

        return asyncio.run(whole())

    async def mounted(
        self, guardians: Guardians, seconds: float | None
    ) -> tuple[GuardianLink, int]:
        """A guardian whose lease ends in so many seconds, and its server.

        It is renewed until the mount is there, which may take its time on a busy machine.
        """
        await self.started_before(guardians)
        until = None if seconds is None else boot() + seconds
        link = await guardians.start(ID, self.target, until=until, term=TERM)
        await link.users([f"{self.group}/c"])
        await asyncio.to_thread(self.target.mkdir)
        server = Server(
            command=("sshfs", "-f", "x:" + str(self.storage), str(self.target), "-o", "passive"),
            transport=(SFTP,),
        )
        serving = asyncio.create_task(link.serve(server, self.target, 30.0))
        await self.renewed_until(serving, link, seconds)
        return link, await serving

    @staticmethod
    async def renewed_until(
        done: "asyncio.Future[Any]", link: GuardianLink, seconds: float | None
    ) -> None:
        """Its lease lasts so many seconds longer than until then."""
        while not done.done():
            if seconds is not None:
                link.renew(boot() + seconds)
            await asyncio.sleep(0.1)

    async def started_before(self, guardians: Guardians) -> None:
        """What the first guardian of a daemon waits for, the start of a Python, is over then."""
        first = await guardians.start("first", self.root / "first", until=None, term=1.0)
        await first.dismiss()

    def container(self, *argv: str) -> "subprocess.Popen[bytes]":
        """A process in the control group of a container."""
        group = cgroup.make(self._hierarchies, f"{self.group}/c")
        process = subprocess.Popen(argv or ("sleep", "600"))
        self._started.append(process)
        cgroup.join(group, process.pid)
        return process

    def guardian(self) -> int:
        """Its pid: of what is in the group that has no other parent; 0 if there is none."""
        for pid in cgroup.processes(self._hierarchies, f"{self.group}/guardians"):
            if name_of(pid) == "swarm-guardian":
                return pid
        return 0

    def clear(self) -> None:
        for process in self._started:
            process.kill()
            process.wait()
        assert cgroup.kill(self._hierarchies, f"{self.group}/guardians", 20.0)
        while mount.unmount(self.target):
            pass
        until_true(lambda: cgroup.remove(self._hierarchies, self.group), "the groups are gone")


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box(tmp_path)
    try:
        yield made
    finally:
        made.clear()


def _writes(folder: Path) -> bool:
    try:
        (folder / "file").write_text("x")
    except OSError:
        return False
    return True


def test_what_is_renewed_stays_and_what_is_not_is_let_go(box: Box) -> None:
    async def scenario(guardians: Guardians) -> None:
        link, server = await box.mounted(guardians, LEASE)
        container = box.container()
        end = boot() + LEASE
        while boot() < end:
            link.renew(boot() + LEASE)
            await asyncio.sleep(0.1)
        assert not link.gone.done()
        assert _writes(box.target)
        found = await link.gone
        assert (found.why, found.killed, found.unmounted) == (LAPSED, True, True)
        assert container.wait() == -signal.SIGKILL
        assert not box.target.exists(), "nobody takes the empty folder for the volume"
        assert pidfd.identify(server) is None

    box.run(scenario)


def test_a_stopped_guardian_is_killed_by_the_kernel_and_its_mount_with_it(box: Box) -> None:
    async def scenario(guardians: Guardians) -> None:
        link, server = await box.mounted(guardians, LEASE)
        open_file = (box.target / "open").open("w")
        guardian = box.guardian()
        assert guardian
        os.kill(guardian, signal.SIGSTOP)
        os.kill(server, signal.SIGSTOP)
        found = await link.gone
        assert (found.why, found.killed) == (KILLED, False)
        open_file.write("late")
        with pytest.raises(OSError, match=r"abort|not connected"):
            open_file.flush()
        with pytest.raises(OSError, match=r"abort|not connected"):
            open_file.close()
        assert not _writes(box.target)

    box.run(scenario)
    assert (box.storage / "open").read_text() == ""


def test_a_server_that_dies_ends_the_containers_that_used_it(box: Box) -> None:
    async def scenario(guardians: Guardians) -> None:
        link, server = await box.mounted(guardians, None)
        container = box.container()
        os.kill(server, signal.SIGKILL)
        found = await link.gone
        assert found.why == "sshfs has ended: signal 9"
        assert container.wait() == -signal.SIGKILL

    box.run(scenario)


def test_it_survives_the_daemon_and_is_found_by_the_next(box: Box) -> None:
    """The daemon is a process of its own, and killed."""
    daemon = subprocess.Popen([sys.executable, "-c", _DAEMON, *map(str, _words(box))])
    try:
        until_true(lambda: box.target in mount.mount_points(box.root), "it is mounted")
    finally:
        daemon.kill()
        daemon.wait()
    container = box.container()

    async def next_one(guardians: Guardians) -> None:
        link = await guardians.adopt(ID)
        assert link is not None
        link.renew(boot() + 100)
        await link.users([f"{box.group}/c"])
        await link.leave()
        assert mount.unmount(box.target)
        await link.dismiss()
        assert link.gone.done()

    box.run(next_one)
    assert container.poll() is None, "an orderly end kills nobody"
    assert box.run(lambda guardians: guardians.adopt(ID)) is None


def test_a_daemon_that_hangs_renews_nothing(box: Box) -> None:
    container = box.container()
    daemon = subprocess.Popen([sys.executable, "-c", _DAEMON, *map(str, _words(box, renews=True))])
    try:
        until_true(lambda: box.target in mount.mount_points(box.root), "it is mounted")
        assert container.poll() is None
        daemon.send_signal(signal.SIGSTOP)
        assert container.wait(20) == -signal.SIGKILL
        until_true(lambda: not box.guardian(), "its guardian has said why, and has ended")
        assert not box.target.exists()
    finally:
        daemon.kill()
        daemon.wait()
    assert box.guardians().end(ID).why == LAPSED


def test_renewals_are_heard_while_a_server_starts(box: Box) -> None:
    async def scenario(guardians: Guardians) -> None:
        await box.started_before(guardians)
        link = await guardians.start(ID, box.target, until=boot() + LEASE, term=TERM)
        await asyncio.to_thread(box.target.mkdir)
        script = f"sleep {LEASE}; exec sshfs -f x:{box.storage} {box.target} -o passive"
        slow = ["sh", "-c", script]
        serving = asyncio.create_task(link.serve(Server(slow, (SFTP,)), box.target, 30.0))
        await box.renewed_until(serving, link, LEASE)
        assert pidfd.identify(await serving) is not None
        assert _writes(box.target)
        assert mount.unmount(box.target)
        await link.dismiss()

    box.run(scenario)


def test_a_starter_that_is_long_in_starting_is_waited_for(
    box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = tmp_path / "python"
    slow.write_text(f'#!/bin/sh\nsleep 2; exec {sys.executable} "$@"\n')
    slow.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(slow))
    monkeypatch.setattr(module, "_ANSWER", 1.0)
    box.run(box.started_before)


def test_a_server_that_cannot_start_says_why_and_leaves_nothing(box: Box) -> None:
    async def scenario(guardians: Guardians) -> None:
        link = await guardians.start(ID, box.target, until=None, term=1.0)
        await asyncio.to_thread(box.target.mkdir)
        for command, why in ((("no-such-program",), "No such file"), (("false",), "exit status 1")):
            with pytest.raises(SwarmError, match="serves no mount") as refused:
                await link.serve(Server(command), box.target, 30.0)
            assert why in refused.value.why
        with pytest.raises(SwarmError, match="no answer"):
            await link.serve(Server(("sleep", "100")), box.target, 0.3)
        await link.dismiss()

    box.run(scenario)


def test_only_root_sees_a_secret_file_and_it_is_gone_once_the_server_is_ready(box: Box) -> None:
    async def scenario(guardians: Guardians) -> None:
        link = await guardians.start(ID, box.target, until=None, term=1.0)
        await asyncio.to_thread(box.target.mkdir)
        shell = 'stat -L -c "%a %u" "$1" >&2; cat "$1" >&2'
        server = Server(("sh", "-c", shell, "sh", "{file:key}"), files={"key": b"\xffsecret"})
        with pytest.raises(SwarmError) as refused:
            await link.serve(server, box.target, 30.0)
        assert "600 0 | \ufffdsecret" in refused.value.why
        await link.dismiss()

    box.run(scenario)


def test_two_hundred_guardians_share_their_memory(box: Box) -> None:
    async def scenario(guardians: Guardians) -> None:
        links = [
            await guardians.start(f"{number:025}", box.root / str(number), until=None, term=1.0)
            for number in range(200)
        ]
        group = cgroup.processes(cgroup.detect(), f"{box.group}/guardians")
        used = sum(_pss(pid) for pid in group)
        assert used < 200 * 4096, f"{used} KiB for 200 guardians"
        for link in links:
            await link.dismiss()

    box.run(scenario)


def _pss(pid: int) -> int:
    """KiB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def _words(box: Box, *, renews: bool = False) -> tuple[object, ...]:
    return box.root, box.group, int(renews)


_DAEMON = f"""
import asyncio, sys
from pathlib import Path
from hostkit.clock import boot
from runtime.volume.driver import Server
from runtime.volume.guardians import Guardians

async def main():
    root, group, renews = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    target = root / "g" / "{ID}" / "data"
    guardians = Guardians(root / "g", group + "/guardians")
    first = await guardians.start("first", root / "first", until=None, term=1.0)
    await first.dismiss()  # the start of a Python is no part of the lease
    until = boot() + ({LEASE} if renews else 60.0)
    link = await guardians.start("{ID}", target, until=until, term={TERM})
    renewing = asyncio.create_task(renew(link)) if renews else None
    await link.users([group + "/c"])
    target.mkdir()
    command = ("sshfs", "-f", "x:" + str(root / "storage"), str(target), "-o", "passive")
    await link.serve(Server(command, transport=("{SFTP}",)), target, 30.0)
    await asyncio.sleep(1000)

async def renew(link):
    while True:
        link.renew(boot() + {LEASE})
        await asyncio.sleep(0.1)

asyncio.run(main())
"""


@pytest.mark.parametrize("ends", ["dismissed", "lapsed"])
def test_what_a_server_mounts_after_all_while_it_is_ended_is_taken_away(
    box: Box, ends: str
) -> None:
    """It was still starting when its mount was given up, so that there was none to take away."""
    late = f"sleep 0.8; exec sshfs -f x:{box.storage} {box.target} -o passive"
    server = Server(command=("sh", "-c", late), transport=(SFTP,))

    async def scenario(guardians: Guardians) -> None:
        await box.started_before(guardians)
        until = boot() + (0.5 + TERM / 5 if ends == "lapsed" else 3600)
        link = await guardians.start(ID, box.target, until=until, term=TERM)
        await asyncio.to_thread(box.target.mkdir)
        serving = asyncio.create_task(link.serve(server, box.target, 30.0))
        await asyncio.sleep(0.2)
        serving.cancel()
        if ends == "dismissed":
            await link.leave()
            await link.dismiss()
        await asyncio.wait_for(link.gone, 20)

    box.run(scenario)
    until_true(lambda: box.guardian() == 0, "the guardian is gone")
    assert not mount.is_mounted(box.target)
