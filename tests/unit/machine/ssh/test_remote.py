"""Over a real SSH server on the loopback address: what Remote promises."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from machine.ssh.connection import Circumstances
from machine.ssh.host_keys import KnownHosts
from machine.ssh.keys import Keyring
from machine.ssh.questions import NoAnswers
from machine.ssh.remote import SshRemote
from machine.target import Target
from tests.support.ssh_server import SshServer, ssh_server

pytestmark = pytest.mark.root

Use = Callable[[SshRemote], Awaitable[None]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with ssh_server(tmp_path_factory.mktemp("ssh")) as running:
        yield running


def with_remote(server: SshServer, tmp_path: Path, use: Use) -> None:
    """Connects, uses, closes; and then no thread is left."""
    (tmp_path / "key").write_bytes(server.key)
    around = Circumstances(
        KnownHosts(tmp_path / "known_hosts"), Keyring(NoAnswers()), folder=tmp_path
    )
    target = Target(server.address, "root", server.port, "key")

    async def whole() -> None:
        remote = await SshRemote.connect("h1", target, around, lookup=lambda _: {})
        try:
            await use(remote)
        finally:
            await remote.close()

    asyncio.run(whole())
    assert threading.enumerate() == [threading.main_thread()]


def test_words_arrive_as_they_are_and_input_and_both_outputs_are_carried(
    server: SshServer, tmp_path: Path
) -> None:
    async def use(remote: SshRemote) -> None:
        script = 'cat; printf "<%s>" "$@" >&2; exit 7'
        words = ["$HOME", "a'b\\c!", "", "two\nlines"]
        done = await remote.run(["sh", "-c", script, "x", *words], stdin=b"\0in", timeout=30)
        assert (done.code, done.out) == (7, b"\0in")
        assert done.err == "".join(f"<{word}>" for word in words).encode()

    with_remote(server, tmp_path, use)


def test_megabytes_on_both_outputs_and_the_input_at_once(server: SshServer, tmp_path: Path) -> None:
    async def use(remote: SshRemote) -> None:
        big = bytes(range(256)) * 24_000
        script = "tee /dev/stderr; exit 7"
        done = await remote.run(["sh", "-c", script], stdin=big, timeout=60, limit=1 << 24)
        assert done.code == 7
        assert done.out == big
        assert done.err == big

    with_remote(server, tmp_path, use)


def test_a_command_that_takes_too_long_is_ended_on_the_host(
    server: SshServer, tmp_path: Path
) -> None:
    async def use(remote: SshRemote) -> None:
        left = tmp_path / "left"
        script = f"trap 'touch {left}; exit' TERM; sleep 100 & wait"
        with pytest.raises(SwarmError) as failed:
            await remote.run(["sh", "-c", script], timeout=1)
        assert failed.value.code is Code.DEADLINE
        assert "h1" in failed.value.what
        assert left.exists()

    with_remote(server, tmp_path, use)


def test_files_are_replaced_as_a_whole(server: SshServer, tmp_path: Path) -> None:
    async def use(remote: SshRemote) -> None:
        path = tmp_path / "made" / "file"
        await remote.write(str(path), b"old", mode=0o640)
        await remote.write(str(path), b"new\0", mode=0o604, owner="daemon:daemon")
        assert await remote.read(str(path)) == b"new\0"
        assert path.stat().st_mode & 0o7777 == 0o604
        assert path.owner() == "daemon"
        assert path.parent.stat().st_mode & 0o7777 == 0o755
        assert [each.name for each in path.parent.iterdir()] == ["file"]
        assert await remote.read(str(path) + "x") is None
        with pytest.raises(SwarmError) as failed:
            await remote.read(str(path), limit=3)
        assert failed.value.code is Code.EXHAUSTED

    with_remote(server, tmp_path, use)


def test_nothing_works_after_close(server: SshServer, tmp_path: Path) -> None:
    async def use(remote: SshRemote) -> None:
        await remote.close()
        with pytest.raises(SwarmError) as failed:
            await remote.run(["true"], timeout=5)
        assert failed.value.code is Code.UNAVAILABLE

    with_remote(server, tmp_path, use)
