"""Messages as documents for `inspect` and JSON: Docker's way of writing keys, people's way of
writing values. Pure. The one place that fixes these names.

Keys are in upper camel case with Docker's initialisms (ID, ServiceID, NanoCPUs); what `meta` and
`annotations` hold stands beside what it belongs to (CreatedAt, Spec.Name), as in Docker's API;
enums are lower-case words (running); moments are RFC 3339 in UTC; durations are written as on the
command line (10s); bytes are text where they are text. Unset fields are left out of JSON, and are
empty in templates; labels keep their keys.
"""

import base64
from collections.abc import Mapping
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp

from api.times import seconds_of
from swarmctl.cli.units import go_duration, rfc3339

_INITIALISMS = {
    "ca": "CA",
    "cpus": "CPUs",
    "dns": "DNS",
    "gid": "GID",
    "id": "ID",
    "ids": "IDs",
    "ip": "IP",
    "ips": "IPs",
    "ipv6": "IPv6",
    "json": "JSON",
    "oom": "OOM",
    "os": "OS",
    "pem": "PEM",
    "pid": "PID",
    "tty": "TTY",
    "uid": "UID",
    "vni": "VNI",
}


_DOCKERS = frozenset({"swarm.v1.UpdateStatus.State"})
"""Enums whose words Docker writes with underscores: rollback_started."""
_INLINED = frozenset({"annotations", "meta"})


class Document(dict[str, Any]):
    """The set fields of a message by their keys; knows which further ones its kind has."""

    def __init__(self, message: Message) -> None:
        super().__init__()
        self._kind: Any = message.DESCRIPTOR
        for field, value in message.ListFields():
            if field.name in _INLINED:
                self.update(Document(value))
            else:
                self[key(field.name)] = _value(field, value)

    def known(self) -> list[str]:
        """Every key that a document of this kind may have."""
        return list(_fields(self._kind))

    def value(self, name: str) -> Any:  # noqa: ANN401 - any field of any message
        """The value of a key, which is empty if it is not set; KeyError for an unknown one."""
        return self[name] if name in self else _empty(_fields(self._kind)[name])


class Entries(dict[str, Any]):
    """A map whose keys are chosen by people, as labels: one that is not there is empty."""

    def __init__(self, element: FieldDescriptor, entries: Mapping[str, Any]) -> None:
        super().__init__({name: _single(element, entries[name]) for name in sorted(entries)})
        self._element = element

    def __missing__(self, name: str) -> Any:  # noqa: ANN401
        return _empty(self._element)


def document(message: Message) -> Document:
    """The set fields of a message, by the keys that users see."""
    return Document(message)


def key(field_name: str) -> str:
    """The key of a field: service_id is ServiceID."""
    return "".join(_INITIALISMS.get(part, part.capitalize()) for part in field_name.split("_"))


def _fields(kind: Any) -> dict[str, FieldDescriptor]:  # noqa: ANN401 - of upb or of Python
    found: dict[str, FieldDescriptor] = {}
    for field in kind.fields:
        if field.name in _INLINED and field.message_type is not None:
            found.update(_fields(field.message_type))
        else:
            found[key(field.name)] = field
    return found


def _empty(field: FieldDescriptor) -> Any:  # noqa: ANN401
    kind = field.message_type
    if field.is_repeated:
        element = _element_of_map(field)
        return [] if element is None else Entries(element, {})
    if kind is None:
        return _single(field, field.default_value)
    if kind.full_name in (Timestamp.DESCRIPTOR.full_name, Duration.DESCRIPTOR.full_name):
        return ""
    return Document(GetMessageClass(kind)())


def _value(field: FieldDescriptor, value: Any) -> Any:  # noqa: ANN401 - any field of any message
    if (element := _element_of_map(field)) is not None:
        return Entries(element, value)
    if field.is_repeated:
        return [_single(field, each) for each in value]
    return _single(field, value)


def _element_of_map(field: FieldDescriptor) -> FieldDescriptor | None:
    """What the values of a map are; None if the field is none."""
    kind = field.message_type
    is_map = kind is not None and kind.GetOptions().map_entry
    return kind.fields_by_name["value"] if kind is not None and is_map else None


def _single(field: FieldDescriptor, value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, Timestamp):
        return rfc3339(seconds_of(value))
    if isinstance(value, Duration):
        return go_duration(seconds_of(value))
    if isinstance(value, Message):
        return document(value)
    if field.enum_type is not None:
        return enum_word(field, value)
    if isinstance(value, bytes):
        return value.decode() if value.isascii() else base64.b64encode(value).decode()
    return value


def enum_word(field: FieldDescriptor, number: int) -> str:
    """The word of an enum's value: TASK_STATE_RUNNING is running, ORDER_STOP_FIRST stop-first."""
    enum = field.enum_type
    names = {} if enum is None else enum.values_by_number
    if enum is None or number not in names:
        return str(number)
    prefix = "".join(f"_{c}" if c.isupper() else c for c in enum.name).strip("_")
    word = names[number].name.removeprefix(f"{prefix.upper()}_")
    separator = "_" if enum.full_name in _DOCKERS else "-"
    return str(word).lower().replace("_", separator)
