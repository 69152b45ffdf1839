"""Which tasks have to leave a node that has less than they reserve. Pure.

The newest go first, and no more of them than it takes: of those that were chosen, the oldest stay
after all where the rest is enough.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from api.v1 import objects_pb2, types_pb2
from manager.placement.resources import reservation

Task = objects_pb2.Task


class _Resource(NamedTuple):
    """`name`: of a named generic resource, each of which is there once."""

    what: str
    is_generic: bool = False
    name: str = ""


_CPU, _MEMORY = _Resource("CPU"), _Resource("memory")


def too_many(has: types_pb2.Resources, newest_first: Sequence[Task]) -> list[tuple[Task, str]]:
    """The tasks that have to go, newest first, each with what the node has too little of."""
    wants = {task.id: _of_task(task) for task in newest_first}
    missing: Counter[_Resource] = Counter()
    for want in wants.values():
        missing.update(want)
    missing.subtract(_of_node(has))
    leaving: dict[str, str] = {}
    for task in newest_first:
        want = wants[task.id]
        short = [each.what for each, count in want.items() if count and missing[each] > 0]
        if short:
            leaving[task.id] = short[0]
            missing.subtract(want)
    for task in reversed(newest_first):
        want = wants[task.id]
        if task.id in leaving and all(missing[each] + want[each] <= 0 for each in want):
            del leaving[task.id]
            missing.update(want)
    return [(task, leaving[task.id]) for task in newest_first if task.id in leaving]


def _of_node(has: types_pb2.Resources) -> Counter[_Resource]:
    return _with_generic(has.nano_cpus, has.memory_bytes, has.generic)


def _of_task(task: Task) -> Counter[_Resource]:
    return _with_generic(*reservation(task), task.assigned_generic)


def _with_generic(
    nano_cpus: int, memory_bytes: int, generic: Iterable[types_pb2.GenericResource]
) -> Counter[_Resource]:
    found = Counter({_CPU: nano_cpus, _MEMORY: memory_bytes})
    for each in generic:
        if each.ids:
            found.update({_Resource(each.kind, True, name): 1 for name in each.ids})
        else:
            found[_Resource(each.kind, True)] += each.count
    return found
