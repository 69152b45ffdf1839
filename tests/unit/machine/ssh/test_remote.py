"""Over a real SSH server on the loopback address: what Remote promises."""

import asyncio
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import paramiko
import pytest

from api.errors import Code, SwarmError
from machine.ssh.remote import SshRemote, shown_key
from machine.ssh.transport import Patience
from machine.target import Target
from tests.support.ssh_clients import Answers, Client, Use
from tests.support.ssh_server import SshServer, ssh_server

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with ssh_server(tmp_path_factory.mktemp("ssh")) as running:
        yield running


def with_remote(server: SshServer, tmp_path: Path, use: Use, *jump: str) -> Client:
    """Connects, uses, closes; the operator."""
    (tmp_path / "key").write_bytes(server.key)
    client = Client(tmp_path, patience=Patience())
    client.use(Target(server.address, "root", server.port, "key", jump, agent=False), use)
    return client


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
            await remote.run(["sh", "-c", script], timeout=5)
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


def test_a_signal_is_told_from_an_exit_status(server: SshServer, tmp_path: Path) -> None:
    async def use(remote: SshRemote) -> None:
        for script, code in (("kill -1 $$", -1), ("kill -9 $$", -9), ("exit 137", 137)):
            assert (await remote.run(["sh", "-c", script], timeout=30)).code == code
        assert (await remote.run(["no-such-program"], timeout=30)).code == 127

    with_remote(server, tmp_path, use)


def test_input_that_nobody_reads(server: SshServer, tmp_path: Path) -> None:
    async def use(remote: SshRemote) -> None:
        big = bytes(5 << 20)
        deaf = ["sh", "-c", "exec <&-; sleep 0.3; exit 3"]
        assert (await remote.run(deaf, stdin=big, timeout=30)).code == 3

    with_remote(server, tmp_path, use)


def test_many_commands_at_once(server: SshServer, tmp_path: Path) -> None:
    async def use(remote: SshRemote) -> None:
        words = [str(number) for number in range(24)]
        done = await asyncio.gather(*(remote.run(["echo", word], timeout=60) for word in words))
        assert [each.text for each in done] == words

    with_remote(server, tmp_path, use)


def test_over_jump_hosts_each_with_its_own_pinned_key(server: SshServer, tmp_path: Path) -> None:
    async def use(remote: SshRemote) -> None:
        big = bytes(3 << 20)
        assert (await remote.run(["cat"], stdin=big, timeout=60, limit=1 << 24)).out == big
        await remote.write(str(tmp_path / "file"), big, mode=0o600)

    jumps = (f"root@localhost:{server.port}", f"root@127.0.0.1:{server.port}")
    client = with_remote(server, tmp_path, use, *jumps)
    assert [key.name for key in client.pinned] == [
        f"[localhost]:{server.port}",
        f"[127.0.0.1]:{server.port}_via_[localhost]:{server.port}",
        f"[127.0.0.1]:{server.port}_via_[127.0.0.1]:{server.port}_via_[localhost]:{server.port}",
    ]


def test_a_host_behind_a_jump_host_that_is_not_there(server: SshServer, tmp_path: Path) -> None:
    client = Client(tmp_path, patience=Patience())
    (tmp_path / "key").write_bytes(server.key)
    jump = (f"root@127.0.0.1:{server.port}",)
    with pytest.raises(SwarmError) as failed:
        client.try_out(Target("127.0.0.1", "root", 1, "key", jump, agent=False))
    assert failed.value.code is Code.UNAVAILABLE
    assert "port 1 of 127.0.0.1 from 127.0.0.1" in failed.value.what
    assert "refused" in failed.value.why


def test_the_key_that_is_shown_is_not_trusted_by_looking(server: SshServer, tmp_path: Path) -> None:
    client = Client(tmp_path, patience=Patience())
    target = Target(server.address, "root", server.port)
    looking = shown_key("h1", target, client.around, lookup=lambda _: {})
    shown = asyncio.run(looking)
    assert shown.line.split()[1:] == server.host_key.split()
    assert client.known.find(shown.name) == []


def test_a_locked_key_is_opened_once_for_all_hosts(server: SshServer, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(server.key)
    (tmp_path / "key").chmod(0o600)
    change = ["ssh-keygen", "-q", "-p", "-N", "secret", "-f", str(tmp_path / "key")]
    subprocess.run(change, check=True, timeout=60)
    answers = Answers("secret")
    client = Client(tmp_path, questions=answers, patience=Patience())
    target = Target(server.address, "root", server.port, "key", agent=False)
    client.try_out(target)
    client.try_out(target)
    assert answers.asked == ["key"]
    with pytest.raises(SwarmError) as failed:
        Client(tmp_path, patience=Patience()).try_out(target)
    assert failed.value.code is Code.UNAUTHENTICATED
    assert "passphrase" in str(failed.value)


def test_no_descriptor_is_left(server: SshServer, tmp_path: Path) -> None:
    async def use(remote: SshRemote) -> None:
        await asyncio.gather(*(remote.run(["echo"], timeout=60) for _ in range(10)))
        await remote.write(str(tmp_path / "file"), b"", mode=0o600)
        with pytest.raises(SwarmError):
            await remote.run(["sleep", "9"], timeout=0.2)

    with_remote(server, tmp_path, use)
    before = os.listdir("/proc/self/fd")
    with_remote(server, tmp_path, use, f"root@localhost:{server.port}")
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.parametrize(
    "kind", [paramiko.common.MSG_CHANNEL_EOF, paramiko.common.MSG_CHANNEL_DATA]
)
def test_input_for_a_command_that_has_just_ended_costs_no_connection(
    server: SshServer, tmp_path: Path, kind: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = paramiko.Transport._send_user_message  # type: ignore[attr-defined]

    def late(transport: paramiko.Transport, message: paramiko.Message) -> None:
        """As if its thread had to wait for a processor meanwhile."""
        if message.asbytes()[0] == kind:
            time.sleep(0.3)
        send(transport, message)

    monkeypatch.setattr(paramiko.Transport, "_send_user_message", late)

    async def use(remote: SshRemote) -> None:
        for _ in range(2):
            done = await remote.run(["true"], stdin=b"not read", timeout=20)
            assert done.code == 0

    with_remote(server, tmp_path, use)
