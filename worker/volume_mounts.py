"""From a task's mounts to the volumes that it needs, and back to what its container is given. Pure.

A mount means a volume of the swarm if the task was given one for it, else a volume of the node's
own, which its first user makes. One without a source is anonymous: it goes with the container. So
are the volumes that an image declares and no mount covers, as in Docker.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from api.errors import Code, SwarmError, invalid
from api.v1 import objects_pb2, specs_pb2
from runtime.driver import Fill
from runtime.volume.wants import OwnVolume
from worker.volume_book import Hold

Mount = specs_pb2.Mount
Spec = specs_pb2.ContainerSpec
Task = objects_pb2.Task

_KINDS = (Mount.TYPE_VOLUME, Mount.TYPE_CLUSTER)


@dataclass(frozen=True, slots=True)
class VolumeMount:
    """One volume of a container: `own` of the node, or `hold` of the swarm."""

    mount: Mount
    own: OwnVolume | None = None
    hold: Hold | None = None


def wanted(task: Task, spec: Spec, image: Mapping[str, Any]) -> list[VolumeMount]:
    """The volumes of a task; `spec`: with its placeholders filled in, `image`: its configuration.

    REFUSED if it asks for a volume of the swarm that it was not given.
    """
    said = task.spec.container.mounts
    found = []
    for index, mount in enumerate(spec.mounts):
        if mount.type in _KINDS:
            hold = _given(task, said[index].source, mount.source)
            found.append(_named(task, mount, index, hold))
    found += _declared(task, spec, image)
    return found


def settled(spec: Spec, volumes: Iterable[tuple[VolumeMount, Path]]) -> list[Mount]:
    """The mounts of the container: those of the spec, its volumes being folders of the host."""
    kept = [mount for mount in spec.mounts if mount.type not in _KINDS]
    return kept + [
        Mount(
            type=Mount.TYPE_BIND,
            source=str(path),
            target=volume.mount.target,
            read_only=volume.mount.read_only,
        )
        for volume, path in volumes
    ]


def fills(volumes: Iterable[tuple[VolumeMount, Path]]) -> tuple[Fill, ...]:
    """Which of them get what the image has at their place, if they are empty."""
    return tuple(
        Fill(volume.mount.target, path)
        for volume, path in volumes
        if not volume.mount.volume_no_copy and not volume.mount.volume_subpath
    )


def _given(task: Task, *sources: str) -> Hold | None:
    for attachment in task.volumes:
        if attachment.source and attachment.source in sources:
            return Hold(attachment.volume_id, attachment.epoch)
    return None


def _named(task: Task, mount: Mount, index: int, hold: Hold | None) -> VolumeMount:
    if hold is not None:
        return VolumeMount(mount, hold=hold)
    if mount.type == Mount.TYPE_CLUSTER or mount.volume_id:
        raise SwarmError(
            Code.REFUSED,
            f"volume {mount.source} of the swarm is not the task's",
            why="the scheduler gave it none",
            field=f"task.container.mounts[{index}]",
        )
    if mount.source.startswith("/"):
        raise invalid(
            f"task.container.mounts[{index}].source",
            f"{mount.source!r} is a path, and no name of a volume",
            remedy="use type=bind for a folder of the host",
        )
    own = OwnVolume(
        name=mount.source or f"{task.id}.{index}",
        driver=mount.volume_driver,
        options=dict(mount.volume_options),
        labels=dict(mount.volume_labels),
        owner="" if mount.source else task.id,
    )
    return VolumeMount(mount, own=own)


def _declared(task: Task, spec: Spec, image: Mapping[str, Any]) -> Iterator[VolumeMount]:
    section = image.get("config") or {}
    taken = {PurePosixPath(mount.target) for mount in spec.mounts}
    declared = sorted(section.get("Volumes") or {})
    for number, target in enumerate(declared):
        path = PurePosixPath("/", target)
        if path in taken or path == PurePosixPath("/") or ".." in path.parts:
            continue
        own = OwnVolume(name=f"{task.id}.image{number}", driver="", owner=task.id)
        yield VolumeMount(Mount(type=Mount.TYPE_VOLUME, target=str(path)), own=own)
