"""`swarm ca`: what it prints, asks for, waits for and refuses."""

from pathlib import Path

import pytest

from api.certificates import digest_of, load_certificate
from api.errors import Code, SwarmError
from api.v1 import control_pb2, objects_pb2
from manager.ca.authority import new_root
from swarmctl.cli.commands import swarm_ca
from tests.support.command_line import CommandLine
from tests.support.scripted_daemon import ScriptedDaemon

OLD, NEW = (new_root("c", 1_700_000_000).certificate_pem for _ in range(2))
NODES = control_pb2.ListNodesResponse(nodes=[objects_pb2.Node(id="n1")])


def cluster(present: bytes, rotation: bytes = b"", name: str = "r1") -> objects_pb2.Cluster:
    made = objects_pb2.Cluster(id="c", root_ca=objects_pb2.RootCa(certificate_pem=present))
    if rotation:
        made.root_ca.rotation.id = name
        made.root_ca.rotation.certificate_pem = rotation
    return made


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(swarm_ca, "LOOK", 0.01)


def test_it_prints_the_root(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    daemon.on("GetCluster", cluster(OLD))
    result = cli("swarm", "ca")
    assert (result.code, result.out, result.err) == (0, OLD.decode(), "")


def test_it_tells_of_a_rotation_under_way(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    daemon.on("GetCluster", cluster(OLD, NEW))
    daemon.on("ListNodes", NODES)
    result = cli("swarm", "ca")
    assert (result.code, result.out) == (0, OLD.decode())
    assert "0 of 1 nodes have a certificate of the new root; it waits for n1" in result.err
    assert not cli("swarm", "ca", "--quiet").err


def test_rotate_waits_and_prints_the_new_root(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    daemon.on("RotateRootCa", cluster(OLD, NEW))
    daemon.on("ListNodes", NODES)
    daemon.on("GetCluster", cluster(OLD, NEW), cluster(OLD, NEW), cluster(NEW))
    result = cli("swarm", "ca", "--rotate", "--cert-expiry", "720h")
    assert (result.code, result.out) == (0, NEW.decode())
    assert "it waits for n1" in result.err
    assert "swarmctl swarm join-token" in result.err
    [request] = daemon.asked("RotateRootCa")
    assert request.request_id
    assert request.node_cert_expiry.seconds == 720 * 3600
    assert (request.certificate_pem, request.key_pem) == (b"", b"")


def test_nodes_that_follow_between_two_questions_are_counted_at_the_end(
    cli: CommandLine, daemon: ScriptedDaemon
) -> None:
    asked = iter(range(100))
    digest = digest_of(load_certificate(NEW))
    followed = objects_pb2.Node(id="n1", certificate=objects_pb2.NodeCertificate(root=digest))
    daemon.on("RotateRootCa", cluster(OLD, NEW))
    daemon.on("GetCluster", lambda _: cluster(NEW) if next(asked) else cluster(OLD, NEW))
    daemon.on(
        "ListNodes",
        lambda _: control_pb2.ListNodesResponse(nodes=[followed]) if next(asked) else NODES,
    )
    result = cli("swarm", "ca", "--rotate")
    assert result.code == 0
    assert "1 of 1 nodes have a certificate of the new root\n" in result.err


def test_detached_it_does_not_wait(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    daemon.on("RotateRootCa", cluster(OLD, NEW))
    result = cli("swarm", "ca", "--rotate", "--detach")
    assert (result.code, result.out, result.err) == (0, "", "")
    [request] = daemon.asked("RotateRootCa")
    assert not request.HasField("node_cert_expiry")


def test_a_root_of_ones_own_is_sent_with_its_key(
    cli: CommandLine, daemon: ScriptedDaemon, tmp_path: Path
) -> None:
    daemon.on("RotateRootCa", cluster(OLD, NEW))
    for name in ("cert", "key"):
        (tmp_path / name).write_text(name)
    files = ("--ca-cert", str(tmp_path / "cert"), "--ca-key", str(tmp_path / "key"))
    assert cli("swarm", "ca", "--rotate", "-d", *files).code == 0
    [request] = daemon.asked("RotateRootCa")
    assert (request.certificate_pem, request.key_pem) == (b"cert", b"key")


def test_another_rotation_ends_the_wait(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    daemon.on("RotateRootCa", cluster(OLD, NEW))
    daemon.on("ListNodes", NODES)
    daemon.on("GetCluster", cluster(OLD, NEW, "another"))
    result = cli("swarm", "ca", "--rotate", "-q")
    assert (result.code, result.out) == (1, "")
    assert "another one was begun meanwhile" in result.err


def test_the_wait_has_an_end(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    daemon.on("RotateRootCa", cluster(OLD, NEW))
    daemon.on("ListNodes", NODES)
    daemon.on("GetCluster", cluster(OLD, NEW))
    result = cli("swarm", "ca", "--rotate", "--wait-timeout", "50ms")
    assert result.code == 3
    assert "it waits for n1" in result.err


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (("--detach",), 2, "need --rotate"),
        (("--cert-expiry", "24h"), 2, "need --rotate"),
        (("--rotate", "--ca-cert", "{file}"), 2, "go together"),
        (("--rotate", "--ca-key", "{file}"), 2, "go together"),
        (("--rotate", "--ca-cert", "{file}.gone", "--ca-key", "{file}"), 2, "does not exist"),
        (("--rotate", "--external-ca", "protocol=cfssl,url=https://x"), 1, "signs certificates"),
    ],
)
def test_what_is_refused_before_anybody_is_asked(
    cli: CommandLine, tmp_path: Path, words: tuple[str, ...], code: int, why: str
) -> None:
    (tmp_path / "f").write_text("x")
    result = cli("swarm", "ca", *(word.format(file=tmp_path / "f") for word in words))
    assert result.code == code
    assert why in result.err


def test_the_managers_refusal_is_told(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    daemon.on("RotateRootCa", SwarmError(Code.INVALID, "no root", why="CA:FALSE"))
    result = cli("swarm", "ca", "--rotate")
    assert result.code == 1
    assert "CA:FALSE" in result.err
