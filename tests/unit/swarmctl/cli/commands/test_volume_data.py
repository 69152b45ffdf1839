"""`volume backup`, `restore` and `migrate`: what they ask of the daemon, write, and say."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from api.v1 import containers_pb2, control_pb2, objects_pb2, volume_pb2
from tests.support.builders import node, volume
from tests.support.command_line import CommandLine
from tests.support.scripted_daemon import ScriptedDaemon

Piece = volume_pb2.VolumePiece
Transfer = objects_pb2.VolumeTransfer
END = Piece(end=volume_pb2.VolumeEnd())
WHOLE = (Piece(data=b"one "), Piece(data=b"two"), END)


def moving(home: str = "n1", error: str = "", *holders: tuple[str, int]) -> objects_pb2.Volume:
    made = volume("data", *holders, driver="local", home=home)
    if home == "n1":
        made.transfer.CopyFrom(Transfer(id="m", node_id="n2", error=error))
    return made


@pytest.fixture(autouse=True)
def _known(daemon: ScriptedDaemon) -> None:
    daemon.on("GetVolume", volume("data"))
    daemon.on("Backup", list(WHOLE))
    daemon.on("ListNodes", control_pb2.ListNodesResponse(nodes=[node("n1"), node("n2")]))
    own = containers_pb2.LocalVolume(name="cache", driver="local")
    daemon.on("ListLocalVolumes", containers_pb2.ListLocalVolumesResponse(volumes=[own]))


def test_a_backup_is_written_to_a_file_or_standard_output(
    cli: CommandLine, daemon: ScriptedDaemon, tmp_path: Path
) -> None:
    target = tmp_path / "archive"
    done = cli("volume", "backup", "--stop", "-o", str(target), "data")
    assert (done.code, done.out, done.err) == (0, "", "Saved 7B\n")
    assert target.read_bytes() == b"one two"
    assert target.stat().st_mode & 0o777 == 0o600
    assert cli("volume", "backup", "--live", "data").out == "one two"
    stop, live = daemon.asked("Backup")
    assert (stop.key, stop.stop, stop.live) == ("data", True, False)
    assert (live.stop, live.live) == (False, True)


@pytest.mark.parametrize(
    "answer",
    [list(WHOLE[:2]), [WHOLE[0], SwarmError(Code.UNAVAILABLE, "the node broke off")]],
)
def test_what_is_not_whole_is_no_backup(
    cli: CommandLine, daemon: ScriptedDaemon, tmp_path: Path, answer: list[Piece | SwarmError]
) -> None:
    daemon.on("Backup", answer)
    target = tmp_path / "archive"
    target.write_text("what was there before")
    done = cli("volume", "backup", "-o", str(target), "data")
    assert done.code != 0
    assert "broke" in done.err
    assert [each.name for each in tmp_path.iterdir() if "archive" in each.name] == ["archive"]
    assert target.read_text() == "what was there before"


def test_a_volume_of_the_host_is_saved_where_the_swarm_has_none(
    cli: CommandLine, daemon: ScriptedDaemon
) -> None:
    daemon.on("GetVolume", SwarmError(Code.NOT_FOUND, "there is no volume of that name"))
    daemon.on("BackupLocalVolume", list(WHOLE))
    assert cli("volume", "backup", "cache").out == "one two"
    assert [each.name for each in daemon.asked("BackupLocalVolume")] == ["cache"]
    assert "no volume of that name" in cli("volume", "backup", "other").err
    assert "stop its containers" in cli("volume", "backup", "--stop", "cache").err


def test_a_restore_sends_all_of_it(
    cli: CommandLine, daemon: ScriptedDaemon, tmp_path: Path
) -> None:
    seen: list[volume_pb2.RestoreVolumeRequest] = []

    def take(
        requests: Iterator[volume_pb2.RestoreVolumeRequest],
    ) -> list[volume_pb2.RestoreVolumeResponse]:
        seen.extend(requests)
        return [volume_pb2.RestoreVolumeResponse(volume=volume("copy"))]

    daemon.on("Restore", take)
    source = tmp_path / "archive"
    source.write_bytes(b"x" * 300_000)
    words = ("--node", "w1", "--label", "a=b", "--devices")
    done = cli("volume", "restore", "-i", str(source), *words, "copy")
    assert (done.code, done.out, done.err) == (0, "copy\n", "Read 300kB\n")
    head, *pieces = seen
    assert (head.head.node_key, head.head.devices) == ("w1", True)
    assert head.head.spec.annotations.name == "copy"
    assert dict(head.head.spec.annotations.labels) == {"a": "b"}
    assert b"".join(each.piece.data for each in pieces) == source.read_bytes()
    assert pieces[-1].piece.WhichOneof("kind") == "end"


def test_a_restore_of_the_host_s_own(
    cli: CommandLine, daemon: ScriptedDaemon, tmp_path: Path
) -> None:
    daemon.on("RestoreLocalVolume", containers_pb2.LocalVolume(name="new"))
    source = tmp_path / "archive"
    source.write_bytes(b"archive")
    assert cli("volume", "restore", "--local", "-i", str(source), "new").out == "new\n"
    [(head, piece, end)] = daemon.asked("RestoreLocalVolume")
    assert (head.head.name, piece.piece.data) == ("new", b"archive")
    assert end.piece.WhichOneof("kind") == "end"


def test_a_move_says_each_step_once(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    daemon.on("MigrateVolume", moving("n1", "", ("n1", 1)))
    there = moving("n2")
    daemon.on("GetVolume", moving(), moving(), moving("n1", "no room"), there)
    done = cli("volume", "migrate", "data", "n2")
    assert (done.code, done.out) == (0, "data\n")
    assert done.err.splitlines() == [
        "is being moved to n2; n1 lets go of it",
        "is being moved to n2",
        "is being moved to n2: no room",
    ]
    [request] = daemon.asked("MigrateVolume")
    assert (request.key, request.node_key, bool(request.request_id)) == ("data", "n2", True)


def test_a_move_that_takes_too_long_goes_on_without_us(
    cli: CommandLine, daemon: ScriptedDaemon
) -> None:
    daemon.on("MigrateVolume", moving())
    daemon.on("GetVolume", moving())
    assert cli("volume", "migrate", "--wait-timeout", "10ms", "data", "n2").code == 3
    assert cli("volume", "migrate", "--detach", "data", "n2").code == 0
    daemon.on("GetVolume", volume("data", home="n1"))
    done = cli("volume", "migrate", "data", "n2")
    assert (done.code, "given up" in done.err) == (1, True)


def test_what_there_is_nothing_to_wait_for(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    daemon.on("MigrateVolume", volume("data", home="n2"))
    assert cli("volume", "migrate", "data", "n2").out == "data\n"
    assert cli("volume", "migrate", "--cancel", "data").out == "data\n"
    assert [each.node_key for each in daemon.asked("MigrateVolume")] == ["n2", ""]
    assert daemon.asked("GetVolume") == []


def test_volume_ls_says_what_is_done_with_data(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    listed = control_pb2.ListVolumesResponse(volumes=[moving("n1", "no room")])
    daemon.on("ListVolumes", listed)
    assert cli("volume", "ls").err == "volume data: is being moved to n2: no room\n"


@pytest.mark.parametrize(
    "words",
    [
        "backup --stop --live data",
        "migrate data",
        "migrate --cancel data n2",
        "migrate --force data n2",
        "restore --local --node w1 -i {file} new",
    ],
)
def test_what_does_not_go_together(cli: CommandLine, words: str) -> None:
    done = cli("volume", *words.format(file=sys.executable).split())
    assert done.code == 2
