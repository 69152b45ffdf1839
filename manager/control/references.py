"""From the names of secrets and configs in a spec to their ids, which is what tasks go by. Pure."""

from collections.abc import Iterable
from typing import TypeVar

from api.errors import invalid
from api.v1 import objects_pb2, specs_pb2
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
    return resolved


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
