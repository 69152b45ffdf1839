"""`volume` on volumes of one host: what the verbs ask of its daemon, and what they show."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from api.times import timestamp
from api.v1 import containers_pb2, control_pb2, objects_pb2, volume_pb2
from tests.support.command_line import CommandLine
from tests.support.scripted_daemon import ScriptedDaemon

USER = "2abcdefghijklmnopqrstuvwx"


@pytest.fixture(autouse=True)
def _known(daemon: ScriptedDaemon) -> None:
    own = containers_pb2.LocalVolume(
        name="cache", driver="local", users=[USER], mountpoint="/v/cache/_data", labels={"a": "b"}
    )
    own.created_at.CopyFrom(timestamp(0))
    listed = containers_pb2.ListLocalVolumesResponse(volumes=[own])
    daemon.on("ListLocalVolumes", listed)
    daemon.on("RemoveLocalVolume", containers_pb2.RemoveLocalVolumeResponse())
    daemon.on("GetVolume", SwarmError(Code.NOT_FOUND, "there is no volume of that name"))


def test_they_are_listed_where_that_is_asked(cli: CommandLine) -> None:
    rows = [line.split() for line in cli("volume", "ls", "--local").out.splitlines()]
    assert rows == [
        ["DRIVER", "VOLUME", "NAME", "USED", "BY"],
        ["local", "cache", USER[:12]],
    ]
    assert cli("volume", "ls", "--local", "-q").out == "cache\n"
    form = "{{.Mountpoint}} {{.Labels}} {{.CreatedAt}}"
    found = cli("volume", "ls", "--local", "--format", form).out
    assert found == "/v/cache/_data a=b 1970-01-01T00:00:00.000000Z\n"
    refused = cli("volume", "ls", "--local", "--cluster")
    assert "--local goes with neither" in refused.err


def test_they_are_shown_and_removed_by_name_where_the_swarm_has_none(
    cli: CommandLine, daemon: ScriptedDaemon
) -> None:
    (shown,) = json.loads(cli("volume", "inspect", "cache").out)
    assert (shown["Name"], shown["Mountpoint"]) == ("cache", "/v/cache/_data")
    assert cli("volume", "rm", "cache").out == "cache\n"
    assert [each.name for each in daemon.asked("RemoveLocalVolume")] == ["cache"]
    assert "no volume of that name" in cli("volume", "inspect", "other").err


def volume_of_the_swarm(daemon: ScriptedDaemon) -> None:
    other = objects_pb2.Volume(id="cache".ljust(25, "x"))
    other.spec.annotations.name = "precious"
    daemon.on("GetVolume", other)
    daemon.on("RemoveVolume", control_pb2.RemoveResponse())
    daemon.on("Backup", [volume_pb2.VolumePiece(end=volume_pb2.VolumeEnd())])


def several_of_the_swarm(daemon: ScriptedDaemon) -> None:
    ambiguous = SwarmError(Code.INVALID, "'cache' may mean 2 different volumes", field="key")
    for method in ("GetVolume", "RemoveVolume", "Backup"):
        daemon.on(method, ambiguous)


@pytest.mark.parametrize("begins", [volume_of_the_swarm, several_of_the_swarm])
def test_a_volume_of_the_swarm_whose_id_begins_as_the_name_of_an_own_one_is_left_alone(
    cli: CommandLine, daemon: ScriptedDaemon, tmp_path: Path, begins: Callable[..., None]
) -> None:
    begins(daemon)
    daemon.on("BackupLocalVolume", [volume_pb2.VolumePiece(end=volume_pb2.VolumeEnd())])
    (shown,) = json.loads(cli("volume", "inspect", "cache").out)
    assert shown["Mountpoint"] == "/v/cache/_data"
    assert cli("volume", "backup", "cache", "-o", str(tmp_path / "saved")).code == 0
    assert len(daemon.asked("BackupLocalVolume")) == 1
    assert cli("volume", "rm", "cache").out == "cache\n"
    assert [each.name for each in daemon.asked("RemoveLocalVolume")] == ["cache"]
    assert daemon.asked("RemoveVolume") == daemon.asked("Backup") == []


def test_one_of_the_swarm_comes_first(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    of_swarm = objects_pb2.Volume(id="v" * 25)
    of_swarm.spec.annotations.name = "cache"
    daemon.on("GetVolume", of_swarm)
    (shown,) = json.loads(cli("volume", "inspect", "cache").out)
    assert shown["ID"] == of_swarm.id
    assert daemon.asked("ListLocalVolumes") == []
