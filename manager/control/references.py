"""From names of secrets, configs, networks and volumes to the ids that tasks need, and what of them
is gone. Pure.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from api import files
from api.errors import SwarmError, invalid
from api.networks import BUILTIN
from api.v1 import objects_pb2, specs_pb2
from api.volumes import GROUP, driver_of
from manager.control.resolve import resolve
from manager.state.changes import KINDS
from manager.state.files import find
from manager.state.store import View

Mount = specs_pb2.Mount
F = TypeVar("F", objects_pb2.Secret, objects_pb2.Config)


def with_ids(view: View, spec: specs_pb2.ServiceSpec) -> specs_pb2.ServiceSpec:
    """A copy whose references hold the ids of what they name; INVALID where nothing has the name.

    An id that the caller sent, perhaps with a spec that it had read, is not heard.
    """
    resolved = specs_pb2.ServiceSpec()
    resolved.CopyFrom(spec)
    _resolve(view, objects_pb2.Secret, resolved.task.container.secrets)
    _resolve(view, objects_pb2.Config, resolved.task.container.configs)
    _resolve_networks(view, resolved.task.networks)
    _resolve_volumes(view, resolved.task.container.mounts)
    return resolved


def removed_since(view: View, spec: specs_pb2.TaskSpec) -> Iterator[str]:
    """In words, what a spec of earlier needs and nobody has any more: what has its name by now is
    another one.
    """
    for kind, _, reference in files.references(spec.container):
        if find(view, (kind, reference.id)) is None:
            yield f"{kind} {reference.source}"
    for attachment in spec.networks:
        if attachment.id and view.get(objects_pb2.Network, attachment.id) is None:
            yield f"network {attachment.target}"
    for mount in spec.container.mounts:
        if mount.volume_id:
            volume = view.get(objects_pb2.Volume, mount.volume_id)
            if volume is None or volume.removing:
                yield f"volume {mount.source}"


def _resolve_volumes(view: View, mounts: Iterable[specs_pb2.Mount]) -> None:
    """What a mount of type volume names is the swarm's if there is one of that name now: what its
    tasks find does not change when somebody creates one later.
    """
    for index, mount in enumerate(mounts):
        field = f"task.container.mounts[{index}]"
        mount.volume_id = ""
        if mount.type not in (Mount.TYPE_VOLUME, Mount.TYPE_CLUSTER) or not mount.source:
            continue
        if mount.source.startswith(GROUP) or "{{" in mount.source:
            continue  # which one it is differs between tasks: the scheduler sees to it
        volume = view.named(objects_pb2.Volume, mount.source)
        if volume is not None and volume.removing:
            raise invalid(
                f"{field}.source",
                f"volume {mount.source!r} is being removed",
                remedy="use another one, or create it again once it is gone",
            )
        if volume is not None:
            _check_mount(field, mount, volume)
            mount.volume_id = volume.id
        elif mount.type == Mount.TYPE_CLUSTER:
            raise invalid(
                f"{field}.source",
                f"there is no volume {mount.source!r} in the swarm",
                remedy=f"create it: swarmctl volume create {mount.source}",
            )


def _check_mount(field: str, mount: specs_pb2.Mount, volume: objects_pb2.Volume) -> None:
    spec = volume.spec
    if mount.volume_driver and mount.volume_driver != driver_of(spec):
        raise invalid(
            f"{field}.volume_driver",
            f"volume {mount.source} has the driver {driver_of(spec)}",
            remedy="leave out volume-driver",
        )
    if mount.volume_options or mount.volume_labels:
        raise invalid(
            f"{field}.volume_options" if mount.volume_options else f"{field}.volume_labels",
            f"volume {mount.source} is there already, with options and labels of its own",
            remedy="leave out volume-opt and volume-label",
        )
    if spec.access == spec.ACCESS_MANY_READERS and not mount.read_only:
        raise invalid(
            f"{field}.read_only",
            f"volume {mount.source} is for many readers, none of which writes",
            remedy="add readonly to the mount",
        )


def _resolve_networks(view: View, given: Sequence[specs_pb2.NetworkAttachmentSpec]) -> None:
    seen: dict[str, str] = {}
    for index, attachment in enumerate(given):
        field = f"task.networks[{index}].target"
        attachment.id = ""
        if attachment.target in BUILTIN:
            continue
        try:
            network = resolve(view, objects_pb2.Network, attachment.target)
        except SwarmError as error:
            raise invalid(field, error.what, why=error.why, remedy=error.remedy) from error
        if network.spec.ingress:
            raise invalid(
                field,
                f"{attachment.target} is the ingress network",
                why="tasks join it by publishing ports",
                remedy="publish a port instead: --publish",
            )
        if network.id in seen:
            raise invalid(field, f"{attachment.target!r} is the network {seen[network.id]!r} again")
        seen[network.id] = attachment.target
        attachment.id = network.id


def _resolve(
    view: View,
    kind: type[F],
    references: Iterable[specs_pb2.FileReference],
) -> None:
    word = KINDS[kind]
    for index, reference in enumerate(references):
        found = view.named(kind, reference.source)
        if found is None:
            raise invalid(
                f"task.container.{word}s[{index}].source",
                f"there is no {word} {reference.source!r}",
                remedy=f"create it, or see: swarmctl {word} ls",
            )
        reference.id = found.id
