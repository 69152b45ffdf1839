"""`node`: its table byte for byte, and changes that collide."""

import json

import pytest

from api.errors import Code, SwarmError
from api.times import timestamp
from api.v1 import control_pb2, host_pb2, objects_pb2, types_pb2
from swarmctl.cli.commands.node import ROLES
from tests.support import builders
from tests.support.command_line import CommandLine
from tests.support.golden import check_golden
from tests.support.scripted_daemon import ScriptedDaemon


def node(number: int, **more: types_pb2.NodeAvailability.ValueType) -> objects_pb2.Node:
    made = builders.node(f"host{number}", **more)  # type: ignore[arg-type]
    made.id = f"{number}abcdefghijklmnopqrstuvwx"[:25]
    made.meta.version = number
    made.meta.created_at.CopyFrom(timestamp(1_800_000_000))
    made.description.engine.version = "0.1.0"
    made.description.engine.runtime = "crun 1.8.1"
    made.spec.annotations.labels["rack"] = "a"
    return made


def nodes() -> control_pb2.ListNodesResponse:
    leader, other, drained = node(1), node(2), node(10, availability=builders.DRAIN)
    leader.manager.leader = True
    leader.manager.address = "10.0.0.1:2377"
    other.manager.reachable = True
    drained.status.state = builders.DOWN
    drained.status.message = "heartbeat failure"
    return control_pb2.ListNodesResponse(nodes=[drained, other, leader])


@pytest.fixture(autouse=True)
def _known(daemon: ScriptedDaemon) -> None:
    daemon.on("ListNodes", lambda request: nodes())
    daemon.on("Info", host_pb2.InfoResponse(swarm=host_pb2.SwarmInfo(node_id=node(2).id)))
    daemon.on("GetNode", lambda request: node(2))
    daemon.on("UpdateNode", lambda request: node(2))


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("node_ls.txt", ()),
        ("node_ls_quiet.txt", ("-q",)),
        ("node_ls_template.txt", ("--format", "{{.Hostname}} {{.Self}} {{.Message}}")),
    ],
)
def test_nodes(cli: CommandLine, daemon: ScriptedDaemon, name: str, args: tuple[str, ...]) -> None:
    result = cli("node", "ls", *args)
    assert (result.code, result.err) == (0, "")
    check_golden(f"cli/{name}", result.out)


def test_filters_are_sent(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    filters = ["id=a", "name=b", "label=c", "node.label=d=e", "role=manager", "membership=accepted"]
    result = cli("node", "ls", *(word for each in filters for word in ("-f", each)))
    assert len(result.out.splitlines()) == 4
    [request] = daemon.asked("ListNodes")
    assert request == control_pb2.ListNodesRequest(
        ids=["a"],
        names=["b"],
        engine_labels=["c"],
        node_labels=["d=e"],
        roles=[types_pb2.NODE_ROLE_MANAGER],
        memberships=[control_pb2.NODE_MEMBERSHIP_ACCEPTED],
    )


@pytest.mark.parametrize("text", ["role=boss", "membership=perhaps"])
def test_a_wrong_word_in_a_filter(cli: CommandLine, daemon: ScriptedDaemon, text: str) -> None:
    result = cli("node", "ls", "--filter", text)
    assert (result.code, daemon.asked("ListNodes")) == (2, [])
    assert "use one of" in result.err


def test_inspect(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    assert json.loads(cli("node", "inspect", "self").out)[0]["Spec"]["Labels"] == {"rack": "a"}
    assert daemon.asked("GetNode")[0].key == node(2).id
    check_golden("cli/node_inspect_pretty.txt", cli("node", "inspect", "--pretty", "x").out)


def test_inspect_for_people_tells_what_the_owner_declared(
    cli: CommandLine, daemon: ScriptedDaemon
) -> None:
    declared = node(2)
    declared.description.engine.labels["disk"] = "ssd"
    declared.description.resources.generic.add(kind="gpu", ids=["u1", "u2"])
    declared.description.resources.generic.add(kind="apple", count=4)
    daemon.on("GetNode", declared)
    lines = cli("node", "inspect", "--pretty", "x").out.splitlines()
    shown = {" ".join(line.split()) for line in lines}
    assert {"gpu: u1, u2", "apple: 4", "Engine Label disk: ssd"} <= shown


def test_each_rotation_is_another_round(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    before = node(2)
    before.spec.network_key_round = 4
    daemon.on("GetNode", before)
    for flags, number in ((["--rotate-network-key"], 5), (["--availability", "pause"], 4)):
        assert cli("node", "update", *flags, "x").code == 0
        assert daemon.asked("UpdateNode")[-1].spec.network_key_round == number


def test_inspect_for_people_tells_by_what_a_node_encrypts(
    cli: CommandLine, daemon: ScriptedDaemon
) -> None:
    able, unable = node(2), node(1)
    able.description.wireguard_key, able.description.wireguard_port = bytes(32), 51820
    able.description.encrypted_by, able.description.wireguard_address = "wireguard-go 1", "fd53::1"
    unable.description.encryption_missing = "the kernel has no IPv6"
    for told, words in (
        (able, ["Encryption: wireguard-go 1", f"Key: {'A' * 43}=", "Address: fd53::1"]),
        (able, ["Port: 51820/udp"]),
        (unable, ["Encryption: none: the kernel has no IPv6"]),
    ):
        daemon.on("GetNode", told)
        lines = cli("node", "inspect", "--pretty", "x").out.splitlines()
        assert set(words) <= {" ".join(line.split()) for line in lines}


def test_inspect_for_people_names_the_drivers_of_volumes(
    cli: CommandLine, daemon: ScriptedDaemon
) -> None:
    told = node(1)
    told.description.volume_drivers.add(name="csi.test", segments={"zone": "a", "rack": "7"})
    told.description.volume_drivers.add(name="local", local=True)
    daemon.on("GetNode", told)
    lines = cli("node", "inspect", "--pretty", "x").out.splitlines()
    words = [" ".join(line.split()) for line in lines]
    start = words.index("Plugins:")
    assert words[start : start + 4] == [
        "Plugins:",
        "Volume: csi.test, local",
        "Topology:",
        "csi.test: rack=7, zone=a",
    ]


def test_self_outside_of_a_swarm(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    daemon.on("Info", host_pb2.InfoResponse())
    result = cli("node", "inspect", "self")
    assert (result.code, result.out) == (1, "[]\n")
    assert "not part of a swarm" in result.err


def test_ps_is_of_this_node_by_default(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    daemon.on("ListTasks", control_pb2.ListTasksResponse(tasks=[builders.task("t1")]))
    assert cli("node", "ps", "-q").out == "t1\n"
    assert list(daemon.asked("ListTasks")[0].node_keys) == [node(2).id]


def test_update_sends_the_whole_spec_with_its_version(
    cli: CommandLine, daemon: ScriptedDaemon
) -> None:
    result = cli(
        *("node", "update", "host2", "--availability", "drain", "--role", "manager"),
        *("--label-add", "disk=ssd", "--label-add", "gpu", "--label-rm", "rack"),
    )
    assert (result.code, result.out) == (0, "host2\n")
    [request] = daemon.asked("UpdateNode")
    assert (request.key, request.version) == (node(2).id, 2)
    assert request.spec.availability == types_pb2.NODE_AVAILABILITY_DRAIN
    assert request.spec.role == types_pb2.NODE_ROLE_MANAGER
    assert dict(request.spec.annotations.labels) == {"disk": "ssd", "gpu": ""}


def test_a_collision_is_read_again_and_repeated(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    daemon.on("UpdateNode", SwarmError(Code.CONFLICT, "it changed"), node(2))
    assert cli("node", "update", "host2", "--availability", "pause").code == 0
    assert len(daemon.asked("GetNode")) == 2


def test_a_label_that_is_not_there_cannot_be_removed(
    cli: CommandLine, daemon: ScriptedDaemon
) -> None:
    result = cli("node", "update", "host2", "--label-rm", "colour")
    assert (result.code, daemon.asked("UpdateNode")) == (1, [])
    assert "has no label 'colour'" in result.err


@pytest.mark.parametrize(
    ("verb", "role", "text"),
    [
        ("promote", types_pb2.NODE_ROLE_MANAGER, "Node host2 promoted to a manager in the swarm."),
        ("demote", types_pb2.NODE_ROLE_WORKER, "Manager host2 demoted in the swarm."),
    ],
)
def test_roles(
    cli: CommandLine,
    daemon: ScriptedDaemon,
    verb: str,
    role: types_pb2.NodeRole.ValueType,
    text: str,
) -> None:
    other = node(2)
    other.spec.role = types_pb2.NODE_ROLE_WORKER if role else types_pb2.NODE_ROLE_MANAGER
    daemon.on("GetNode", SwarmError(Code.NOT_FOUND, "there is no node gone"), other)
    result = cli("node", verb, "gone", "host2")
    assert (result.code, result.out) == (1, f"{text}\n")
    assert [each.spec.role for each in daemon.asked("UpdateNode")] == [role]


@pytest.mark.parametrize(("verb", "role"), [("promote", "manager"), ("demote", "worker")])
def test_a_role_that_it_has_already(
    cli: CommandLine, daemon: ScriptedDaemon, verb: str, role: str
) -> None:
    same = node(2)
    same.spec.role = ROLES[role]
    daemon.on("GetNode", same)
    result = cli("node", verb, "host2")
    assert (result.code, result.out) == (0, f"Node host2 is already a {role}.\n")
    assert not daemon.asked("UpdateNode")


def test_a_label_that_is_added_and_removed_is_removed(
    cli: CommandLine, daemon: ScriptedDaemon
) -> None:
    assert cli("node", "update", "host2", "--label-add", "a=b", "--label-rm", "a").code == 0
    assert dict(daemon.asked("UpdateNode")[0].spec.annotations.labels) == {"rack": "a"}


def test_removing(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    refused = SwarmError(Code.REFUSED, "node host1 is not down", remedy="use --force")
    daemon.on("RemoveNode", refused, control_pb2.RemoveResponse())
    result = cli("node", "rm", "--force", "host1", "host2")
    assert (result.code, result.out) == (1, "host2\n")
    assert result.err == "swarmctl: node host1 is not down. Use --force\n"
    assert [each.force for each in daemon.asked("RemoveNode")] == [True, True]
