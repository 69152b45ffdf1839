"""From the names of secrets, configs and networks in a spec to the ids that tasks need. Pure."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from api.errors import SwarmError, invalid
from api.networks import BUILTIN
from api.v1 import objects_pb2, specs_pb2
from manager.control.resolve import resolve
from manager.state.changes import KINDS
from manager.state.store import View

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
    return resolved


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
