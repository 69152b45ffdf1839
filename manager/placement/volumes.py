"""Which volumes of the swarm a task needs, by its mounts. Pure.

A mount whose source names its volume in so many words has the id in it. One with placeholders, one
volume for each slot, is read for each task; and one of a group takes any volume of that.
"""

from typing import NamedTuple

from api.errors import SwarmError
from api.placeholders import NodeFacts, values_of
from api.templates import expand
from api.v1 import objects_pb2, specs_pb2, types_pb2
from api.volumes import GROUP

Mount = specs_pb2.Mount
_OF_A_NODE = ".Node."
_NOWHERE = NodeFacts("", "", types_pb2.Platform())


class Want(NamedTuple):
    """One mount's wish; just one of `id`, `name` and `group` is set.

    `must`: no volume of the node's own takes its place where the swarm has none of that name.
    """

    source: str
    id: str = ""
    name: str = ""
    group: str = ""
    read_only: bool = False
    must: bool = True


def wants_of(task: objects_pb2.Task) -> tuple[Want, ...]:
    """The wishes of the task's mounts, in their order."""
    mounts = task.spec.container.mounts
    if not mounts:
        return ()
    found = (_want(task, mount) for mount in mounts)
    return tuple(each for each in found if each is not None)


def _want(task: objects_pb2.Task, mount: Mount) -> Want | None:
    if mount.type not in (Mount.TYPE_VOLUME, Mount.TYPE_CLUSTER):
        return None
    source, must = mount.source, mount.type == Mount.TYPE_CLUSTER
    if mount.volume_id:
        return Want(source, id=mount.volume_id, read_only=mount.read_only)
    if must and source.startswith(GROUP):
        return Want(source, group=source.removeprefix(GROUP), read_only=mount.read_only)
    if "{{" not in source:
        return Want(source, name=source, read_only=mount.read_only) if must else None
    if _OF_A_NODE in source:
        return None  # what has its node's name is its node's own
    name = _filled(task, source)
    return Want(source, name=name, read_only=mount.read_only, must=must) if name else None


def _filled(task: objects_pb2.Task, source: str) -> str:
    facts = NodeFacts(task.node_id, "", types_pb2.Platform()) if task.node_id else _NOWHERE
    try:
        return expand(source, values_of(task, facts), field="source")
    except SwarmError:
        return ""  # its node says what is wrong with it
