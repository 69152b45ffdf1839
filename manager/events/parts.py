"""Which parts of a spec a change has touched, by their paths. Pure; tells no values, which may be
what its owner would not have everybody read.
"""

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from manager.events.steps import Attributes, shortened

CHANGED = "changed"
M = TypeVar("M", bound=Message)


def touched(old: M, new: M) -> Attributes:
    """The one attribute that names the parts in which two specs differ; none if in none.

    A part is a field that is no message of its own, or a list or map: `task.container.env`.
    """
    found = ",".join(_paths(old, new))
    return {CHANGED: shortened(found)} if found else {}


def _paths(old: M, new: M, above: str = "") -> Iterator[str]:
    fields: Iterable[Any] = old.DESCRIPTOR.fields  # of upb or of Python
    for field in fields:
        was, is_now = getattr(old, field.name), getattr(new, field.name)
        there = _is_there(old, field) == _is_there(new, field)
        if there and was == is_now:
            continue
        inner = list(_paths(was, is_now, f"{above}{field.name}.")) if _is_message(field) else []
        # Without a difference within, it is one of presence.
        yield from inner or (f"{above}{field.name}",)


def _is_message(field: FieldDescriptor) -> bool:
    """Whether it has parts that people know: those of a duration they do not."""
    kind = field.message_type
    return kind is not None and not field.is_repeated and kind.file.package == "swarm.v1"


def _is_there(message: Message, field: FieldDescriptor) -> bool:
    return not field.has_presence or message.HasField(field.name)
