"""`volume`: what the verbs ask of the daemon, and what they show."""

import json
from typing import Any

import pytest

from api.errors import Code, SwarmError
from api.v1 import containers_pb2, control_pb2, objects_pb2, specs_pb2
from tests.support.builders import node, volume
from tests.support.command_line import CommandLine
from tests.support.scripted_daemon import ScriptedDaemon

Holder = objects_pb2.VolumeHolder
Spec = specs_pb2.VolumeSpec


def made(name: str = "data", *holders: tuple[str, int], **fields: Any) -> objects_pb2.Volume:
    found = volume(name, *holders, **fields)
    found.meta.version = 7
    return found


def closing() -> objects_pb2.Volume:
    found = made("stuck", ("n1", 2))
    found.holders[0].state = Holder.STATE_CLOSING
    found.holders[0].order_error = "the storage is away"
    found.spec.sharing = Spec.SHARING_NONE
    return found


@pytest.fixture(autouse=True)
def _known(daemon: ScriptedDaemon) -> None:
    daemon.on("CreateVolume", made())
    daemon.on("GetVolume", made("data", ("n1", 3)))
    daemon.on("UpdateVolume", made())
    daemon.on("RemoveVolume", control_pb2.RemoveResponse(id="data"))
    daemon.on("ForceReleaseVolume", made())
    going = made("going")
    going.removing, going.pending = True, "busy"
    listed = [made("data10"), made("data9", ("n1", 3)), closing(), going]
    daemon.on("ListVolumes", control_pb2.ListVolumesResponse(volumes=listed))
    daemon.on("ListNodes", control_pb2.ListNodesResponse(nodes=[node("n1")]))


EVERYTHING = (
    "-d fast -o size=big --opt a=b --access many-writers --availability pause --group db"
    " --label a=b --lease 30s --type block --required-bytes 1g --limit-bytes 2g"
    " --secret token=db --topology-required zone=a,rack=1 --topology-preferred zone=a"
)


def test_create_with_everything(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    done = cli("volume", "create", *EVERYTHING.split(), "data")
    assert (done.code, done.out) == (0, "data\n")
    [request] = daemon.asked("CreateVolume")
    spec = request.spec
    assert request.request_id
    assert (spec.annotations.name, spec.driver, spec.group, spec.block) == (
        "data",
        "fast",
        "db",
        True,
    )
    assert dict(spec.driver_options) == {"size": "big", "a": "b"}
    assert (spec.access, spec.sharing) == (Spec.ACCESS_MANY_WRITERS, Spec.SHARING_ALL)
    assert spec.availability == Spec.AVAILABILITY_PAUSE
    assert (spec.required_bytes, spec.limit_bytes) == (1 << 30, 2 << 30)
    assert spec.lease_term.seconds == 30
    assert [(each.key, each.secret) for each in spec.secrets] == [("token", "db")]
    assert [dict(each.segments) for each in spec.topology_required] == [{"zone": "a", "rack": "1"}]
    assert [dict(each.segments) for each in spec.topology_preferred] == [{"zone": "a"}]


def test_docker_s_words_for_who_may_use_it(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    assert cli("volume", "create", "--sharing", "onewriter", "data").code == 0
    [request] = daemon.asked("CreateVolume")
    assert request.spec.sharing == Spec.SHARING_ONEWRITER
    done = cli("volume", "create", "--scope", "multi", "--sharing", "onewriter", "data")
    assert done.code == 2
    assert "cannot be held to" in done.err


def test_the_list_says_who_holds_what_and_what_is_wrong(cli: CommandLine) -> None:
    done = cli("volume", "ls")
    names = [line[0] for line in done.words[1:]]
    assert names == ["data9", "data10", "going", "stuck"]
    assert done.words[1][-2:] == ["n1", "3"]
    assert "volume going: is being deleted by its driver: busy" in done.err
    assert "volume stuck: n1 (closing): the storage is away" in done.err
    assert cli("volume", "ls", "-q").out.split() == names
    sharing = cli("volume", "ls", "--format", "{{.Name}} {{.Sharing}}").out.splitlines()
    assert sharing[-1] == "stuck none"


def test_inspect(cli: CommandLine) -> None:
    [shown] = json.loads(cli("volume", "inspect", "data").out)
    assert shown["Holders"][0]["NodeID"] == "n1"


def test_update(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    flags = ["--availability", "drain", "--group", "g", "--lease", "20s", "--label-add", "a=b"]
    assert cli("volume", "update", *flags, "data").out == "data\n"
    [request] = daemon.asked("UpdateVolume")
    assert (request.version, request.spec.group) == (7, "g")
    assert request.spec.availability == Spec.AVAILABILITY_DRAIN
    assert dict(request.spec.annotations.labels) == {"a": "b"}
    assert "has no label" in cli("volume", "update", "--label-rm", "x", "data").err


def test_rm_waits_for_the_driver_unless_it_is_forced(
    cli: CommandLine, daemon: ScriptedDaemon
) -> None:
    assert cli("volume", "rm", "data").out == "data\n"
    assert cli("volume", "rm", "-f", "data").out == "data\n"
    assert [each.force for each in daemon.asked("RemoveVolume")] == [False, True]
    daemon.on("GetVolume", SwarmError(Code.NOT_FOUND, "there is no volume 'none'"))
    daemon.on("ListLocalVolumes", containers_pb2.ListLocalVolumesResponse())
    assert cli("volume", "rm", "none").code == 1
    assert cli("volume", "rm", "-f", "none").code == 0


def test_prune_removes_what_nothing_uses(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    done = cli("volume", "prune", "-f", "--filter", "label=old")
    assert done.out.splitlines()[0] == "Deleted Volumes:"
    [asked] = daemon.asked("ListVolumes")
    assert (list(asked.labels), list(asked.dangling)) == (["old"], [True])
    assert len(daemon.asked("RemoveVolume")) == 4


def test_force_release_spells_the_danger_out(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    done = cli("volume", "force-release", "data")
    assert done.code != 0
    assert "held by n1" in done.err
    assert "DESTROYED" in done.err
    assert not daemon.asked("ForceReleaseVolume")
    assert cli("volume", "force-release", "-f", "--node", "n1", "data").code == 0
    [request] = daemon.asked("ForceReleaseVolume")
    assert (request.key, request.node_key) == ("data", "n1")


def test_what_nobody_holds_is_refused_without_a_question(
    cli: CommandLine, daemon: ScriptedDaemon
) -> None:
    daemon.on("GetVolume", made())
    daemon.on("ForceReleaseVolume", SwarmError(Code.REFUSED, "no node holds volume data"))
    done = cli("volume", "force-release", "data")
    assert (done.code, done.out) == (1, "")
    assert "no node holds" in done.err
    assert "DESTROYED" not in done.err
