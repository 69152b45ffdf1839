"""What managers mean and what a node knows of networks, made comparable. Pure."""

import hashlib
from collections.abc import Iterable

from google.protobuf.message import Message


def digest(items: Iterable[Message]) -> bytes:
    """SHA-256 of items, in whatever order they come."""
    summed = hashlib.sha256()
    for packed in sorted(each.SerializeToString(deterministic=True) for each in items):
        summed.update(len(packed).to_bytes(8, "big"))
        summed.update(packed)
    return summed.digest()
