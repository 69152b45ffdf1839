"""What the placeholders in a task's spec mean, and where they may stand: in the values of --env, in
--hostname, and in sources, targets, labels and options of --mount. As in SwarmKit
(template/expand.go). Pure.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from api.states import task_name
from api.templates import Values, expand
from api.v1 import objects_pb2, specs_pb2, types_pb2

ContainerSpec = specs_pb2.ContainerSpec
CONTAINER = "task.container"


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What a node tells of itself in templates."""

    id: str
    hostname: str
    platform: types_pb2.Platform


def values_of(task: objects_pb2.Task, node: NodeFacts) -> Values:
    """What templates of this task may say on this node."""
    return {
        "Service": {
            "ID": task.service_id,
            "Name": task.service_name,
            "Labels": dict(task.service_labels),
        },
        "Node": {
            "ID": node.id,
            "Hostname": node.hostname,
            "Platform": {"Architecture": node.platform.architecture, "OS": node.platform.os},
        },
        "Task": {
            "ID": task.id,
            "Name": f"{task_name(task)}.{task.id}",
            # A task that has no slot is the only one of its service on its node.
            "Slot": str(task.slot) if task.slot else node.id,
        },
    }


def expanded(spec: ContainerSpec, values: Values) -> ContainerSpec:
    """The spec with its placeholders filled in: itself if it has none, else a copy.

    INVALID with the path of the field that is wrong.
    """
    if not _has_placeholders(spec):
        return spec
    filled = ContainerSpec()
    filled.CopyFrom(spec)
    filled.hostname = expand(spec.hostname, values, field=f"{CONTAINER}.hostname")
    for index, variable in enumerate(spec.env):
        name, equals, value = variable.partition("=")
        field = f"{CONTAINER}.env[{index}]"
        filled.env[index] = name + equals + expand(value, values, field=field)
    for index, mount in enumerate(filled.mounts):
        field = f"{CONTAINER}.mounts[{index}]"
        mount.source = expand(mount.source, values, field=f"{field}.source")
        mount.target = expand(mount.target, values, field=f"{field}.target")
        for name in ("volume_labels", "volume_options"):
            given = getattr(mount, name)
            for key, value in list(given.items()):
                given[key] = expand(value, values, field=f"{field}.{name}.{key}")
    return filled


def specimen(spec: specs_pb2.ServiceSpec) -> specs_pb2.ServiceSpec:
    """The spec as a task of it might look: what to check it by. Errors as of `expanded`."""
    if not _has_placeholders(spec.task.container):
        return spec
    filled = expanded(spec.task.container, specimen_values(spec.annotations))
    made = specs_pb2.ServiceSpec()
    made.CopyFrom(spec)
    made.task.container.CopyFrom(filled)
    return made


def specimen_values(service: types_pb2.Annotations) -> Values:
    """What templates of a task of such a service may say on some node."""
    task = objects_pb2.Task(
        id="t" * _ID_LENGTH,
        service_id="s" * _ID_LENGTH,
        service_name=service.name,
        service_labels=service.labels,
        slot=1,
    )
    platform = types_pb2.Platform(os="linux", architecture="x86_64")
    return values_of(task, NodeFacts("n" * _ID_LENGTH, "node", platform))


_ID_LENGTH = 25


def _has_placeholders(spec: ContainerSpec) -> bool:
    return any("{{" in text for text in _texts(spec))


def _texts(spec: ContainerSpec) -> Iterator[str]:
    yield spec.hostname
    yield from spec.env
    for mount in spec.mounts:
        yield from (mount.source, mount.target)
        yield from mount.volume_labels.values()
        yield from mount.volume_options.values()
