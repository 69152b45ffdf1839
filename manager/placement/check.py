"""Whether what a task spec says of placement can be understood at all. Pure; knows no node."""

from collections.abc import Iterable

from api.errors import invalid
from api.generic import KIND, MAX_COUNT
from api.v1 import specs_pb2, types_pb2
from manager.placement.constraint import KEYS, label_of, parse

MAX_CONSTRAINTS = 64
MAX_SPREAD = 8
"""Of one service; ours. Every node is compared with each of them."""


def check_placement(task: specs_pb2.TaskSpec) -> None:
    """Refuses malformed constraints, preferences and generic resources: INVALID, with the field."""
    placement = task.placement
    _constraints("task.placement.constraints", placement.constraints)
    _spread("task.placement.spread", placement.spread)
    resources = task.resources
    _generic("task.resources.reservations.generic", resources.reservations.generic)
    if resources.limits.generic:
        raise invalid(
            "task.resources.limits.generic",
            "generic resources have no limit",
            why="a task is given exactly what it reserves",
            remedy="reserve them",
        )


def _constraints(path: str, given: Iterable[str]) -> None:
    for index, text in enumerate(given):
        if index >= MAX_CONSTRAINTS:
            raise invalid(path, f"more than {MAX_CONSTRAINTS} constraints")
        try:
            parse(text)
        except ValueError as error:
            raise invalid(
                f"{path}[{index}]",
                f"{text!r} is no constraint",
                why=str(error),
                remedy="write node.labels.rack==a; alternatives as node.id==x|node.id==y; keys "
                f"are {', '.join(KEYS)}",
            ) from error


def _spread(path: str, given: Iterable[str]) -> None:
    seen: set[str] = set()
    for index, text in enumerate(given):
        if index >= MAX_SPREAD:
            raise invalid(path, f"more than {MAX_SPREAD} preferences")
        try:
            label_of(text)
        except ValueError as error:
            raise invalid(
                f"{path}[{index}]",
                f"{text!r} is nothing to spread over",
                why=str(error),
                remedy="use node.labels.NAME or engine.labels.NAME",
            ) from error
        if text in seen:
            raise invalid(f"{path}[{index}]", f"{text!r} is given twice")
        seen.add(text)


def _generic(path: str, given: Iterable[types_pb2.GenericResource]) -> None:
    seen: set[str] = set()
    for index, each in enumerate(given):
        here = f"{path}[{index}]"
        if not KIND.fullmatch(each.kind):
            raise invalid(f"{here}.kind", f"{each.kind!r} is no kind of resource")
        if each.ids:
            raise invalid(
                f"{here}.ids",
                "a task asks for a number, not for names",
                why="which ones it is given is the scheduler's choice",
            )
        if not 0 < each.count <= MAX_COUNT:
            raise invalid(f"{here}.count", f"must be between 1 and {MAX_COUNT}")
        if each.kind in seen:
            raise invalid(f"{here}.kind", f"{each.kind!r} is given twice")
        seen.add(each.kind)
