"""What goes wrong while a host is used: told in time, by the right name, and nothing hangs."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import paramiko
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)

import machine.ssh.remote
from api.errors import Code, SwarmError
from machine.ssh.remote import SshRemote
from machine.target import Target
from tests.support.elapsing import elapse
from tests.support.freezing_relay import freezing_relay
from tests.support.odd_ssh import Manners, OddServer, Serve, answering, odd_server
from tests.support.ssh_clients import PATIENCE, Answers, Client, impatient

Call = Callable[[SshRemote], Awaitable[object]]


@pytest.fixture
def client(tmp_path: Path) -> Client:
    client = Client(tmp_path)
    client.made_key()
    return client


def target(port: int) -> Target:
    return Target("127.0.0.1", "root", port, key="key", agent=False)


def at_first(then: Serve) -> Serve:
    """Says who it is to the first command, which asks, and does `then` for the others."""

    def serve(channel: paramiko.Channel, command: str) -> None:
        (answering(0, b"0\n") if command == "id -u" else then)(channel, command)

    return serve


def fails(client: Client, server: OddServer, *calls: Call) -> list[SwarmError]:
    errors: list[SwarmError] = []

    async def use(remote: SshRemote) -> None:
        for call in calls:
            with pytest.raises(SwarmError) as failed:
                await call(remote)
            errors.append(failed.value)

    client.use(target(server.port), use)
    return errors


def true(remote: SshRemote) -> Awaitable[object]:
    return remote.run(["true"], timeout=60)


def test_a_connection_that_is_cut_is_lost_for_every_later_call(client: Client) -> None:
    def serve(channel: paramiko.Channel, _: str) -> None:
        channel.sendall(b"half")
        channel.get_transport().close()

    with odd_server(Manners(serve=at_first(serve))) as server:
        first, later, read = fails(client, server, true, true, lambda it: it.read("/x"))
    assert {first.code, later.code, read.code} == {Code.UNAVAILABLE}
    assert "h1 is lost" in first.what
    assert "do the same again" in first.remedy


@pytest.mark.parametrize("size", [100_000, 3 << 20])
def test_a_connection_that_is_cut_while_a_file_goes_there(client: Client, size: int) -> None:
    def serve(channel: paramiko.Channel, _: str) -> None:
        channel.recv(50_000)
        channel.get_transport().close()

    source = client.folder / "source"
    source.write_bytes(bytes(size))
    with odd_server(Manners(serve=at_first(serve))) as server:
        (upload,) = fails(client, server, lambda it: it.upload(source, "/x", mode=0o600))
    with odd_server(Manners(serve=at_first(serve))) as server:
        (write,) = fails(client, server, lambda it: it.write("/x", bytes(size), mode=0o600))
    assert {upload.code, write.code} == {Code.UNAVAILABLE}


def test_a_host_that_takes_no_input(client: Client) -> None:
    """Its window stays full, and it does not end the command either."""

    def serve(channel: paramiko.Channel, _: str) -> None:
        channel.status_event.wait(20)  # until the client closes it

    with odd_server(Manners(serve=at_first(serve))) as server:
        (error,) = fails(
            client, server, lambda it: it.run(["x"], stdin=bytes(5 << 20), timeout=0.5)
        )
    assert error.code is Code.DEADLINE


def test_a_server_that_never_answers_whether_it_takes_a_command(tmp_path: Path) -> None:
    client = impatient(tmp_path, stuck=1)

    async def stuck(remote: SshRemote) -> None:
        (transport,) = server.transports
        with transport.lock:  # its thread stands still at the next command
            await remote.run(["x"], timeout=0.5)

    with odd_server() as server:
        first, later = fails(client, server, stuck, true)
    assert first.code is Code.DEADLINE
    assert later.code is Code.UNAVAILABLE


def test_a_server_that_does_not_say_whether_it_opens_a_session(tmp_path: Path) -> None:
    client = impatient(tmp_path, channel=3)

    async def stuck(remote: SshRemote) -> None:
        (transport,) = server.transports
        with transport.lock:
            await remote.run(["x"], timeout=600)

    with odd_server() as server:
        (error,) = fails(client, server, stuck)
    assert error.code is Code.UNAVAILABLE
    assert error.why == "no session was opened within 3 s"


def test_a_host_that_goes_down_before_it_says_who_somebody_is(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine.ssh.remote, "_CHECK", 0.3)

    def serve(channel: paramiko.Channel, _: str) -> None:
        channel.status_event.wait(20)

    with odd_server(Manners(serve=serve)) as server, pytest.raises(SwarmError) as failed:
        client.try_out(target(server.port))
    assert failed.value.code is Code.UNAVAILABLE
    assert failed.value.why == "id -u took longer than 0.3 s"


def test_a_host_that_falls_silent(client: Client) -> None:
    """The network in between passes nothing any more, and tells nobody."""

    def serve(channel: paramiko.Channel, _: str) -> None:
        channel.status_event.wait(20)

    async def whole(port: int) -> SwarmError:
        async with freezing_relay(port) as relay:
            remote = await client.connect(target(relay.port))
            try:
                running = asyncio.create_task(remote.run(["x"], timeout=600))
                while len(server.manners.commands) < 2:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                relay.running.clear()
                await relay.held.wait()  # the question whether it still answers
                elapse(PATIENCE.silence)
                with pytest.raises(SwarmError) as failed:
                    await running
            finally:
                await remote.close()
                relay.running.set()
            return failed.value

    with odd_server(Manners(serve=at_first(serve))) as server:
        error = asyncio.run(whole(server.port))
    assert error.code is Code.UNAVAILABLE
    assert error.why == "the host is silent"


def test_a_server_that_opens_no_sessions(client: Client) -> None:
    with odd_server(Manners(sessions=0)) as server, pytest.raises(SwarmError) as failed:
        client.try_out(target(server.port))
    assert failed.value.code is Code.UNAVAILABLE
    assert "MaxSessions" in failed.value.remedy


def test_a_server_that_opens_few_sessions_at_a_time(client: Client) -> None:
    def serve(channel: paramiko.Channel, command: str) -> None:
        most.append(server.manners.opened)
        answering(0, channel.recv(10))(channel, command)

    async def use(remote: SshRemote) -> None:
        calls = [remote.run(["x"], stdin=b"%d" % number, timeout=60) for number in range(20)]
        done = await asyncio.gather(*calls)
        assert [each.text for each in done] == [str(number) for number in range(20)]

    most: list[int] = []
    with odd_server(Manners(at_once=2, serve=at_first(serve))) as server:
        client.use(target(server.port), use)
    assert 0 < max(most) <= 2


def test_lines_of_megabytes_are_told_in_parts_and_kept_up_to_the_limit(client: Client) -> None:
    line = b"x" * (5 << 20)
    lengths: list[int] = []

    async def use(remote: SshRemote) -> None:
        done = await remote.run(
            ["x"], timeout=60, limit=1 << 16, tell=lambda line: lengths.append(len(line))
        )
        assert (done.code, len(done.out), len(done.err)) == (7, 1 << 16, 1 << 16)

    with odd_server(Manners(serve=at_first(answering(7, line, line)))) as server:
        client.use(target(server.port), use)
    assert sum(lengths) == 2 * len(line)
    assert max(lengths) <= 1 << 16


def test_who_listens_may_fail_and_ends_the_command(client: Client) -> None:
    def tell(_: str) -> None:
        raise TimeoutError("heard enough")

    async def use(remote: SshRemote) -> None:
        with pytest.raises(TimeoutError, match="heard enough"):
            await remote.run(["x"], timeout=20, tell=tell)

    with odd_server(Manners(serve=at_first(answering(0, b"a\nb\n")))) as server:
        client.use(target(server.port), use)


def test_a_call_that_is_cancelled_leaves_the_connection_as_it_was(client: Client) -> None:
    def serve(channel: paramiko.Channel, command: str) -> None:
        if command.endswith("true"):
            answering(0)(channel, command)
        else:
            channel.status_event.wait(20)

    async def use(remote: SshRemote) -> None:
        running = asyncio.create_task(remote.run(["x"], timeout=600))
        while len(server.manners.commands) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            async with asyncio.timeout(20):
                await running
        assert (await remote.run(["true"], timeout=20)).code == 0

    with odd_server(Manners(serve=at_first(serve))) as server:
        client.use(target(server.port), use)


def test_close_ends_what_still_waits(client: Client) -> None:
    def serve(channel: paramiko.Channel, _: str) -> None:
        channel.status_event.wait(20)

    async def use(remote: SshRemote) -> None:
        calls = [asyncio.create_task(remote.run(["x"], timeout=600)) for _ in range(20)]
        while len(server.manners.commands) < 9:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await remote.close()
        for error in await asyncio.gather(*calls, return_exceptions=True):
            assert isinstance(error, SwarmError)
            assert error.code is Code.UNAVAILABLE

    with odd_server(Manners(serve=at_first(serve))) as server:
        client.use(target(server.port), use)


def test_a_question_that_nobody_answers_ends_with_the_connection(tmp_path: Path) -> None:
    class Silent(Answers):
        async def passphrase(self, key: Path) -> str | None:
            asked.set()
            await asyncio.sleep(600)
            return None

    (tmp_path / "key").write_bytes(locked_key())
    client = Client(tmp_path, questions=Silent())

    async def whole(port: int) -> None:
        asked.clear()
        connecting = asyncio.create_task(client.connect(target(port)))
        await asked.wait()
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting

    asked = asyncio.Event()
    with odd_server() as server:
        asyncio.run(whole(server.port))


def locked_key() -> bytes:
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(
        Encoding.PEM, PrivateFormat.OpenSSH, BestAvailableEncryption(b"secret")
    )
