"""`volume` on volumes of one host: what the verbs ask of its daemon, and what they show."""

import json

import pytest

from api.errors import Code, SwarmError
from api.times import timestamp
from api.v1 import containers_pb2, objects_pb2
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


def test_one_of_the_swarm_comes_first(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    of_swarm = objects_pb2.Volume(id="v" * 25)
    of_swarm.spec.annotations.name = "cache"
    daemon.on("GetVolume", of_swarm)
    (shown,) = json.loads(cli("volume", "inspect", "cache").out)
    assert shown["ID"] == of_swarm.id
    assert daemon.asked("ListLocalVolumes") == []
