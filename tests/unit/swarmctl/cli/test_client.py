"""Calls that are repeated, calls that hang, and addresses where nobody is."""

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from api.channel import node_server_credentials
from api.errors import Code, SwarmError
from api.identity import new_key
from api.v1 import control_pb2, objects_pb2
from swarmctl.cli import lists
from swarmctl.cli.client import Client
from swarmctl.cli.connect import _host_and_port, first_that_answers
from swarmctl.cli.contexts import Context
from swarmctl.cli.files import write_private
from tests.support import builders
from tests.support.command_line import CommandLine
from tests.support.scripted_daemon import SILENCE, ScriptedDaemon
from tests.support.trust import TrustedCluster, serving

NO_LEADER = SwarmError(Code.UNAVAILABLE, "no manager leads", remedy="wait for an election")


def test_what_nobody_could_serve_is_repeated_with_the_same_request_id(
    cli: CommandLine, daemon: ScriptedDaemon
) -> None:
    daemon.on("CreateService", NO_LEADER, NO_LEADER, objects_pb2.Service(id="s1"))
    result = cli("service", "create", "-d", "--name", "web", "app:1")
    assert (result.code, result.out, result.err) == (0, "s1\n", "")
    ids = [each.request_id for each in daemon.asked("CreateService")]
    assert len(ids) == 3
    assert len(set(ids)) == 1


def now_is(monkeypatch: pytest.MonkeyPatch, at: Callable[[], float]) -> None:
    """For the client; a minute is what it has."""
    monkeypatch.setattr("swarmctl.cli.client._now", at)


def test_repeating_ends_with_the_reason_that_was_given(
    daemon: ScriptedDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.on("ListServices", NO_LEADER)
    now_is(monkeypatch, lambda: 60.0 if len(daemon.asked("ListServices")) > 1 else 0.0)
    result = CommandLine("-H", daemon.address, "--timeout", "60s")("service", "ls")
    assert (result.code, result.out) == (4, "")
    assert result.err == "swarmctl: no manager leads. Wait for an election\n"
    assert len(daemon.asked("ListServices")) == 2


def test_a_reason_that_was_given_outlives_a_call_that_hangs(
    daemon: ScriptedDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.on("ListServices", NO_LEADER, SILENCE)
    now_is(monkeypatch, lambda: 59.7 if daemon.asked("ListServices") else 0.0)
    result = CommandLine("-H", daemon.address, "--timeout", "60s")("service", "ls")
    assert (result.code, "no manager leads" in result.err) == (4, True)


@pytest.mark.parametrize("code", [Code.REFUSED, Code.NOT_FOUND, Code.DENIED, Code.INVALID])
def test_a_refusal_is_not_repeated(cli: CommandLine, daemon: ScriptedDaemon, code: Code) -> None:
    refusal = SwarmError(code, "no", why="because", remedy="do this", field="task.container.image")
    daemon.on("CreateService", refusal)
    result = cli("service", "create", "-d", "--name", "web", "app:1")
    assert (result.code, len(daemon.asked("CreateService"))) == (1, 1)
    assert result.err == "swarmctl: task.container.image: no: because. Do this\n"


def test_a_daemon_that_hangs(daemon: ScriptedDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    daemon.on("ListServices", SILENCE)
    monkeypatch.setenv("SWARM_TIMEOUT", "200ms")
    result = CommandLine("-H", daemon.address)("service", "ls")
    assert (result.code, result.err) == (
        4,
        "swarmctl: listing services failed: no answer within 0.2 s."
        " See the log of swarmd, or wait longer with swarmctl --timeout\n",
    )


def test_a_socket_that_nobody_serves(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "deaf.sock"))
        # Bound and not listening: refused at once.
        result = CommandLine("-H", f"unix://{tmp_path}/deaf.sock")("service", "ls")
    assert (result.code, result.err) == (
        4,
        f"swarmctl: cannot reach swarmd at {tmp_path}/deaf.sock: Connection refused."
        " Start swarmd on this host, or point elsewhere with -H or --context\n",
    )


def test_a_path_that_is_too_long_for_a_socket() -> None:
    result = CommandLine("-H", "unix:///" + "x" * 200)("service", "ls")
    assert (result.code, "path too long" in result.err) == (4, True)


@pytest.mark.parametrize(
    "host", ["localhost", "unix://x", "unix:", "http://a", "tcp://", "tcp://a:b"]
)
def test_what_is_no_address(host: str) -> None:
    result = CommandLine("-H", host)("service", "ls")
    assert (result.code, "host" in result.err) == (2, True)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a", ("a", 2377)),
        ("a:1", ("a", 1)),
        ("10.0.0.1:99", ("10.0.0.1", 99)),
        ("[fd00::1]", ("fd00::1", 2377)),
        ("[fd00::1]:9", ("fd00::1", 9)),
        ("fd00::1", ("fd00::1", 2377)),
    ],
)
def test_hosts_and_ports(text: str, parts: tuple[str, int]) -> None:
    assert _host_and_port(text) == parts


def test_tcp_needs_a_certificate(tmp_path: Path) -> None:
    result = CommandLine("-H", "tcp://127.0.0.1:1")("service", "ls")
    assert (result.code, "needs a certificate" in result.err) == (2, True)
    result = CommandLine("-H", "tcp://127.0.0.1:1", "--cert-path", str(tmp_path))("service", "ls")
    assert (result.code, f"cannot read {tmp_path}/ca.pem" in result.err) == (2, True)


def test_tcp_where_nobody_listens_or_nobody_speaks_tls(tmp_path: Path) -> None:
    for name in ("ca.pem", "cert.pem", "key.pem"):
        (tmp_path / name).write_bytes(new_key())
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        cli = CommandLine(
            "-H", f"tcp://127.0.0.1:{port}", "--cert-path", str(tmp_path), "--timeout", "300ms"
        )
        mute = cli("service", "ls")
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        deaf.bind(("127.0.0.1", port))  # and nobody else begins to listen there
        refused = cli("service", "ls")
    assert (mute.code, refused.code) == (4, 4)
    assert "something listens, but no secure connection" in mute.err
    assert "Connection refused" in refused.err


def test_a_list_that_breaks_off_is_begun_anew(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    web, db = (builders.service(name) for name in ("web", "db"))
    pieces = [control_pb2.ListServicesResponse(services=[each]) for each in (web, db)]
    daemon.on("ListServices", [pieces[1], NO_LEADER], pieces)
    assert cli("service", "ls", "--format", "{{.Name}}").out == "db\nweb\n"


def test_a_client_that_must_not_repeat(daemon: ScriptedDaemon) -> None:
    daemon.on("ListServices", NO_LEADER)
    client = Client(host=daemon.address, retry=False)
    with pytest.raises(SwarmError, match="no manager leads"):
        lists.services(client, control_pb2.ListServicesRequest())
    client.close()
    assert len(daemon.asked("ListServices")) == 1


def test_a_proxy_of_the_environment_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = TrustedCluster()
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        for name in ("http_proxy", "https_proxy", "grpc_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{nobody.getsockname()[1]}")
        write_private(
            tmp_path / "papers",
            {
                "ca.pem": cluster.manager.ca_pem,
                "cert.pem": cluster.manager.certificate_pem,
                "key.pem": cluster.manager.key_pem,
            },
        )

        async def run() -> None:
            credentials = node_server_credentials(cluster.manager)
            async with serving(lambda *_: None, None, credentials) as port:
                target = Context("", (f"tcp://127.0.0.1:{port}",), str(tmp_path / "papers"))
                channel = await asyncio.to_thread(first_that_answers, target, 5.0)
                channel.close()

        asyncio.run(run())
