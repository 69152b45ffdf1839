"""Cuts an encoded message into smaller ones that hold its fields one after the other. Pure.

Decoding a snapshot of a hundred megabytes in one call would hold up every other thread until it is
done. A message is the sum of its fields, wherever it is cut between two of them
(https://protobuf.dev/programming-guides/encoding/).
"""

from collections.abc import Iterator

_VARINT, _LENGTH = 0, 2
_WIRE_TYPE = 7
_WIRE_BITS = 3
_MORE, _BITS = 0x80, 7


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    """Encoded messages of some `size` bytes each, or of one field that is larger.

    ValueError if `data` is not made of fields of the two wire types that snapshots have.
    """
    start = at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        kind = tag & _WIRE_TYPE
        if kind not in (_VARINT, _LENGTH):
            raise ValueError(f"field {tag >> _WIRE_BITS} has wire type {kind}")
        value, at = _varint(data, at)
        if kind == _LENGTH:
            at += value
        if at > len(data):
            raise ValueError("the last field ends early")
        if at - start >= size:
            yield data[start:at]
            start = at
    if at > start:
        yield data[start:at]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """The number at `at`, and where it ends."""
    value = shift = 0
    while True:
        if at >= len(data):
            raise ValueError("the last number ends early")
        byte = data[at]
        at += 1
        value |= (byte & ~_MORE) << shift
        if byte < _MORE:
            return value, at
        shift += _BITS
