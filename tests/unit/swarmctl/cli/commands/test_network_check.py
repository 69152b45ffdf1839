"""`network check`: what is asked of the daemon, what is shown, and the exit code."""

import json

import pytest

from api.errors import Code, SwarmError
from api.v1 import check_pb2
from tests.support.command_line import CommandLine
from tests.support.scripted_daemon import ScriptedDaemon

Report = check_pb2.NetworkCheckReport

OWN = Report(networks=1)
GOOD = Report(node_id="n1", hostname="m1", networks=1)
BAD = Report(node_id="n2", hostname="w1", networks=1)
BAD.findings.add(what="tunnel vx5 is missing", network="front")
FIXED = Report(node_id="n2", hostname="w1", networks=1, stage=Report.STAGE_FIXED)
FIXED.fixes.add(what="make tunnel vx5")


def test_all_is_in_order(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    daemon.on("Check", [OWN, GOOD])
    done = cli("network", "check")
    assert done.code == 0
    assert done.out.splitlines()[-1] == "networks are in order on 1 node"
    assert daemon.asked("Check") == [check_pb2.CheckNetworksRequest()]


def test_something_is_wrong(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    daemon.on("Check", [OWN, GOOD, BAD])
    done = cli("network", "check", "front", "--node", "w1")
    assert done.code == 1
    assert "tunnel vx5 is missing" in done.out
    assert daemon.asked("Check") == [check_pb2.CheckNetworksRequest(network="front", node="w1")]


@pytest.mark.parametrize(("reports", "code"), [([OWN, BAD, FIXED], 0), ([OWN, BAD], 1)])
def test_mending(
    cli: CommandLine, daemon: ScriptedDaemon, reports: list[Report], code: int
) -> None:
    daemon.on("Fix", reports)
    assert cli("network", "check", "--fix").code == code
    assert daemon.asked("Check") == []


def test_for_programs(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    daemon.on("Check", [OWN, BAD])
    done = cli("network", "check", "--format", "json")
    assert done.code == 1
    _, told = map(json.loads, done.out.splitlines())
    assert told["Hostname"] == "w1"
    assert told["Findings"] == [{"Network": "front", "What": "tunnel vx5 is missing"}]
    assert cli("network", "check", "--format", "yaml").code == 2


def test_a_network_that_is_not_there(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    daemon.on("Check", SwarmError(Code.NOT_FOUND, "there is no network 'x'"))
    done = cli("network", "check", "x")
    assert (done.code, done.err) == (1, "swarmctl: there is no network 'x'\n")
