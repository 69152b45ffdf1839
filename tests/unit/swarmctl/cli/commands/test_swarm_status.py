"""`swarm status`: the group of managers in words; and reads that may be old."""

from api.metadata import STALE
from api.v1 import control_pb2
from tests.support.command_line import CommandLine
from tests.support.golden import check_golden
from tests.support.scripted_daemon import ScriptedDaemon


def member(number: int, match: int, **fields: bool) -> control_pb2.GroupMember:
    made = control_pb2.GroupMember(match=match, hostname=f"m{number}", **fields)  # type: ignore[arg-type]
    made.member.raft_id = 0xA0 + number
    made.member.node_id = f"n{number}"
    made.member.address = f"10.0.0.{number}:2377"
    return made


def group(asked: int, leader: int) -> control_pb2.ManagerGroupStatus:
    return control_pb2.ManagerGroupStatus(
        group_id=7,
        raft_id=asked,
        leader=leader,
        term=4,
        commit=120,
        applied=118,
        details="all of it\nin lines",
        members=[
            member(1, 120, voter=True, active=True),
            member(2, 119, voter=True, active=False),
            member(3, 20, voter=False, active=True),
        ],
    )


def test_the_leader_knows_all(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    daemon.on("GetGroup", group(0xA1, 0xA1))
    check_golden("cli/swarm_status.txt", cli("swarm", "status").out)


def test_others_know_who_leads(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    daemon.on("GetGroup", group(0xA2, 0xA1))
    check_golden("cli/swarm_status_follower.txt", cli("swarm", "status").out)


def test_nobody_leads(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    daemon.on("GetGroup", group(0xA2, 0))
    assert "nobody leads in term 4" in cli("swarm", "status").out


def test_a_template_and_all_details(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    daemon.on("GetGroup", group(0xA1, 0xA1))
    lines = cli("swarm", "status", "--format", "{{.Hostname}} {{.NodeID}} {{.Match}}").out
    assert lines == "m1 n1 120\nm2 n2 119\nm3 n3 20\n"
    assert cli("swarm", "status", "--details").out == "all of it\nin lines\n"


def test_a_read_may_ask_for_what_is_there(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    daemon.on("ListNodes", control_pb2.ListNodesResponse())
    assert cli("node", "ls", "-q").code == 0
    assert STALE not in daemon.metadata("ListNodes")
    assert cli("--stale", "node", "ls", "-q").code == 0
    assert STALE in daemon.metadata("ListNodes")
