"""Whether a message from outside is sound by itself, whatever its fields mean. Pure.

Open enums let any number through, texts may hold what no system call takes, durations may be longer
than arithmetic with dates can bear, and a message may be as large as gRPC lets it be. All of that
is refused here, by walking over what is set, so that a new field needs no rule of its own.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from api.errors import invalid
from api.times import NANOS

SPEC_BYTES = 256 << 10
"""Bytes of one spec. Every task carries a copy of its service's: a thousand of them are 256 MiB."""
LONGEST_DURATION = 100 * 365 * 86400
"""Seconds. Longer ones, added to a date, leave the calendar."""


def check(message: Message, *, limit: int = SPEC_BYTES) -> None:
    """Refuses the first thing that is wrong: INVALID with the path of its field.

    Over `limit` bytes in all; a number that its enum does not have; a NUL character; a duration
    that is malformed, negative or longer than a century.
    """
    size = message.ByteSize()
    if size > limit:
        path, most = _largest(message)
        raise invalid(
            path,
            f"the spec has {size} bytes, the limit is {limit}",
            why=f"{most} of them are in {path}: every task carries a copy",
            remedy="put large content into an image or a file on the node",
        )
    for path, field, value in _values(message, ""):
        _check_value(path, field, value)


def _check_value(path: str, field: FieldDescriptor, value: Any) -> None:  # noqa: ANN401
    if field.enum_type is not None:
        if value not in field.enum_type.values_by_number:
            words = ", ".join(field.enum_type.values_by_name)
            raise invalid(path, f"{value} is none of its values", why=f"they are {words}")
    elif isinstance(value, str):
        if "\0" in value:
            raise invalid(path, "holds a NUL character", why="no program could be given it")
    elif isinstance(value, Duration):
        _check_duration(path, value)


def _check_duration(path: str, given: Duration) -> None:
    if given.seconds < 0 or given.nanos < 0:
        raise invalid(path, "must not be negative")
    if given.nanos >= NANOS:
        raise invalid(path, f"{given.nanos} ns are more than a second")
    if given.seconds > LONGEST_DURATION:
        raise invalid(path, f"{given.seconds} s are more than a century")


def _values(message: Message, prefix: str) -> Iterator[tuple[str, FieldDescriptor, Any]]:
    """Every value that is set, with its path; of maps, keys and values alike."""
    for field, content in message.ListFields():
        path = prefix + field.name
        for here, each in _each(path, field, content):
            kind = field
            if isinstance(content, Mapping) and field.message_type is not None:
                kind = field.message_type.fields_by_name["value"]
            if isinstance(each, Message) and not isinstance(each, Duration):
                yield from _values(each, f"{here}.")
            else:
                yield here, kind, each


def _each(
    path: str,
    field: FieldDescriptor,
    content: Any,  # noqa: ANN401
) -> Iterator[tuple[str, Any]]:
    if isinstance(content, Mapping):
        for key, value in content.items():
            yield path, key
            yield path, value
    elif field.is_repeated:
        for index, value in enumerate(content):
            yield f"{path}[{index}]", value
    else:
        yield path, content


def _largest(message: Message, prefix: str = "") -> tuple[str, int]:
    """The path of the field that most of the bytes are in, as deep as that can be told."""
    sizes = {field.name: _size(message, field.name) for field, _ in message.ListFields()}
    name = max(sizes, key=lambda each: sizes[each])
    inner = getattr(message, name)
    path = prefix + name
    if isinstance(inner, Message) and inner.ListFields():
        return _largest(inner, f"{path}.")
    return path, sizes[name]


def _size(message: Message, name: str) -> int:
    rest = type(message)()
    rest.CopyFrom(message)
    rest.ClearField(name)
    return message.ByteSize() - rest.ByteSize()
