"""Messages as documents for `inspect` and JSON: Docker's way of writing keys, people's way of
writing values. Pure. The one place that fixes these names.

Keys are in upper camel case with Docker's initialisms (ID, ServiceID, NanoCPUs); enums are
lower-case words (running); moments are RFC 3339 in UTC; durations are written as on the command
line (10s); bytes are text where they are text. Unset fields are left out; labels keep their keys.
"""

import base64
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
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
    "json": "JSON",
    "oom": "OOM",
    "os": "OS",
    "pem": "PEM",
    "pid": "PID",
    "tty": "TTY",
    "uid": "UID",
}


def document(message: Message) -> dict[str, Any]:
    """The set fields of a message, by the keys that users see."""
    return {key(field.name): _value(field, value) for field, value in message.ListFields()}


def key(field_name: str) -> str:
    """The key of a field: service_id is ServiceID."""
    return "".join(_INITIALISMS.get(part, part.capitalize()) for part in field_name.split("_"))


def _value(field: FieldDescriptor, value: Any) -> Any:  # noqa: ANN401 - any field of any message
    kind = field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        element = kind.fields_by_name["value"]
        return {name: _single(element, value[name]) for name in sorted(value)}
    if field.is_repeated:
        return [_single(field, each) for each in value]
    return _single(field, value)


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
    return str(word).lower().replace("_", "-")
