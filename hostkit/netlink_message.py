"""Netlink messages as bytes: headers, attributes, and what stands in answers. Pure.

The layout is that of <linux/netlink.h>: native byte order, everything padded to four bytes. What
the messages of a family mean is not known here.
"""

import errno
import struct
from collections.abc import Iterator
from typing import NamedTuple

NLMSG_ERROR = 2
NLMSG_DONE = 3

REQUEST = 0x1
ACK = 0x4
DUMP = 0x300
DUMP_INTERRUPTED = 0x10
REPLACE = 0x100
EXCLUSIVE = 0x200
CREATE = 0x400
ACK_ATTRIBUTES = 0x200  # NLM_F_ACK_TLVS: attributes follow the error number
ACK_CAPPED = 0x100  # NLM_F_CAPPED: the refused message is not repeated

NESTED = 0x8000
_TYPE_MASK = 0x3FFF

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_ERROR = struct.Struct("=i")
_PADDING = (b"", b"\0", b"\0\0", b"\0\0\0")
_TEXT = 1  # NLMSGERR_ATTR_MSG

Attributes = dict[int, bytes]


class Message(NamedTuple):
    """One request: its type, flags beside those that every request has, and its body."""

    type: int
    flags: int
    body: bytes

    def pack(self, sequence: int, flags: int) -> bytes:
        """The message with its header."""
        return (
            _HEADER.pack(_HEADER.size + len(self.body), self.type, self.flags | flags, sequence, 0)
            + self.body
        )


class Answer(NamedTuple):
    """One message of the kernel."""

    type: int
    flags: int
    sequence: int
    body: bytes

    def failure(self) -> tuple[int, str]:
        """Of an NLMSG_ERROR: the error number, 0 for an acknowledgement, and the kernel's words."""
        if len(self.body) < _ERROR.size:
            return errno.EBADMSG, "an error without a number"
        number = -_ERROR.unpack_from(self.body)[0]
        text = ""
        if number and self.flags & ACK_ATTRIBUTES:
            start = _ERROR.size + _HEADER.size
            if not self.flags & ACK_CAPPED and len(self.body) >= start:
                start += max(0, struct.unpack_from("=I", self.body, _ERROR.size)[0] - _HEADER.size)
            said = attributes(self.body, start).get(_TEXT, b"")
            text = said.rstrip(b"\0").decode(errors="replace")
        return number, text


def answers(data: bytes) -> Iterator[Answer]:
    """The messages in what one receive brought; ends at the first that is cut short."""
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, flags, sequence, _ = _HEADER.unpack_from(data, at)
        if length < _HEADER.size or at + length > len(data):
            return
        yield Answer(kind, flags, sequence, data[at + _HEADER.size : at + length])
        at += _padded(length)


def attribute(kind: int, data: bytes) -> bytes:
    """An attribute, padded."""
    length = len(data)
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + length, kind) + data + _PADDING[-length % 4]


def number(kind: int, value: int) -> bytes:
    """An attribute of 32 bits."""
    return attribute(kind, struct.pack("=I", value))


def flag(kind: int, value: bool) -> bytes:
    """An attribute of 8 bits."""
    return attribute(kind, b"\1" if value else b"\0")


def text(kind: int, value: str) -> bytes:
    """An attribute that is a string."""
    return attribute(kind, value.encode() + b"\0")


def nest(kind: int, *inner: bytes) -> bytes:
    """An attribute of attributes."""
    return attribute(kind | NESTED, b"".join(inner))


def attributes(data: bytes, start: int = 0) -> Attributes:
    """Attributes by type, from `start` on; of two of a type the last; ends at one cut short."""
    return dict(listed(data, start))


def listed(data: bytes, start: int = 0) -> Iterator[tuple[int, bytes]]:
    """All attributes in order, also those that share a type, as the members of a list do."""
    at = start
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < _ATTRIBUTE.size or at + length > len(data):
            return
        yield kind & _TYPE_MASK, data[at + _ATTRIBUTE.size : at + length]
        at += _padded(length)


def _padded(length: int) -> int:
    return (length + 3) & ~3
