"""From a task to what the container driver is asked for. Pure.

Names, labels, host names and variables are Docker's (daemon/cluster/executor/container).
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from api.errors import Code, SwarmError
from api.generic import environment
from api.placeholders import NodeFacts, expanded, values_of
from api.states import task_name
from api.v1 import exec_pb2, objects_pb2, specs_pb2
from runtime.driver import (
    IMAGE_LABEL,
    MOUNTED_LABEL,
    ContainerRequest,
    ExecRequest,
    Fingerprint,
)
from runtime.image.store import StoredImage
from worker.node_networks import Joined
from worker.node_volumes import Given
from worker.task_place import is_lone

TASK_ID_LABEL = "com.docker.swarm.task.id"
CONTAINER_ID_LABEL = "swarm.container.id"
"""Of containers that are no tasks."""
_HOSTNAME_LENGTH = 12

Task = objects_pb2.Task


def filled_in(task: Task, node: NodeFacts) -> specs_pb2.ContainerSpec:
    """The container of a task, its placeholders filled in with what this node is; a copy.

    INVALID if a placeholder is wrong.
    """
    container = specs_pb2.ContainerSpec()
    said = task.spec.container
    container.CopyFrom(said if is_lone(task) else expanded(said, values_of(task, node)))
    return container


def container_request(
    task: Task,
    container: specs_pb2.ContainerSpec,
    *,
    image_id: str,
    image_config: Mapping[str, Any],
    layers: tuple[Path, ...],
    node: NodeFacts,
    files: Iterable[specs_pb2.Mount] = (),
    joined: Joined | None = None,
    given: Given | None = None,
    mounted: Mapping[str, StoredImage] | None = None,
) -> ContainerRequest:
    """What the driver is asked for; `container`: what `filled_in` gave, which this changes.

    REFUSED if it asks for a network and has no place in it. `files`: mounts beside those of the
    spec. `joined`: its network stack; None: it has none, or the host's. `given`: of its volumes;
    `mounted`: images that it mounts, by their places in it.
    """
    lone = is_lone(task)
    container.mounts.extend(files)
    network = network_of(task.spec) if joined is None else f"netns:{joined.path}"
    given, mounted = given or Given([]), mounted or {}
    default = node.hostname if network == "host" else task.id[:_HOSTNAME_LENGTH]
    hostname = container.hostname or default
    if joined is not None:
        container.hosts.extend(f"{address}\t{hostname}" for address in joined.addresses)
    return ContainerRequest(
        id=task.id,
        name=task_name(task) if lone else f"{task_name(task)}.{task.id}",
        spec=_with_resources(container, task),
        resources=task.spec.resources,
        image_config=image_config,
        layers=layers,
        hostname=hostname,
        network=network,
        labels=labels_of(task, image_id) | _mounted_label(mounted.values()),
        fills=given.fills,
        images={target: image.layers for target, image in mounted.items()},
        devices=given.devices,
        resolv_conf="" if joined is None else joined.resolv_conf,
    )


def _with_resources(container: specs_pb2.ContainerSpec, task: Task) -> specs_pb2.ContainerSpec:
    """The spec, whose environment names the generic resources that the task was given."""
    if not task.assigned_generic:
        return container
    spec = specs_pb2.ContainerSpec()
    spec.CopyFrom(container)
    spec.env.extend(environment(task.assigned_generic))
    return spec


def _mounted_label(images: Iterable[StoredImage]) -> dict[str, str]:
    ids = sorted({image.id for image in images})
    return {MOUNTED_LABEL: ",".join(ids)} if ids else {}


def labels_of(task: Task, image_id: str) -> dict[str, str]:
    """The user's labels and Swarm's own, which win."""
    if is_lone(task):
        own = {CONTAINER_ID_LABEL: task.id, IMAGE_LABEL: image_id}
        return dict(task.spec.container.labels) | own
    return dict(task.spec.container.labels) | {
        "com.docker.swarm.node.id": task.node_id,
        "com.docker.swarm.service.id": task.service_id,
        "com.docker.swarm.service.name": task.service_name,
        "com.docker.swarm.task": "",
        TASK_ID_LABEL: task.id,
        IMAGE_LABEL: image_id,
        "com.docker.swarm.task.name": f"{task_name(task)}.{task.id}",
    }


def network_of(spec: specs_pb2.TaskSpec) -> str:
    """Of a task without a network stack of our making: "none" if it asks for nothing, or "host".

    REFUSED if it asks for another, in which it was given no place.
    """
    targets = [network.target for network in spec.networks]
    if not targets:
        return "none"
    if len(targets) > 1 or targets[0] not in ("none", "host"):
        other = next(target for target in targets if target not in ("none", "host"))
        raise SwarmError(
            Code.REFUSED,
            f"network {other} is not available on this node",
            why="the task was given no address in it",
            field="task.networks",
        )
    return targets[0]


def without_effect(spec: specs_pb2.TaskSpec, found: Fingerprint) -> list[str]:
    """What of the spec this host has no setting for, in words; as in Docker that is no failure."""
    if found.cgroup_version == 1 or not spec.container.HasField("memory_swappiness"):
        return []
    return ["memory swappiness has no effect: this host has cgroup v2, which has no such setting"]


def exec_request(start: exec_pb2.ExecStart) -> ExecRequest:
    """The command that somebody wants to run in a task's container."""
    size = start.size if start.HasField("size") else exec_pb2.WindowSize(rows=24, columns=80)
    return ExecRequest(
        command=tuple(start.command),
        stdin=start.stdin,
        tty=start.tty,
        user=start.user,
        dir=start.dir,
        env=tuple(start.env),
        rows=size.rows,
        columns=size.columns,
    )
