"""Reports of checked networks for people: who is in order, and what is wrong where. Pure."""

from collections.abc import Iterable, Iterator

from api.v1 import check_pb2
from swarmctl.cli.render import printable

Report = check_pb2.NetworkCheckReport
Finding = check_pb2.NetworkFinding
Fix = check_pb2.NetworkFix

MANAGERS = "the managers"


def is_wrong(report: Report) -> bool:
    """Whether anything is broken there."""
    return any(not each.note for each in report.findings)


def lines(report: Report) -> str:
    """What is to be said of one node, or of the managers."""
    told = [_head(report)]
    told += [line for fix in report.fixes for line in _fix(fix)]
    told += [line for each in _in_order(report.findings) for line in _finding(each)]
    return "".join(f"{printable(line)}\n" for line in told)


def summary(reports: Iterable[Report], *, fix: bool) -> str:
    """The last line: of each node the last report counts."""
    last = {report.node_id: report for report in reports}
    wrong = [report for report in last.values() if is_wrong(report)]
    nodes = sum(1 for node_id in last if node_id)
    if not wrong:
        return f"networks are in order on {_counted(nodes, 'node')}"
    names = ", ".join(_name(report) for report in wrong)
    hint = "" if fix else "; `swarmctl network check --fix` mends what swarmd can mend"
    return f"something is wrong: {names}{hint}"


def _head(report: Report) -> str:
    name = _name(report)
    what = f"node {name}" if report.node_id else name
    then = " after --fix" if report.stage == Report.STAGE_FIXED else ""
    wrong = sum(1 for each in report.findings if not each.note)
    if wrong:
        things = "1 thing is wrong" if wrong == 1 else f"{wrong} things are wrong"
        return f"{what}{then}: {things}"
    if not report.node_id:
        return f"{what}: ok, {_counted(report.networks, 'network')}"
    if not report.networks:
        return f"{what}{then}: ok, no network was to be looked at"
    looked = f"{_counted(report.networks, 'network')}, {_counted(report.tasks, 'task')}"
    reached = f"{report.reached} of {_counted(report.asked, 'other node')} reached"
    size = f", packets of up to {report.mtu} bytes" if report.mtu else ""
    return f"{what}{then}: ok, {looked}, {reached}{size}"


def _in_order(findings: Iterable[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda each: each.note)


def _finding(each: Finding) -> Iterator[str]:
    # Most say which network it is.
    named = each.network in each.what.split()
    of = f" (network {each.network})" if each.network and not named else ""
    yield f"  {'note: ' if each.note else '* '}{each.what}{of}"
    for word, text in (
        ("expected", each.expected),
        ("found", each.found),
        ("why", each.why),
        ("to do", each.remedy),
        ("command", each.command),
    ):
        if text:
            yield f"      {word:<9} {text}"


def _fix(fix: Fix) -> Iterator[str]:
    yield f"  {'not mended' if fix.error else 'mended'}: {fix.what}"
    for word, text in (
        ("command", fix.command),
        ("before", fix.before),
        ("after", fix.after),
        ("error", fix.error),
    ):
        if text:
            yield f"      {word:<9} {text}"


def _name(report: Report) -> str:
    return report.hostname or report.node_id or MANAGERS


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
