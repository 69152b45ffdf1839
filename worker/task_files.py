"""From the secrets and configs that a task refers to, to files that are mounted into it. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from api import files
from api.errors import Code
from api.v1 import objects_pb2, specs_pb2
from worker.executor import TemporaryError

Task = objects_pb2.Task


@dataclass(frozen=True, slots=True)
class TaskFile:
    """One file: its name in the task's folder, what is in it, and where it lies in the task."""

    name: str
    place: files.Place
    data: bytes = field(repr=False)


def gather(task: Task, contents: Mapping[files.Key, bytes]) -> list[TaskFile]:
    """The files of a task. TemporaryError while one of them is not on this node."""
    found = []
    for kind, index, reference in files.references(task.spec.container):
        data = contents.get((kind, reference.id))
        if data is None:
            raise TemporaryError(
                Code.UNAVAILABLE,
                f"{kind} {reference.source} is not on this node yet",
                why="it is held in memory only, and comes from a manager",
            )
        place = files.place(kind, reference, f"task.container.{kind}s[{index}]")
        found.append(TaskFile(f"{kind}-{index}", place, data))
    return found


def with_mounts(task: Task, found: Iterable[TaskFile], folder: Path) -> Task:
    """The task with a read-only mount of each file; `folder`: where they are on this host."""
    mounted = Task()
    mounted.CopyFrom(task)
    for each in found:
        mounted.spec.container.mounts.add(
            type=specs_pb2.Mount.TYPE_BIND,
            source=str(folder / each.name),
            target=each.place.target,
            read_only=True,
        )
    return mounted
