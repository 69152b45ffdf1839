"""`swarm backup`, `restore`, `readdress`, `init --force-new-cluster`: files, passphrases, talk."""

import io
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from api.backup_file import SALT_BYTES, seal
from api.backup_key import ENVELOPE_BYTES, KeySource
from api.errors import Code, SwarmError
from api.times import timestamp
from api.v1 import control_pb2, host_pb2, objects_pb2, raft_pb2
from swarmctl.cli import backups, passphrase
from tests.support.command_line import CommandLine
from tests.support.scripted_daemon import ScriptedDaemon

HEADER = control_pb2.BackupHeader(
    cluster_id="swarm",
    made_at=timestamp(1_000_000.0),
    swarmctl_version="1.2",
    index=7,
    salt=b"s" * SALT_BYTES,
)
STATE = raft_pb2.StoreSnapshot(
    index=7,
    objects=[
        objects_pb2.Object(cluster=objects_pb2.Cluster(id="c")),
        objects_pb2.Object(node=objects_pb2.Node(id="n")),
        objects_pb2.Object(node=objects_pb2.Node(id="m")),
    ],
)
JOINING = "SWMTKN-1-x"
SHOWN = """\
Swarm:    swarm
Made:     1970-01-12T13:46:40.000000Z by swarmctl 1.2
Index:    7
Holds:    1 cluster, 2 nodes, 0 services, 0 tasks, 0 operators
"""


def pieces(key: bytes, content: bytes = STATE.SerializeToString()) -> list[bytes]:
    return list(seal(HEADER, key, content))


def answered(request: control_pb2.BackupRequest) -> list[control_pb2.BackupChunk]:
    return [control_pb2.BackupChunk(data=piece) for piece in pieces(request.key)]


@pytest.fixture(autouse=True)
def _cheap_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backups, "LOG_N", 4)


@pytest.fixture
def secret(tmp_path: Path) -> str:
    """A file with a passphrase."""
    file = tmp_path / "secret"
    file.write_text("correct horse\nanything\n")
    return str(file)


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A backup under that passphrase, whose key is cheap to make."""
    source = KeySource(b"0123456789abcdef", log_n=4)
    file = tmp_path / "made.bak"
    file.write_bytes(source.envelope() + b"".join(pieces(source.key("correct horse"))))
    return file


def test_a_backup_is_written_checked_and_shown(
    cli: CommandLine, daemon: ScriptedDaemon, tmp_path: Path, secret: str
) -> None:
    daemon.on("Backup", answered)
    file = tmp_path / "b" / "swarm.bak"
    file.parent.mkdir()
    done = cli("swarm", "backup", str(file), "--passphrase-file", secret)
    assert (done.code, done.out) == (0, SHOWN)
    assert file.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in file.parent.iterdir()] == ["swarm.bak"]
    verified = CommandLine()("swarm", "backup", "--verify", str(file), "--passphrase-file", secret)
    assert (verified.code, verified.out) == (0, SHOWN)
    content = file.read_bytes()
    assert cli("swarm", "backup", str(file), "--passphrase-file", secret).code == 0
    assert file.read_bytes()[:ENVELOPE_BYTES] != content[:ENVELOPE_BYTES]  # another salt


def without_its_end(request: control_pb2.BackupRequest) -> list[control_pb2.BackupChunk]:
    return answered(request)[:-1]


def altered(request: control_pb2.BackupRequest) -> list[control_pb2.BackupChunk]:
    head, chunk = answered(request)
    return [head, control_pb2.BackupChunk(data=chunk.data[:-1] + b"\0")]


def of_another_index(request: control_pb2.BackupRequest) -> list[control_pb2.BackupChunk]:
    other = raft_pb2.StoreSnapshot(index=8).SerializeToString()
    return [control_pb2.BackupChunk(data=piece) for piece in pieces(request.key, other)]


def broken_off(request: control_pb2.BackupRequest) -> list[object]:
    return [answered(request)[0], SwarmError(Code.UNAVAILABLE, "the manager went away")]


@pytest.mark.parametrize("answer", [without_its_end, altered, of_another_index, broken_off])
def test_what_does_not_come_whole_leaves_the_older_file(
    cli: CommandLine,
    daemon: ScriptedDaemon,
    tmp_path: Path,
    secret: str,
    answer: Callable[[control_pb2.BackupRequest], object],
) -> None:
    daemon.on("Backup", answer)
    file = tmp_path / "b" / "swarm.bak"
    file.parent.mkdir()
    file.write_text("the older one")
    done = cli("swarm", "backup", str(file), "--passphrase-file", secret)
    assert done.code in (1, 4)
    assert file.read_text() == "the older one"
    assert [each.name for each in file.parent.iterdir()] == ["swarm.bak"]


def test_a_folder_that_is_not_there_is_told(
    cli: CommandLine, daemon: ScriptedDaemon, tmp_path: Path, secret: str
) -> None:
    done = cli("swarm", "backup", str(tmp_path / "no" / "x"), "--passphrase-file", secret)
    assert (done.code, "cannot write" in done.err) == (1, True)
    assert daemon.asked("Backup") == []


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (lambda data: data[:-1], "damaged"),
        (lambda data: data + b"x", "damaged"),
        (lambda data: b"another file", "no backup"),
        (lambda data: data[:8] + b"\0\2" + data[10:], "format version 2"),
        (lambda data: KeySource(b"f" * 16, log_n=4).envelope() + data[ENVELOPE_BYTES:], "not open"),
    ],
)
def test_a_file_that_is_not_as_it_was_made(
    made: Path, secret: str, spoil: Callable[[bytes], bytes], what: str
) -> None:
    made.write_bytes(spoil(made.read_bytes()))
    done = CommandLine()("swarm", "backup", "--verify", str(made), "--passphrase-file", secret)
    assert (done.code, done.out) == (1, "")
    assert what in done.err


@pytest.mark.parametrize(
    ("typed", "code", "what"),
    [
        ("correct horse\n", 0, ""),
        ("correct horse", 0, ""),
        ("wrong horse\n", 1, "not opened by this passphrase"),
        ("\n", 2, "empty passphrase"),
        ("", 2, "empty passphrase"),
    ],
)
def test_a_passphrase_is_read_from_standard_input(
    made: Path, monkeypatch: pytest.MonkeyPatch, typed: str, code: int, what: str
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    done = CommandLine()("swarm", "backup", "--verify", str(made))
    assert done.code == code
    assert what in done.err


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("typed", "code"),
    [(["a", "a"], 0), (["a", "b"], 2), ([""], 2)],
)
def test_on_a_terminal_it_is_asked_for_twice(
    cli: CommandLine,
    daemon: ScriptedDaemon,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    typed: list[str],
    code: int,
) -> None:
    daemon.on("Backup", answered)
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(passphrase, "getpass", lambda _: typed.pop(0))
    file = tmp_path / "swarm.bak"
    assert cli("swarm", "backup", str(file)).code == code
    assert typed == []
    assert file.exists() == (code == 0)


def test_a_passphrase_file_that_cannot_be_read(made: Path, tmp_path: Path) -> None:
    for missing in (tmp_path / "missing", made):  # the second is no text
        done = CommandLine()(
            "swarm", "backup", "--verify", str(made), "--passphrase-file", str(missing)
        )
        assert (done.code, "cannot read the passphrase" in done.err) == (1, True)


def test_a_restore_sends_key_and_file(
    cli: CommandLine, daemon: ScriptedDaemon, made: Path, secret: str
) -> None:
    daemon.on(
        "RestoreSwarm",
        host_pb2.InitSwarmResponse(node_id="n1", worker_token=JOINING, address="a:2377"),
    )
    options = ("--advertise-addr", "a", "--listen-addr", "0.0.0.0:2377")
    done = cli("swarm", "restore", str(made), "--passphrase-file", secret, *options)
    assert done.code == 0
    assert "this node (n1) is its only manager" in done.out
    assert f"swarmctl swarm join --token {JOINING} a:2377" in done.out
    [messages] = daemon.asked("RestoreSwarm")
    key = KeySource(b"0123456789abcdef", log_n=4).key("correct horse")
    assert messages[0].head == host_pb2.RestoreHead(
        key=key, advertise_address="a", listen_address="0.0.0.0:2377"
    )
    sent = b"".join(each.data for each in messages[1:])
    assert sent == b"".join(pieces(key))


def test_a_move_is_sent(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    daemon.on("ReaddressSwarm", host_pb2.ReaddressSwarmResponse(address="a:2377"))
    done = cli("swarm", "readdress", "--advertise-addr", "a")
    assert (done.code, "at a:2377 now" in done.out) == (0, True)
    [request] = daemon.asked("ReaddressSwarm")
    assert request == host_pb2.ReaddressSwarmRequest(advertise_address="a")
    assert cli("swarm", "readdress").code == 2


def test_a_forced_new_cluster_is_sent_without_anything_else(
    cli: CommandLine, daemon: ScriptedDaemon
) -> None:
    daemon.on("InitSwarm", host_pb2.InitSwarmResponse(node_id="n1", address="a:2377"))
    done = cli("swarm", "init", "--force-new-cluster")
    assert (done.code, "(n1) goes on alone" in done.out) == (0, True)
    assert daemon.asked("InitSwarm") == [host_pb2.InitSwarmRequest(force_new_cluster=True)]


@pytest.mark.parametrize(
    "flags",
    [
        ("--autolock",),
        ("--autolock=false",),
        ("--availability", "active"),
        ("--advertise-addr", "a"),
        ("--listen-addr", "a:1"),
        ("--cert-expiry", "1h"),
        ("--task-history-limit", "0"),
    ],
)
def test_a_forced_new_cluster_takes_no_other_flag(
    cli: CommandLine, daemon: ScriptedDaemon, flags: tuple[str, ...]
) -> None:
    done = cli("swarm", "init", "--force-new-cluster", *flags)
    assert done.code == 2
    assert flags[0].partition("=")[0] in done.err
    assert daemon.asked("InitSwarm") == []


def test_a_file_of_others_stays_private_also_while_it_is_written(
    cli: CommandLine, daemon: ScriptedDaemon, tmp_path: Path, secret: str
) -> None:
    """Whatever the umask says."""
    modes: list[int] = []

    def look(request: control_pb2.BackupRequest) -> list[control_pb2.BackupChunk]:
        modes.extend(
            each.stat().st_mode & 0o777 for each in tmp_path.iterdir() if ".x." in each.name
        )
        return answered(request)

    daemon.on("Backup", look)
    before = os.umask(0)
    try:
        assert cli("swarm", "backup", str(tmp_path / "x"), "--passphrase-file", secret).code == 0
    finally:
        os.umask(before)
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o600
    assert set(modes) <= {0o600}
