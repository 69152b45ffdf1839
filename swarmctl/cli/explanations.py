"""Explanations as text: the answer first, then what it rests on. Pure."""

import shlex
from collections.abc import Iterator, Sequence

from api.times import NANOS
from api.v1 import explain_pb2
from swarmctl.cli.render import printable, table
from swarmctl.cli.units import ago

MAX_NODES = 5000
"""More nodes than these no manager tells of in one answer."""

Service = explain_pb2.ServiceExplanation
Task = explain_pb2.TaskExplanation


def of_task(each: Task, now: float) -> str:
    """All that is to be said of a task."""
    parts = [_sentence(each.answer)]
    if each.proposals:
        parts.append("".join(_proposals(each.proposals)))
    if each.nodes:
        rows = [row for node in each.nodes for row in _verdicts(node)]
        parts.append(table(("NODE", "FILTER", "PASSES", "VERDICT"), rows) + _more(each))
    if each.placement.HasField("ranking"):
        parts.append(_ranking(each, now))
    return "\n".join(parts)


def of_service(each: Service) -> str:
    """All that is to be said of a service."""
    parts = [_sentence(each.answer)]
    if each.rollout:
        parts.append(_sentence(f"rollout: {each.rollout}"))
    if any(not group.is_well for group in each.groups) or len(each.groups) > 1:
        parts.append(_groups(each))
    rows = [
        (division.text, *_share(share), str(share.tasks))
        for division in (*each.constraints, *each.preferences)
        for share in division.shares
    ]
    if rows:
        parts.append(table(("PLACEMENT", "VALUE", "NODES", "TASKS"), rows))
    if each.left_out:
        left = [
            (out.why, str(out.nodes), _examples(out.examples, out.nodes)) for out in each.left_out
        ]
        parts.append(table(("NODES LEFT OUT BECAUSE", "NODES", "NAMES"), left))
    return "\n".join(parts)


def _sentence(text: str) -> str:
    return f"{printable(text)}\n"


def _proposals(proposals: Sequence[explain_pb2.Proposal]) -> Iterator[str]:
    yield "What would help, the smallest change first:\n"
    for number, proposal in enumerate(proposals, 1):
        for position, step in enumerate(proposal.steps):
            lead = f"{number}." if position == 0 else "  "
            yield f"  {lead} {printable(step.text)}\n"
            if step.command:
                yield f"     {printable(shlex.join(('swarmctl', *step.command)))}\n"


def _verdicts(node: explain_pb2.NodeVerdicts) -> Iterator[tuple[str, str, str, str]]:
    """A row for each filter: first those that refuse the node."""
    name = node.hostname or node.node_id
    for each in sorted(node.verdicts, key=lambda verdict: verdict.passes):
        yield name, each.filter, "yes" if each.passes else "no", each.text
        name = ""


def _more(each: Task) -> str:
    if not each.more_nodes:
        return ""
    hint = ": see --all" if len(each.nodes) < MAX_NODES else ""
    nodes = "node" if each.more_nodes == 1 else "nodes"
    return f"and {each.more_nodes:,} more {nodes}{hint}\n"


def _ranking(each: Task, now: float) -> str:
    """How the nodes stood."""
    record, ranking = each.placement, each.placement.ranking
    head = f"The decision was made {ago(now - record.at_nanos / NANOS).lower()}"
    if ranking.refusals:
        refused = ", ".join(f"{one.nodes:,} by {one.filter}" for one in ranking.refusals)
        head += f"; nodes refused: {refused}"
    if ranking.partial:
        head += "; not every node was asked whether it has room"
    branches = max((len(one.branch_tasks) for one in ranking.best), default=0)
    headings = (
        "RANK",
        "NODE",
        "FAILING",
        *(f"BRANCH {depth + 1}" for depth in range(branches)),
        "OF SERVICE",
        "TASKS",
    )
    rows = [_score(place, one, each) for place, one in enumerate(ranking.best, 1)]
    later = record.placed_before - ranking.placed_before
    note = f"When it was placed, {later} after that, {_then(each)}" if later else ""
    return f"{_sentence(head)}{table(headings, rows)}{_sentence(note) if note else ''}"


def _then(each: Task) -> str:
    """The numbers of the task's own node."""
    record = each.placement
    name = each.hostnames.get(each.node_id, each.node_id)
    branches = ", ".join(map(str, record.branch_tasks))
    inner = f"; in its branches: {branches}" if branches else ""
    return f"{name} had {record.service_tasks} of the service and {record.tasks} tasks{inner}"


def _score(place: int, one: explain_pb2.NodeScore, each: Task) -> list[str]:
    name = each.hostnames.get(one.node_id, one.node_id)
    return [
        str(place),
        f"{name} (its node)" if one.node_id == each.node_id else name,
        "yes" if one.failing else "no",
        *map(str, one.branch_tasks),
        str(one.service_tasks),
        str(one.tasks),
    ]


def _groups(each: Service) -> str:
    rows = [
        (f"{group.tasks:,}", group.text, _examples(group.examples, group.tasks))
        for group in each.groups
    ]
    wrong = next((group for group in each.groups if not group.is_well), None)
    hint = f"for more: swarmctl task explain {wrong.examples[0]}\n" if wrong is not None else ""
    return table(("TASKS", "STATE", "NAMES"), rows) + hint


def _examples(names: Sequence[str], count: int) -> str:
    return ", ".join(names) + (", ..." if count > len(names) else "")


def _share(share: explain_pb2.NodeShare) -> tuple[str, str]:
    return share.value or "(no such label)", f"{share.nodes:,}"
