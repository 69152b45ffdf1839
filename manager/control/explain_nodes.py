"""What a service's constraints and preferences make of the nodes, and which are left out. Pure."""

from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence

from api.v1 import explain_pb2, objects_pb2, types_pb2
from manager.orchestrator.places import Place, Places
from manager.placement.constraint import label_of, matches, unmet
from manager.state.store import View

Answer = explain_pb2.ServiceExplanation
Node = objects_pb2.Node

SHARES = 20
EXAMPLES = 3
AT_ONCE = 16
"""Nodes between two moments at which others may get their turn."""


def divisions(
    answer: Answer, service: objects_pb2.Service, nodes: Sequence[Node], on_node: Mapping[str, int]
) -> Generator[None, None, None]:
    """How the nodes divide by each constraint and preference. `on_node`: tasks of the service."""
    placement = service.spec.task.placement
    for text in placement.constraints:
        told = answer.constraints.add(text=text)
        yield from _divide(told, nodes, on_node, _meeting([text]))
    if len(placement.constraints) > 1:
        told = answer.constraints.add(text="all of them")
        yield from _divide(told, nodes, on_node, _meeting(placement.constraints))
    for descriptor in placement.spread:
        told = answer.preferences.add(text=f"spread={descriptor}")
        fit = [node for node in nodes if matches(placement.constraints, node)]
        yield
        yield from _divide(told, fit, on_node, label_of(descriptor))


def _meeting(constraints: Sequence[str]) -> Callable[[Node], str]:
    return lambda node: "met" if matches(constraints, node) else "not met"


def _divide(
    told: explain_pb2.NodeDivision,
    nodes: Sequence[Node],
    on_node: Mapping[str, int],
    value_of: Callable[[Node], str],
) -> Generator[None, None, None]:
    counts: Counter[str] = Counter()
    tasks: Counter[str] = Counter()
    for number, node in enumerate(nodes):
        value = value_of(node)
        counts[value] += 1
        tasks[value] += on_node.get(node.id, 0)
        if number % AT_ONCE == 0:
            yield
    ordered = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    for value, count in ordered[:SHARES]:
        told.shares.add(value=value, nodes=count, tasks=tasks[value])
    told.more_shares = max(0, len(ordered) - SHARES)


def left_out(
    answer: Answer, view: View, service: objects_pb2.Service, on_node: Mapping[str, int]
) -> Generator[None, None, None]:
    """The nodes on which a service that wants a task everywhere has none, and why."""
    constraints = service.spec.task.placement.constraints
    found: dict[str, list[Node]] = {}
    for number, (node_id, place) in enumerate(Places(view, matches).of(service).items()):
        node = view.get(Node, node_id)
        if place is not Place.OPEN and node is not None and not on_node.get(node_id):
            found.setdefault(_why(node, constraints), []).append(node)
        if number % AT_ONCE == 0:
            yield
    for why, nodes in sorted(found.items(), key=lambda each: -len(each[1])):
        names = [node.description.hostname or node.id for node in nodes[:EXAMPLES]]
        answer.left_out.add(why=why, nodes=len(nodes), examples=names)


def _why(node: Node, constraints: Sequence[str]) -> str:
    text = unmet(constraints, node)
    if text:
        return f"does not meet {text}"
    if node.spec.availability != types_pb2.NODE_AVAILABILITY_ACTIVE:
        name = types_pb2.NodeAvailability.Name(node.spec.availability)
        return f"its availability is {name.removeprefix('NODE_AVAILABILITY_').lower()}"
    state = types_pb2.NodeState.Name(node.status.state).removeprefix("NODE_STATE_").lower()
    return f"its state is {state}"
