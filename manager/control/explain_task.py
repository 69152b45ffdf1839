"""Why one task is where it is, or why it waits: the answer to ExplainTask. Pure.

Of a task that waits the scheduler's own filters are asked; of one that was placed, what the
scheduler recorded then is told. Goes on in pieces, as manager/scheduler/inquiry.py.
"""

from collections.abc import Generator

from api import states
from api.times import seconds_of
from api.v1 import explain_pb2, objects_pb2, types_pb2
from manager.control.resolve import resolve
from manager.scheduler.inquiry import Inquiry, Proposal, Row
from manager.scheduler.remedy import About, Remedy
from manager.scheduler.waiting import is_waiting
from manager.state.indexes import SlotKey
from manager.state.store import View

NODES = 20
MAX_NODES = 5000
"""Nodes that are told of, if the request does not say; and at most."""

Answer = explain_pb2.TaskExplanation
Task = objects_pb2.Task


def the_task(view: View, key: str) -> Task:
    """The task that `key` means: as elsewhere; or SERVICE.SLOT, SERVICE.NODE for the newest there.

    NOT_FOUND or INVALID (ambiguous) with what to do.
    """
    name, _, place = key.rpartition(".")
    service = view.named(objects_pb2.Service, name) if name else None
    if service is not None:
        slot: SlotKey = int(place) if place.isdecimal() else _node_called(view, place)
        tasks = view.tasks_of_slot(service.id, slot)
        if tasks:
            return tasks[-1]
    return resolve(view, Task, key)


def _node_called(view: View, name: str) -> str:
    nodes = view.all(objects_pb2.Node)
    return next((n.id for n in nodes if name in (n.id, n.description.hostname)), name)


def explain_task(view: View, task: Task, nodes: int, now: float) -> Generator[None, None, Answer]:
    """The explanation; `nodes`: how many to tell of, 0 for NODES."""
    answer = Answer(task_id=task.id, name=states.task_name(task), node_id=task.node_id)
    if is_waiting(task):
        yield from _waiting(answer, view, task, min(nodes or NODES, MAX_NODES))
        return answer
    if task.HasField("placement"):
        answer.placement.CopyFrom(_placement_of(view, task))
        for node_id in (task.node_id, *(each.node_id for each in answer.placement.ranking.best)):
            answer.hostnames[node_id] = _hostname(view, node_id)
    answer.answer = _stage(view, task, now) + _why_there(view, task, answer.placement)
    return answer


def _waiting(answer: Answer, view: View, task: Task, limit: int) -> Generator[None, None, None]:
    inquiry = Inquiry(view, task, rows=limit)
    yield from inquiry.go_on()
    shown = inquiry.rows[:limit]
    answer.more_nodes = inquiry.nodes - len(shown)
    for row in shown:
        _add_row(answer.nodes.add(), row, inquiry)
        yield
    for proposal in inquiry.proposals:
        _add_proposal(answer.proposals.add(), proposal, task, inquiry)
    name = states.task_name(task)
    if not inquiry.nodes:
        where = _hostname(view, task.node_id) if task.node_id else ""
        answer.answer = f"{name} waits: " + (
            f"its node {where} is not there any more" if where else "the swarm has no nodes"
        )
    elif inquiry.reason:
        answer.answer = f"{name} waits: {inquiry.reason}"
    else:
        first = inquiry.name(inquiry.rows[0].node)
        answer.answer = f"{name} waits, and {first} can take it: it is about to be placed"


def _add_row(told: explain_pb2.NodeVerdicts, row: Row, inquiry: Inquiry) -> None:
    told.node_id = row.node.id
    told.hostname = row.node.node.description.hostname
    told.fits = row.fits
    told.obstacles = row.obstacles
    for each in inquiry.rulings(row):
        told.verdicts.add(filter=each.filter, passes=each.passes, text=each.text)


def _add_proposal(
    told: explain_pb2.Proposal, proposal: Proposal, task: Task, inquiry: Inquiry
) -> None:
    told.node_id = proposal.node.id
    told.hostname = proposal.node.node.description.hostname
    for remedy in proposal.steps:
        command = _command(remedy, task, inquiry.name(proposal.node))
        told.steps.add(text=remedy.text, command=command)


def _command(remedy: Remedy, task: Task, node: str) -> list[str]:
    if not remedy.command:
        return []
    last = {About.NODE: [node], About.SERVICE: [task.service_name], About.NAMED: []}
    return [*remedy.command, *last[remedy.about]]


def _placement_of(view: View, task: Task) -> explain_pb2.PlacementRecord:
    """The task's record, with the ranking that the same decision wrote into a sibling, if any."""
    record = explain_pb2.PlacementRecord()
    record.CopyFrom(task.placement)
    if record.HasField("ranking") or record.own_node:
        return record
    found = None
    for each in view.tasks_of_service(task.service_id):
        other = each.placement
        if (
            other.HasField("ranking")
            and other.at_nanos == record.at_nanos
            and each.spec_version == task.spec_version
            and other.placed_before < record.placed_before
            and (found is None or found.placed_before < other.ranking.placed_before)
        ):
            found = other.ranking
    if found is not None:
        record.ranking.CopyFrom(found)
    return record


def _stage(view: View, task: Task, now: float) -> str:
    """How far the task has come, and what it waits for if it is not for a node."""
    name, state = states.task_name(task), task.status.state
    on = f" on {_hostname(view, task.node_id)}" if task.node_id else ""
    error = f": {task.status.error}" if task.status.error else ""
    if states.is_terminal(task):
        return f"{name} has ended{on}, {states.state_name(state).lower()}{error}"
    if not states.is_wanted(task):
        return f"{name} is to stop{on}, and is {states.state_name(state).lower()} still"
    if state == states.NEW:
        return f"{name} waits until what it needs is set aside{error}"
    if state == states.RUNNING:
        return f"{name} runs{on}"
    held = _held(task, now)
    return f"{name} is placed{on} and {states.state_name(state).lower()}{held or error}" + (
        _node_trouble(view, task)
    )


def _held(task: Task, now: float) -> str:
    """Why a task that is desired to be ready alone does not start."""
    if task.desired_state != states.READY:
        return ""
    waits = seconds_of(task.start_after) - now
    if waits <= 0:
        return ": it starts once the task before it has stopped"
    after = f" after {task.restarts} failures in a row" if task.restarts else ""
    return f": it starts in {max(1, round(waits))} s{after}"


def _node_trouble(view: View, task: Task) -> str:
    node = view.get(objects_pb2.Node, task.node_id)
    if node is None or node.status.state == types_pb2.NODE_STATE_READY:
        return ""
    word = types_pb2.NodeState.Name(node.status.state).removeprefix("NODE_STATE_").lower()
    return f"; the node is {word}"


def _hostname(view: View, node_id: str) -> str:
    node = view.get(objects_pb2.Node, node_id)
    return node_id if node is None else node.description.hostname or node_id


def _why_there(view: View, task: Task, record: explain_pb2.PlacementRecord) -> str:
    """Why the task is on its node; begins with a separator."""
    if not record.at_nanos:
        return "; how it was placed is not on record" if task.node_id else ""
    if record.own_node:
        return "; it belongs to this node, and the scheduler confirmed that it fits"
    if not record.HasField("ranking"):
        return "; how other nodes stood then is not on record"
    ranking = record.ranking
    could = f"{ranking.candidates} of {ranking.nodes} nodes could take it"
    if ranking.candidates == 1:
        return f"; no other node could take it ({could})"
    if ranking.placed_before != record.placed_before:
        ago = record.placed_before - ranking.placed_before
        return f"; {could} when the same decision had placed {ago} fewer"
    return f"; {could}, and {_decisive(ranking, task)}"


def _decisive(ranking: explain_pb2.NodeRanking, task: Task) -> str:
    """What put the task's node before the next one."""
    own = next((each for each in ranking.best if each.node_id == task.node_id), None)
    other = next((each for each in ranking.best if each.node_id != task.node_id), None)
    if own is None or other is None:
        return "it takes the place of another task there"
    if own.failing != other.failing:
        return "tasks like it did not keep failing there"
    branches = zip(task.spec.placement.spread, own.branch_tasks, other.branch_tasks, strict=False)
    for label, mine, theirs in branches:
        if mine != theirs:
            return (
                f"its branch of spread={label} had the fewest tasks of the service"
                f" ({mine}, the next {theirs})"
            )
    for mine, theirs, word in (
        (own.service_tasks, other.service_tasks, "it had the fewest tasks of the service"),
        (own.tasks, other.tasks, "it had the fewest tasks"),
    ):
        if mine != theirs:
            return f"{word} ({mine}, the next {theirs})"
    return "the best were even: the smallest id decided"
