"""The lab's finer faults: links that are cut one way, daemons that stand still, disks that fail.

The daemon in these hosts is a small program (tests/support/lab_daemon.py), so that what fails here
is the lab.
"""

import asyncio
import errno
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from api.errors import SwarmError
from hostkit.mount import mount_points
from machine.drivers.lab import disk, naming
from machine.drivers.lab.cuts import Way
from machine.drivers.lab.driver import LabDriver
from machine.drivers.lab.host import LabHost

pytestmark = pytest.mark.cluster

PROGRAM = Path(__file__).parents[1] / "support/lab_daemon.py"
DAEMON = (sys.executable, "-I", "-S", str(PROGRAM), "{state}", "{run}")
NAME = f"f{os.getpid()}"
DISK = 16


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    yield
    assert not (naming.DEFAULT_BASE / NAME).exists()
    assert mount_points(naming.DEFAULT_BASE / NAME) == []


@asynccontextmanager
async def a_lab(*names: str, size: int = 0) -> AsyncIterator[LabDriver]:
    lab = LabDriver.make(NAME, daemon=DAEMON, disk=size)
    try:
        for host in await lab.create_all(names):
            await host.wait_for_socket(host.paths.swarm_socket)
        yield lab
    finally:
        await lab.down()


def with_lab(
    *names: str, size: int = 0
) -> Callable[[Callable[[LabDriver], Awaitable[None]]], Callable[[], None]]:
    """A test that is run within a fresh lab of those hosts."""

    def wrap(scenario: Callable[[LabDriver], Awaitable[None]]) -> Callable[[], None]:
        async def run() -> None:
            async with a_lab(*names, size=size) as lab:
                await scenario(lab)

        def test() -> None:
            asyncio.run(run())

        test.__name__ = scenario.__name__
        return test

    return wrap


LISTEN = """\
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
    own.settimeout(20)
    own.bind(("0.0.0.0", 9))
    print(own.recvfrom(9)[0].decode())
"""
SAY = """\
import socket, sys, time
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
    for _ in range(20):
        own.sendto(sys.argv[2].encode(), (sys.argv[1], 9))
        time.sleep(0.05)
"""


async def know_each_other(first: LabHost, second: LabHost) -> None:
    """Without asking: a host that cannot be answered learns no address by ARP."""
    for host, other in ((first, second), (second, first)):
        address = naming.hardware_address(other.address)
        words = ("ip", "neigh", "replace", other.address, "lladdr", address, "dev", "eth0")
        await host.run([*words, "nud", "permanent"])


async def says(speaker: LabHost, listener: LabHost, word: str) -> None:
    """Sends datagrams, and returns when all are sent."""
    await speaker.run([sys.executable, "-c", SAY, listener.address, word])


@pytest.mark.parametrize(("way", "cut_one_speaks"), [(Way.IN, True), (Way.OUT, False)])
def test_a_link_may_be_cut_one_way(way: Way, cut_one_speaks: bool) -> None:
    async def scenario(lab: LabDriver) -> None:
        cut, other = lab.host("w1"), lab.host("w2")
        await know_each_other(cut, other)
        speaker, listener = (cut, other) if cut_one_speaks else (other, cut)
        await cut.cut(way)
        assert await lab.links() == {"w1": False, "w2": True}
        hears = asyncio.create_task(listener.run([sys.executable, "-c", LISTEN]))
        deaf = asyncio.create_task(speaker.run([sys.executable, "-c", LISTEN]))
        while not hears.done():
            await says(speaker, listener, "this way")
        assert (await hears).text.strip() == "this way"
        await says(listener, speaker, "lost")
        await lab.heal()
        assert await lab.links() == {"w1": True, "w2": True}
        while not deaf.done():
            await says(listener, speaker, "healed")
        assert (await deaf).text.strip() == "healed", "what was said before was lost"

    with_lab("w1", "w2")(scenario)()


@with_lab("m1")
async def test_a_paused_daemon_stands_while_its_host_goes_on(lab: LabDriver) -> None:
    host = lab.host("m1")
    paused = await host.pause_daemon()
    assert (str(paused), paused.pid is not None) == ("paused", True)
    async with asyncio.timeout(20):
        # Told to stop, it does once it has its turn.
        while await _process_state(host, paused.pid) != "T":
            pass
    assert str(await host.resume_daemon()) == "up"
    await host.pause_daemon()
    assert str(await host.kill_daemon()) == "down (-9)"
    assert str(await host.start_daemon()) == "up", "a new daemon is not paused"


async def _process_state(host: LabHost, pid: int | None) -> str:
    """One letter, as the kernel has it."""
    return (await host.run(["cut", "-d ", "-f3", f"/proc/{pid}/stat"])).text.strip()


@with_lab("m1", "m2", size=DISK)
async def test_each_host_has_a_disk_of_its_own_that_outlives_it(lab: LabDriver) -> None:
    m1, m2 = lab.host("m1"), lab.host("m2")
    (m1.paths.state / "kept").write_text("kept")
    await m1.kill()
    await m1.start()
    assert (m1.paths.state / "kept").read_text() == "kept"
    for host in (m1, m2):
        points = (await host.run(["cut", "-d ", "-f2", "/proc/self/mounts"])).text.split()
        own = [point for point in points if point.startswith(str(naming.DEFAULT_BASE))]
        assert own == [str(host.paths.state)], "of others' disks it sees none"


@with_lab("m1", "m2", size=DISK)
async def test_a_full_disk_takes_nothing_until_it_is_freed(lab: LabDriver) -> None:
    host, other = lab.host("m1"), lab.host("m2")
    write = ["sh", "-c", f"echo word >> {host.paths.state}/file && cat {host.paths.state}/file"]
    await disk.fill(host.paths)
    assert (await host.run(write, check=False)).code != 0
    (other.paths.state / "file").write_text("the others have room")
    await disk.free(host.paths)
    assert (await host.run(write)).text == "word"


@with_lab("m1", size=DISK)
async def test_a_disk_that_failed_is_read_only_until_the_host_starts_anew(lab: LabDriver) -> None:
    host = lab.host("m1")
    await disk.fill(host.paths)
    await disk.free(host.paths)
    with (host.paths.state / "open").open("wb", buffering=0) as file:
        file.write(b"before\n")
        os.fsync(file.fileno())
        await disk.fail(host.paths)
        with pytest.raises(OSError, match="Read-only") as failed:
            file.write(b"after\n")
        assert failed.value.errno == errno.EROFS
    await host.kill()
    await host.start()
    await host.wait_for_socket(host.paths.swarm_socket)
    assert (host.paths.state / "open").read_text() == "before\n"
    (host.paths.state / "open").write_text("anew\n")


@with_lab("m1")
async def test_a_host_without_a_disk_of_its_own_says_so(lab: LabDriver) -> None:
    for action in (disk.fill, disk.free, disk.fail):
        with pytest.raises(SwarmError, match="has no disk of its own"):
            await action(lab.host("m1").paths)
