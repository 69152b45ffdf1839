"""`swarm update`, `unlock` and `unlock-key`: what is sent and printed, and where a key is read."""

import io
import sys

import pytest

from api.errors import Code, SwarmError
from api.times import duration
from api.unlock_key import format_unlock_key
from api.v1 import control_pb2, host_pb2, objects_pb2, specs_pb2
from swarmctl.cli.commands import swarm_settings
from tests.support.command_line import CommandLine
from tests.support.golden import check_golden
from tests.support.scripted_daemon import ScriptedDaemon

Spec = specs_pb2.ClusterSpec
KEY = format_unlock_key(bytes(range(32)))


def script(daemon: ScriptedDaemon, spec: Spec | None = None, key: str = "") -> None:
    """A swarm with this spec, at version 7."""
    cluster = objects_pb2.Cluster(id="c", spec=spec)
    cluster.meta.version = 7
    daemon.on("GetCluster", cluster)
    daemon.on("UpdateCluster", lambda request: objects_pb2.Cluster(id="c", spec=request.spec))
    daemon.on("GetUnlockKey", control_pb2.UnlockKey(key=key))


def test_every_setting_is_sent(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    script(daemon, Spec(snapshot_interval=5, max_snapshots=1))
    result = cli(
        *("swarm", "update", "--cert-expiry", "24h", "--dispatcher-heartbeat", "1s"),
        *("--task-history-limit", "-1", "--snapshot-interval", "100", "--max-snapshots", "3"),
    )
    assert (result.code, result.out) == (0, "Swarm updated.\n")
    [request] = daemon.asked("UpdateCluster")
    assert (request.version, bool(request.request_id)) == (7, True)
    assert not request.rotate_unlock_key
    assert request.spec == Spec(
        node_cert_expiry=duration(86400),
        heartbeat_period=duration(1),
        task_history_limit=-1,
        snapshot_interval=100,
        max_snapshots=3,
    )


def test_what_is_not_given_stays(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    script(daemon, Spec(snapshot_interval=5, autolock=True, max_snapshots=1), KEY)
    assert cli("swarm", "update", "--max-snapshots", "0").out == "Swarm updated.\n"
    [request] = daemon.asked("UpdateCluster")
    assert request.spec == Spec(snapshot_interval=5, autolock=True)


@pytest.mark.parametrize("args", [(), ("--snapshot-interval", "0"), ("--max-snapshots", "-1")])
def test_a_wrong_command_line(
    cli: CommandLine, daemon: ScriptedDaemon, args: tuple[str, ...]
) -> None:
    script(daemon)
    assert cli("swarm", "update", *args).code == 2
    assert daemon.asked("UpdateCluster") == []


def test_a_conflict_is_tried_again_from_the_new_version(
    cli: CommandLine, daemon: ScriptedDaemon
) -> None:
    script(daemon)
    daemon.on("UpdateCluster", SwarmError(Code.CONFLICT, "changed"), objects_pb2.Cluster(id="c"))
    assert cli("swarm", "update", "--max-snapshots", "1").code == 0
    first, second = daemon.asked("UpdateCluster")
    assert first.request_id != second.request_id


def test_locking_shows_the_key_once(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    script(daemon, key=KEY)
    result = cli("swarm", "update", "--autolock")
    check_golden("cli/swarm_update_autolock.txt", result.out)
    script(daemon, Spec(autolock=True), KEY)
    assert cli("swarm", "update", "--autolock=true").out == "Swarm updated.\n"
    assert cli("swarm", "update", "--autolock=false").out == "Swarm updated.\n"
    assert [each.spec.autolock for each in daemon.asked("UpdateCluster")] == [True, True, False]


@pytest.mark.parametrize(
    ("args", "autolock"), [((), False), (("--autolock=false",), False), (("--autolock",), True)]
)
def test_init_with_and_without_a_lock(
    cli: CommandLine, daemon: ScriptedDaemon, args: tuple[str, ...], autolock: bool
) -> None:
    script(daemon, key=KEY)
    daemon.on("InitSwarm", host_pb2.InitSwarmResponse(node_id="n1", worker_token="TOKEN"))  # noqa: S106
    result = cli("swarm", "init", "--max-snapshots", "2", *args)
    assert result.code == 0
    [request] = daemon.asked("InitSwarm")
    assert request.spec == Spec(max_snapshots=2, autolock=autolock)
    assert (f"\n    {KEY}\n" in result.out) == autolock
    assert len(daemon.asked("GetUnlockKey")) == autolock


def test_the_unlock_key(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    script(daemon, Spec(autolock=True), KEY)
    check_golden("cli/swarm_unlock_key.txt", cli("swarm", "unlock-key").out)
    assert cli("swarm", "unlock-key", "-q").out == f"{KEY}\n"
    assert daemon.asked("UpdateCluster") == []


def test_a_rotated_key(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    script(daemon, Spec(autolock=True, snapshot_interval=5), KEY)
    check_golden("cli/swarm_unlock_key_rotate.txt", cli("swarm", "unlock-key", "--rotate").out)
    assert cli("swarm", "unlock-key", "--rotate", "-q").out == f"{KEY}\n"
    for request in daemon.asked("UpdateCluster"):
        assert (request.rotate_unlock_key, request.version) == (True, 7)
        assert request.spec == Spec(autolock=True, snapshot_interval=5)


def test_a_swarm_that_is_not_locked_has_no_key(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    script(daemon)
    for args in ((), ("-q",)):
        result = cli("swarm", "unlock-key", *args)
        assert (result.code, result.out) == (1, "")
        assert "managers are not locked" in result.err


def test_unlocking_with_a_key_from_standard_input(
    cli: CommandLine, daemon: ScriptedDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.on("UnlockSwarm", host_pb2.UnlockSwarmResponse())
    monkeypatch.setattr(sys, "stdin", io.StringIO(f" {KEY}\nand more\n"))
    result = cli("swarm", "unlock")
    assert (result.code, result.out, result.err) == (0, "", "")
    assert daemon.asked("UnlockSwarm") == [host_pb2.UnlockSwarmRequest(key=KEY)]


class Terminal(io.StringIO):
    """A standard input that somebody sits at."""

    def isatty(self) -> bool:
        return True


def test_unlocking_with_a_key_that_is_typed_unseen(
    cli: CommandLine, daemon: ScriptedDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def typed(prompt: str) -> str:
        asked.append(prompt)
        return KEY

    daemon.on("UnlockSwarm", host_pb2.UnlockSwarmResponse())
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(swarm_settings, "getpass", typed)
    assert cli("swarm", "unlock").code == 0
    assert (asked, daemon.asked("UnlockSwarm")[0].key) == (["Unlock key: "], KEY)


def test_nothing_is_sent_if_the_terminal_ends_or_the_key_is_malformed(
    cli: CommandLine, daemon: ScriptedDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ended(prompt: str) -> str:
        raise EOFError

    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(swarm_settings, "getpass", ended)
    assert cli("swarm", "unlock").code == 130
    for text in ("", KEY[:-1], "SWMTKN-1-a-b"):
        monkeypatch.setattr(sys, "stdin", io.StringIO(text))
        result = cli("swarm", "unlock")
        assert (result.code, "unlock key" in result.err) == (2, True)
    assert daemon.asked("UnlockSwarm") == []


def test_a_refused_key_is_told(
    cli: CommandLine, daemon: ScriptedDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.on("UnlockSwarm", SwarmError(Code.DENIED, "the unlock key does not fit", field="key"))
    monkeypatch.setattr(sys, "stdin", io.StringIO(KEY))
    result = cli("swarm", "unlock")
    assert (result.code, result.err) == (1, "swarmctl: the unlock key does not fit\n")
