"""Whatever stands in the way is told in seconds, with its cause and what to do."""

import socket
import threading
import time
from pathlib import Path

import paramiko
import pytest

from api.errors import Code, SwarmError
from machine.ssh.host_keys import HostKey
from machine.target import Target
from tests.support.odd_ssh import Manners, answering, odd_listener, odd_server
from tests.support.ssh_clients import Client, impatient
from tests.support.until import until_true

HERE = "127.0.0.1"


@pytest.fixture
def client(tmp_path: Path) -> Client:
    client = Client(tmp_path)
    client.made_key()
    return client


def target(port: int, host_key: str = "") -> Target:
    return Target(HERE, "root", port, key="key", agent=False, host_key=host_key)


def refused(client: Client, to: Target) -> SwarmError:
    before = threading.active_count()
    with pytest.raises(SwarmError) as failed:
        client.try_out(to)
    until_true(lambda: threading.active_count() <= before, "no thread of it is left")
    return failed.value


def test_a_closed_port_is_told_at_once(client: Client) -> None:
    with socket.socket() as deaf:
        deaf.bind((HERE, 0))  # and nobody else gets the port meanwhile
        error = refused(client, target(deaf.getsockname()[1]))
    assert error.code is Code.UNAVAILABLE
    assert error.why == "connection refused"
    assert "systemctl start ssh" in error.remedy


def test_a_name_that_nobody_knows(client: Client) -> None:
    error = refused(client, Target("no such host", "root", 22, "key"))
    assert error.code is Code.UNAVAILABLE
    assert "leads to no address" in error.why


def test_a_banner_that_never_comes(tmp_path: Path) -> None:
    client = impatient(tmp_path, banner=1)
    begun = time.monotonic()
    with odd_listener(lambda _: None) as port:
        error = refused(client, target(port))
    assert error.code is Code.UNAVAILABLE
    assert error.why == "it said nothing within 1 s"
    assert time.monotonic() - begun < 30


@pytest.mark.parametrize("said", [b"", b"HTTP/1.0 400 Bad Request\r\n\r\n", b"SSH-1.5-old\r\n"])
def test_somebody_who_is_no_ssh_server(client: Client, said: bytes) -> None:
    def serve(way: socket.socket) -> None:
        way.sendall(said)
        way.close()

    with odd_listener(serve) as port:
        error = refused(client, target(port))
    assert error.code in (Code.UNAVAILABLE, Code.UNSUPPORTED)
    assert str(port) in error.what


def test_a_server_that_shuts_this_machine_out_for_a_while(client: Client) -> None:
    def serve(way: socket.socket) -> None:
        way.sendall(b"Not allowed at this time\r\n")
        way.close()

    with odd_listener(serve) as port:
        error = refused(client, target(port))
    assert error.code is Code.UNAVAILABLE
    assert "Not allowed at this time" in error.why
    assert "wait half a minute" in error.remedy


def test_a_banner_that_never_ends(tmp_path: Path) -> None:
    client = impatient(tmp_path, banner=1, handshake=1)

    def serve(way: socket.socket) -> None:
        way.settimeout(0.05)
        while True:
            way.sendall(b"x" * 64)
            time.sleep(0.01)

    with odd_listener(serve) as port:
        assert refused(client, target(port)).code is Code.UNAVAILABLE


def test_a_key_that_is_not_taken_is_final(client: Client) -> None:
    with odd_server(Manners(accepts=lambda _: paramiko.common.AUTH_FAILED)) as server:
        error = refused(client, target(server.port))
        assert len(server.transports) == 1
    assert error.code is Code.UNAUTHENTICATED
    assert str(client.folder / "key") in error.why
    assert "authorized_keys" in error.remedy


def test_a_server_that_takes_only_passwords(client: Client) -> None:
    manners = Manners(accepts=lambda _: paramiko.common.AUTH_FAILED, methods="password")
    with odd_server(manners) as server:
        error = refused(client, target(server.port))
    assert error.code is Code.UNAUTHENTICATED
    assert "only: password" in error.why


def test_a_server_that_wants_more_than_a_key(client: Client) -> None:
    manners = Manners(
        accepts=lambda _: paramiko.common.AUTH_PARTIALLY_SUCCESSFUL, methods="password"
    )
    with odd_server(manners) as server:
        error = refused(client, target(server.port))
    assert "more than a key" in error.why


def test_a_missing_key_is_named(client: Client) -> None:
    with odd_server() as server:
        error = refused(client, Target(HERE, "root", server.port, "other"))
    assert error.code is Code.INVALID
    assert "other" in error.what


def test_a_server_that_hangs_up_while_keys_are_offered(client: Client) -> None:
    def accepts(_: paramiko.PKey) -> int:
        server.transports[0].close()
        return paramiko.common.AUTH_FAILED

    with odd_server(Manners(accepts=accepts)) as server:
        error = refused(client, target(server.port))
    assert error.code is Code.UNAVAILABLE
    assert "broke when" in error.why


def test_a_server_that_thinks_about_a_key_for_ever(tmp_path: Path) -> None:
    client = impatient(tmp_path, auth=0.5)
    over = threading.Event()

    def accepts(_: paramiko.PKey) -> int:
        over.wait(20)
        return paramiko.common.AUTH_FAILED

    with odd_server(Manners(accepts=accepts)) as server:
        with pytest.raises(SwarmError) as failed:
            client.try_out(target(server.port))
        over.set()
    assert failed.value.code is Code.UNAVAILABLE
    assert "no answer to" in failed.value.why


def test_a_server_that_knows_old_algorithms_only(client: Client) -> None:
    modern = [f"aes{bits}-ctr" for bits in (128, 192, 256)]
    modern += ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com"]
    with odd_server(Manners(without={"ciphers": modern})) as server:
        error = refused(client, target(server.port))
    assert error.code is Code.UNSUPPORTED
    assert "old algorithms" in error.why


def test_the_first_host_key_is_pinned_and_another_one_refused(client: Client) -> None:
    first, second = paramiko.ECDSAKey.generate(), paramiko.ECDSAKey.generate()
    with odd_server(keys=[first]) as server:
        client.try_out(target(server.port))
        client.try_out(target(server.port))
        (pinned,) = client.pinned
        assert pinned.blob == first.asbytes()
        server.keys[:] = [second]
        error = refused(client, target(server.port))
        assert error.code is Code.UNAUTHENTICATED
        assert pinned.fingerprint in error.why
        assert HostKey("", "", second.asbytes()).fingerprint in error.why
        assert "swarmctl machine trust h1" in error.remedy
        assert client.known.find(pinned.name) == [pinned]


def test_a_fingerprint_that_was_given_decides(client: Client) -> None:
    key = paramiko.ECDSAKey.generate()
    known = HostKey("", "", key.asbytes()).fingerprint
    with odd_server(keys=[key]) as server:
        other = HostKey(f"[{HERE}]:{server.port}", "ssh-ed25519", b"former")
        client.known.replace(other)
        error = refused(client, target(server.port, host_key="SHA256:wrong"))
        assert "SHA256:wrong was given" in error.why
        client.try_out(target(server.port, host_key=known))
    assert [each.fingerprint for each in client.known.find(other.name)] == [known]


def test_the_fingerprint_may_be_of_any_key_that_the_host_has(client: Client) -> None:
    keys: list[paramiko.PKey] = [paramiko.ECDSAKey.generate(), paramiko.RSAKey.generate(2048)]
    for key in keys:
        given = HostKey("", "", key.asbytes()).fingerprint
        with odd_server(keys=keys) as server:
            client.try_out(target(server.port, host_key=given))
            until_true(
                lambda: not any(each.is_active() for each in server.transports),
                "every connection is closed",
            )


def test_a_login_shell_that_talks(client: Client) -> None:
    with odd_server(Manners(serve=answering(0, b"Welcome!\n0\n"))) as server:
        error = refused(client, target(server.port))
    assert error.code is Code.DENIED
    assert "'Welcome!'" in error.why
    assert ".bashrc" in error.remedy


def test_a_user_who_may_run_nothing(client: Client) -> None:
    said = b'Please login as the user "ubuntu" rather than the user "root".\n'
    with odd_server(Manners(serve=answering(142, said))) as server:
        error = refused(client, target(server.port))
    assert error.code is Code.DENIED
    assert error.why == said.decode().strip()
