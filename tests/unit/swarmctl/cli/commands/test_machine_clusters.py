"""`machine apply`, `drift`, `upgrade -f`, `lock`, `certs` as they are called, with nobody there."""

import json
import socket
from pathlib import Path

import pytest

from machine.local import LocalRemote
from swarmctl.cli.commands.machine.lock import within
from tests.support.command_line import CommandLine


@pytest.fixture(autouse=True)
def _own_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SWARM_MACHINE_STORAGE_PATH", str(tmp_path / "store"))
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def file(tmp_path: Path) -> str:
    """A cluster of one host, whose SSH server is not there."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    path = tmp_path / "cluster.yml"
    path.write_text(
        f"name: x\nhosts:\n  m1: {{address: 127.0.0.1, role: manager, ssh: {{port: {port}}}}}\n"
    )
    return str(path)


@pytest.mark.parametrize(
    "words",
    [
        ("apply", "--yes"),
        ("apply", "--dry-run"),
        ("drift",),
        ("upgrade", "--all", "--yes"),
    ],
)
def test_a_host_that_is_not_reached_is_told_with_the_reason_at_once(
    file: str, words: tuple[str, ...]
) -> None:
    verb, *flags = words
    done = CommandLine()("machine", verb, "-f", file, *flags)
    assert done.code == 1
    assert "Refused: m1 is not reached" in done.err
    assert "nothing was changed" in done.err


def test_drift_for_programs(file: str) -> None:
    done = CommandLine()("machine", "drift", "-f", file, "--format", "json")
    assert done.code == 1
    assert "m1 is not reached" in json.loads(done.out)["refusals"][0]


def test_a_check_tells_of_every_host(file: str) -> None:
    done = CommandLine()("machine", "check", "-f", file)
    assert done.code == 1
    assert done.words[0] == ["HOST", "PROBLEM", "REMEDY"]


def test_nobody_holds_a_lock_that_is_not_seen(file: str) -> None:
    done = CommandLine()("machine", "lock", "-f", file)
    assert done.code == 1
    assert "127.0.0.1" in done.err


@pytest.mark.parametrize(
    "words",
    [
        ("apply", "--limit", "m1,w11", "--yes"),
        ("drift", "--limit", "w11"),
        ("lock", "--limit", "w11"),
        ("check", "w11"),
        ("upgrade", "w11", "--yes"),
    ],
)
def test_a_name_that_is_not_in_the_file_is_told(file: str, words: tuple[str, ...]) -> None:
    verb, *rest = words
    done = CommandLine()("machine", verb, "-f", file, *rest)
    assert (done.code, done.out) == (1, "")
    assert "there is no host w11 in the cluster file" in done.err


def test_a_limit_breaks_no_lock_of_a_manager_that_is_only_looked_at() -> None:
    remotes = {name: LocalRemote(name) for name in ("m1", "w1", "w2")}
    assert list(within(remotes, ("w2",))) == ["w2"]
    assert within(remotes, ()) == remotes


def test_certificates_of_nobody(file: str) -> None:
    done = CommandLine()("machine", "certs", "-f", file)
    assert (done.code, done.words) == (0, [["OF", "KIND", "EXPIRES", "REMARK"]])
    assert "m1 is not reached" in done.err
    assert CommandLine()("machine", "certs", "rotate", "-f", file, "--yes").code == 4


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("upgrade",), "name machines, or a cluster file"),
        (("upgrade", "h1", "--all"), "--all goes with -f"),
        (("rollback", "h1", "--to", "1"), "--to goes with -f"),
        (("rollback", "h1", "--dry-run"), "--dry-run goes with -f"),
        (("check",), "name machines, or a cluster file"),
    ],
)
def test_what_has_a_meaning_for_clusters_alone(words: tuple[str, ...], why: str) -> None:
    done = CommandLine()("machine", *words)
    assert (done.code, why in done.err) == (2, True), done.err


def test_hosts_or_all_of_them(file: str) -> None:
    for words in (("upgrade", "-f", file), ("upgrade", "-f", file, "m1", "--all")):
        done = CommandLine()("machine", *words)
        assert (done.code, "name hosts of the file, or say --all" in done.err) == (2, True)


def test_a_whole_cluster_is_never_left_without_a_quorum(file: str) -> None:
    for verb in ("upgrade", "rollback"):
        done = CommandLine()("machine", verb, "-f", file, "--all", "--force")
        assert (done.code, "--force goes without -f" in done.err) == (2, True), done.err


def test_a_file_with_mistakes_is_a_wrong_call(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yml"
    bad.write_text("name: x\nhost: {}\n")
    done = CommandLine()("machine", "apply", "-f", str(bad))
    assert done.code == 2
    assert "host: nobody knows this key: did you mean hosts?" in done.err
