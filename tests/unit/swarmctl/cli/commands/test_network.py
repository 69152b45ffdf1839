"""`network`: what the verbs ask of the daemon, and what they show."""

import json
from typing import Any

import pytest

from api.errors import Code, SwarmError
from api.times import timestamp
from api.v1 import containers_pb2, control_pb2, objects_pb2, specs_pb2
from tests.support.command_line import CommandLine
from tests.support.scripted_daemon import ScriptedDaemon

FRONT = "1abcdefghijklmnopqrstuvwx"


def made(name: str = "front", network_id: str = FRONT, **fields: Any) -> objects_pb2.Network:
    network = objects_pb2.Network(id=network_id, **fields)
    network.meta.version = 7
    network.meta.created_at.CopyFrom(timestamp(0))
    network.spec.annotations.name = name
    network.spec.pools.add(subnet="10.0.1.0/24")
    network.pools.add(subnet="10.0.1.0/24", gateway="10.0.1.1")
    return network


@pytest.fixture(autouse=True)
def _known(daemon: ScriptedDaemon) -> None:
    daemon.on("CreateNetwork", made())
    daemon.on("GetNetwork", made())
    daemon.on("UpdateNetwork", made())
    daemon.on("RemoveNetwork", control_pb2.RemoveResponse(id=FRONT))
    host = objects_pb2.Network(id="host")
    host.spec.annotations.name = host.spec.driver = "host"
    full = made("app10", "2" * 25, warning="more than 70% of its addresses are held")
    listed = control_pb2.ListNetworksResponse(networks=[host, full, made()])
    daemon.on("ListNetworks", listed)
    use = control_pb2.NetworkUse(network_id=FRONT, addresses_held=2, addresses=253)
    use.services.add(id="s1", name="web", addresses=["10.0.1.2/24"])
    daemon.on("GetNetworkUse", use)
    daemon.on("ListLocalNetworks", containers_pb2.ListLocalNetworksResponse())


EVERYTHING = (
    "--driver overlay --subnet 10.0.1.0/24 --subnet fd00::/64 --gateway fd00::9"
    " --gateway 10.0.1.9 --ip-range 10.0.1.128/25 --aux-address router=10.0.1.2"
    " --ipv6 --internal --attachable --ingress -o encrypted"
    " --opt com.docker.network.driver.mtu=1400 --label a=b --scope swarm"
)


def test_create_with_everything(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    words = EVERYTHING.split()
    done = cli("network", "create", *words, "front")
    assert (done.code, done.out) == (0, f"{FRONT}\n")
    [request] = daemon.asked("CreateNetwork")
    spec = request.spec
    assert request.request_id
    assert list(spec.pools) == [
        specs_pb2.IpamConfig(
            subnet="10.0.1.0/24",
            gateway="10.0.1.9",
            ip_range="10.0.1.128/25",
            aux_addresses={"router": "10.0.1.2"},
        ),
        specs_pb2.IpamConfig(subnet="fd00::/64", gateway="fd00::9"),
    ]
    assert dict(spec.driver_options) == {"encrypted": "", "com.docker.network.driver.mtu": "1400"}
    assert (spec.ipv6, spec.internal, spec.attachable, spec.ingress) == (True,) * 4
    assert (spec.driver, spec.scope, dict(spec.annotations.labels)) == (
        "overlay",
        "swarm",
        {"a": "b"},
    )


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--gateway 10.0.1.1", "needs the --subnet"),
        ("--subnet 10.0.1.0/24 --gateway 10.0.2.1", "none of the subnets"),
        ("--subnet 10.0.1.0/24 --subnet 10.0.1.0/24", "given twice"),
        ("--subnet 10.0.1.0/24 --gateway 10.0.1.1 --gateway 10.0.1.2", "gateway already"),
        ("--subnet 10.0.1.0/24 --ip-range 10.0.1.0/25 --ip-range 10.0.1.128/25", "ip range"),
        ("--subnet 10.0.1.0/24 --ip-range x", "neither"),
        ("--subnet x --ip-range 10.0.0.0/8", "10.0.1.0/24"),
    ],
)
def test_ranges_that_fit_nowhere(cli: CommandLine, flags: str, words: str) -> None:
    done = cli("network", "create", *flags.split(), "front")
    assert (done.code, words in done.err) == (2, True), done.err


def test_ls(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    done = cli("network", "ls", "-f", "driver=overlay", "-f", "dangling=true", "-f", "type=custom")
    assert done.code == 0
    assert [line.split() for line in done.out.splitlines()] == [
        ["NETWORK", "ID", "NAME", "DRIVER", "SCOPE"],
        ["222222222222", "app10", "overlay", "swarm"],
        [FRONT[:12], "front", "overlay", "swarm"],
        ["host", "host", "host", "local"],
    ]
    assert done.err == "network app10: more than 70% of its addresses are held\n"
    [request] = daemon.asked("ListNetworks")
    assert (list(request.drivers), list(request.dangling), list(request.types)) == (
        ["overlay"],
        [True],
        ["custom"],
    )
    assert FRONT in cli("network", "ls", "--no-trunc").out
    assert cli("network", "ls", "--format", "{{.Subnets}}").out.split()[0] == "10.0.1.0/24"
    assert cli("network", "ls", "-f", "colour=red").code == 2
    assert cli("network", "ls", "-f", "dangling=perhaps").code == 2


def test_inspect(cli: CommandLine) -> None:
    [plain] = json.loads(cli("network", "inspect", "front").out)
    assert plain["ID"] == FRONT
    assert "Use" not in plain
    [whole] = json.loads(cli("network", "inspect", "-v", "front").out)
    assert whole["Use"]["Services"][0]["Name"] == "web"
    assert cli("network", "inspect", "-f", "{{.ID}}", "front").out == f"{FRONT}\n"


def test_update(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    done = cli(*["network", "update", "--add-subnet", "10.0.2.0/24", "--label-add", "c=d", "front"])
    assert (done.code, done.out) == (0, "front\n")
    [request] = daemon.asked("UpdateNetwork")
    assert [pool.subnet for pool in request.spec.pools] == ["10.0.1.0/24", "10.0.2.0/24"]
    assert (request.version, dict(request.spec.annotations.labels)) == (7, {"c": "d"})
    assert cli("network", "update", "--label-rm", "x", "front").code == 1


def test_rm(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    done = cli("network", "rm", "front", "back")
    assert (done.code, done.out) == (0, "front\nback\n")
    assert [each.key for each in daemon.asked("RemoveNetwork")] == ["front", "back"]
    daemon.on("RemoveNetwork", SwarmError(Code.NOT_FOUND, "there is no network 'front'"))
    assert cli("network", "rm", "front").code == 1
    done = cli("network", "rm", "--force", "front")
    assert (done.code, done.out) == (0, "")


def test_prune(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    done = cli("network", "prune", "--force", "--filter", "label=a")
    assert done.out.splitlines() == ["Deleted Networks:", "host", "app10", "front"]
    [request] = daemon.asked("ListNetworks")
    assert (list(request.dangling), list(request.types), list(request.labels)) == (
        [True],
        ["custom"],
        ["a"],
    )
    daemon.on("ListNetworks", control_pb2.ListNetworksResponse())
    assert cli("network", "prune", "--force").out == ""


def test_prune_removes_what_this_host_has_alone(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    own = made("own", "3" * 25)
    own.spec.driver = "bridge"
    box = containers_pb2.Container(id="c1")
    box.networks.add(network_id=own.id)
    daemon.on("ListNetworks", control_pb2.ListNetworksResponse())
    daemon.on("ListLocalNetworks", containers_pb2.ListLocalNetworksResponse(networks=[own]))
    daemon.on("ListContainers", containers_pb2.ListContainersResponse(containers=[box]))
    daemon.on("RemoveLocalNetwork", containers_pb2.RemoveLocalNetworkResponse(id=own.id))
    assert cli("network", "prune", "--force").out == ""
    daemon.on("ListContainers", containers_pb2.ListContainersResponse())
    assert cli("network", "prune", "--force").out == "Deleted Networks:\nown\n"
    assert [each.key for each in daemon.asked("RemoveLocalNetwork")] == [own.id]


def test_prune_leaves_a_network_of_the_host_that_has_the_name_of_one_to_be_removed(
    cli: CommandLine, daemon: ScriptedDaemon
) -> None:
    own, of_swarm = made("front", "3" * 25), made("front", "4" * 25)
    own.spec.driver = "bridge"
    daemon.on("ListNetworks", control_pb2.ListNetworksResponse(networks=[of_swarm]))
    daemon.on("ListLocalNetworks", containers_pb2.ListLocalNetworksResponse(networks=[own]))
    daemon.on("RemoveLocalNetwork", containers_pb2.RemoveLocalNetworkResponse(id=own.id))
    done = cli("network", "prune", "--force", "--filter", "label=old")
    assert (done.code, done.out) == (0, "Deleted Networks:\nfront\n")
    assert daemon.asked("RemoveLocalNetwork") == []
    assert [each.key for each in daemon.asked("RemoveNetwork")] == [of_swarm.id]


def test_connect_and_disconnect(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    daemon.on("ConnectNetwork", containers_pb2.Container())
    daemon.on("DisconnectNetwork", containers_pb2.Container())
    words = ["--alias", "a", "--alias", "b", "--ip", "10.0.1.9", "--ip6", "fd00::9", "front", "box"]
    assert cli("network", "connect", *words).code == 0
    assert cli("network", "connect", "front", "box").code == 0
    assert [(each.key, each.network) for each in daemon.asked("ConnectNetwork")] == [
        (
            "box",
            specs_pb2.NetworkAttachmentSpec(
                target="front", aliases=["a", "b"], addresses=["10.0.1.9", "fd00::9"]
            ),
        ),
        ("box", specs_pb2.NetworkAttachmentSpec(target="front")),
    ]
    assert cli("network", "disconnect", "-f", "front", "box").code == 0
    assert cli("network", "disconnect", "front", "box").code == 0
    asked = daemon.asked("DisconnectNetwork")
    assert [(each.key, each.network, each.force) for each in asked] == [
        ("box", "front", True),
        ("box", "front", False),
    ]


def test_a_bridge_is_a_network_of_one_host(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    own = made("own", "3" * 25)
    own.spec.driver = "bridge"
    daemon.on("CreateLocalNetwork", own)
    daemon.on("ListLocalNetworks", containers_pb2.ListLocalNetworksResponse(networks=[own]))
    daemon.on("RemoveLocalNetwork", containers_pb2.RemoveLocalNetworkResponse(id=own.id))
    daemon.on("ListContainers", containers_pb2.ListContainersResponse())
    assert cli("network", "create", "-d", "bridge", "own").out == f"{own.id}\n"
    assert cli("network", "create", "-d", "bridge", "--scope", "swarm", "all").out == f"{FRONT}\n"
    assert len(daemon.asked("CreateLocalNetwork")) == len(daemon.asked("CreateNetwork")) == 1
    rows = [line.split() for line in cli("network", "ls").out.splitlines()]
    assert ["333333333333", "own", "bridge", "local"] in rows
    for key, value, shown in (
        ("driver", "bridge", True),
        ("scope", "swarm", False),
        ("type", "builtin", False),
        ("name", "ow", True),
        ("id", "4", False),
        ("label", "a", False),
        ("dangling", "true", True),
        ("dangling", "false", False),
    ):
        assert ("own" in cli("network", "ls", "-f", f"{key}={value}").out) == shown, key
    [inspected] = json.loads(cli("network", "inspect", "own").out)
    assert inspected["ID"] == own.id
    box = containers_pb2.Container(id="c1")
    box.spec.annotations.name = "box"
    box.networks.add(network_id=own.id, addresses=["10.0.1.2/24"])
    daemon.on("ListContainers", containers_pb2.ListContainersResponse(containers=[box]))
    [inspected] = json.loads(cli("network", "inspect", "-v", "own").out)
    rows = inspected["Use"]["Containers"]
    assert rows == [{"ID": "c1", "Name": "box", "Addresses": ["10.0.1.2/24"]}]
    daemon.on("ListNetworks", SwarmError(Code.REFUSED, "this node is not part of a swarm"))
    assert "own" in cli("network", "ls").out
    daemon.on("ListLocalNetworks", containers_pb2.ListLocalNetworksResponse())
    assert cli("network", "ls").code == 1
    daemon.on("ListLocalNetworks", containers_pb2.ListLocalNetworksResponse(networks=[own]))
    assert cli("network", "rm", "own").out == "own\n"
    assert daemon.asked("RemoveNetwork") == []
