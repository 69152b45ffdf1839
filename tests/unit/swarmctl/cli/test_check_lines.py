"""Reports of checked networks as people read them."""

import pytest

from api.v1 import check_pb2
from swarmctl.cli.check_lines import is_wrong, lines, summary

Finding = check_pb2.NetworkFinding
Fix = check_pb2.NetworkFix
Report = check_pb2.NetworkCheckReport

WRONG = Finding(
    network="front",
    what="tunnel vx5 is missing",
    expected="VXLAN number 5",
    found="nothing",
    why="somebody removed it",
    remedy="wait",
    command="swarmctl network check --fix",
)
NOTE = Finding(what="network front is nearly full", network="front", why="253 of 254", note=True)


def report(*findings: Finding, **fields: object) -> Report:
    made = Report(findings=findings, **fields)  # type: ignore[arg-type]
    if made.node_id:
        made.hostname = made.hostname or f"host-{made.node_id}"
    return made


@pytest.mark.parametrize(
    ("told", "line"),
    [
        (report(networks=2), "the managers: ok, 2 networks"),
        (
            report(node_id="a", networks=1, tasks=3, asked=2, reached=2, mtu=1500),
            "node host-a: ok, 1 network, 3 tasks, 2 of 2 other nodes reached, "
            "packets of up to 1500 bytes",
        ),
        (report(node_id="a"), "node host-a: ok, no network was to be looked at"),
        (report(WRONG, WRONG, node_id="a"), "node host-a: 2 things are wrong"),
        (
            report(WRONG, node_id="a", stage=Report.STAGE_FIXED),
            "node host-a after --fix: 1 thing is wrong",
        ),
    ],
)
def test_how_a_report_begins(told: Report, line: str) -> None:
    assert lines(told).splitlines()[0] == line


def test_what_is_wrong_comes_before_notes() -> None:
    assert lines(report(NOTE, WRONG, node_id="a")) == (
        "node host-a: 1 thing is wrong\n"
        "  * tunnel vx5 is missing (network front)\n"
        "      expected  VXLAN number 5\n"
        "      found     nothing\n"
        "      why       somebody removed it\n"
        "      to do     wait\n"
        "      command   swarmctl network check --fix\n"
        "  note: network front is nearly full\n"
        "      why       253 of 254\n"
    )
    assert not is_wrong(report(NOTE))


def test_what_was_mended() -> None:
    fixed = report(node_id="a", stage=Report.STAGE_FIXED)
    fixed.fixes.add(what="a link", after="as it ought to be")
    fixed.fixes.add(what="ufw drops", command="ufw allow 4789/udp", before="it drops", error="no")
    assert lines(fixed).splitlines()[1:] == [
        "  mended: a link",
        "      after     as it ought to be",
        "  not mended: ufw drops",
        "      command   ufw allow 4789/udp",
        "      before    it drops",
        "      error     no",
    ]


def test_nothing_of_a_node_reaches_the_terminal_as_it_is() -> None:
    assert "\x1b" not in lines(report(Finding(what="\x1b[2J"), node_id="a"))


def test_the_last_report_of_a_node_counts() -> None:
    first, then = report(WRONG, node_id="a"), report(node_id="a", stage=Report.STAGE_FIXED)
    assert summary([report(), first], fix=False) == (
        "something is wrong: host-a; `swarmctl network check --fix` mends what swarmd can mend"
    )
    assert summary([report(), first, then], fix=True) == "networks are in order on 1 node"
    assert summary([report(WRONG), first], fix=True) == ("something is wrong: the managers, host-a")
