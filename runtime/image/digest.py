"""Digests as `sha256:<hex>`: their form, and what hashes to them. Touches no file."""

import hashlib
import hmac
import re
from typing import Protocol

_PATTERN = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")


class Hasher(Protocol):
    """A running hash, as hashlib makes them."""

    def update(self, data: bytes, /) -> None:
        """Takes in the next bytes."""

    def hexdigest(self) -> str:
        """The hash so far, in lower-case hexadecimal."""


def is_valid(text: str) -> bool:
    """Whether `text` is a digest by an algorithm that OCI registers (sha256, sha512)."""
    return _PATTERN.fullmatch(text) is not None


def of(data: bytes) -> str:
    """The sha256 digest of `data`."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def hasher(digest: str) -> Hasher:
    """A fresh hash by the algorithm of `digest`, which must be valid."""
    return hashlib.new(digest.partition(":")[0])


def encoded(digest: str) -> str:
    """The hexadecimal part, which is safe as a file name."""
    if not is_valid(digest):
        raise ValueError(f"not a digest: {digest!r}")
    return digest.partition(":")[2]


def matches(digest: str, data: bytes) -> bool:
    """Whether `data` hashes to `digest`."""
    running = hasher(digest)
    running.update(data)
    return hmac.compare_digest(running.hexdigest(), encoded(digest))
