"""From the secrets and configs that a task refers to, to files that are mounted into it. Pure."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from api import files, payloads
from api.errors import Code, SwarmError
from api.payloads import Content
from api.placeholders import NodeFacts, expanded, values_of
from api.v1 import objects_pb2, specs_pb2
from worker.executor import TemporaryError

Task = objects_pb2.Task


@dataclass(frozen=True, slots=True)
class TaskFile:
    """One file: its name in the task's folder, what is in it, and where it lies in the task."""

    name: str
    place: files.Place
    data: bytes = field(repr=False)


def gather(task: Task, contents: Mapping[files.Key, Content], node: NodeFacts) -> list[TaskFile]:
    """The files of a task, their templates filled in.

    TemporaryError while one of them is not on this node, INVALID if a template cannot be filled in.
    """
    given = _given(task, contents)
    fill = _filler(task, given, node)
    found = []
    for (kind, index, reference), content in given:
        place = files.place(kind, reference, f"task.container.{kind}s[{index}]")
        try:
            data = fill(content)
        except SwarmError as error:
            # Without the text of the template, as it stands in the error: it may be a secret.
            what = f"the template of {kind} {reference.source} cannot be filled in"
            raise SwarmError(Code.INVALID, what, why=error.why) from None
        found.append(TaskFile(f"{kind}-{index}", place, data))
    return found


def mounts(found: Iterable[TaskFile], folder: Path) -> list[specs_pb2.Mount]:
    """A read-only mount of each file; `folder`: where they are on this host."""
    return [
        specs_pb2.Mount(
            type=specs_pb2.Mount.TYPE_BIND,
            source=str(folder / each.name),
            target=each.place.target,
            read_only=True,
        )
        for each in found
    ]


_Given = list[tuple[tuple[files.Kind, int, files.Reference], Content]]


def _given(task: Task, contents: Mapping[files.Key, Content]) -> _Given:
    given: _Given = []
    for kind, index, reference in files.references(task.spec.container):
        content = contents.get((kind, reference.id))
        if content is None:
            raise TemporaryError(
                Code.UNAVAILABLE,
                f"{kind} {reference.source} is not on this node yet",
                why="it is held in memory only, and comes from a manager",
            )
        given.append(((kind, index, reference), content))
    return given


def _filler(task: Task, given: _Given, node: NodeFacts) -> Callable[[Content], bytes]:
    if not any(content.template_driver for _, content in given):
        return lambda content: content.data
    raw: dict[files.Kind, dict[str, bytes]] = {"secret": {}, "config": {}}
    for (kind, _, reference), content in given:
        raw[kind][reference.target or reference.source] = content.data
    values = values_of(task, node)
    env = expanded(task.spec.container, values).env
    functions = payloads.functions_of(raw["secret"], raw["config"], env)
    return lambda content: payloads.filled(content, values, functions)
