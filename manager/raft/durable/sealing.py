"""Seals the pieces of one file: AES-256-GCM under a random key of that file, or not at all.

The nonce is the piece's counter within the file. It is never used twice under one key, because
a file's key is random, and a file is written once, from its start, by one process. Touches no disk.
"""

from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from manager.raft.durable.keyring import KEY_BYTES, Keys

_NONCE_BYTES = 12


class TamperedError(Exception):
    """The tag does not fit: the piece was altered, moved, or sealed under another key."""


class Sealer(Protocol):
    """Seals pieces and opens them again. `bound` is authenticated with a piece, not stored."""

    overhead: int
    """Bytes by which a sealed piece is longer."""

    def seal(self, counter: int, bound: bytes, piece: bytes) -> bytes:
        """What is stored for a piece. Each counter is used once."""

    def open(self, counter: int, bound: bytes, stored: bytes) -> bytes:
        """The piece; TamperedError if it is not what was sealed with this counter and `bound`."""


class _Clear:
    overhead = 0

    def seal(self, counter: int, bound: bytes, piece: bytes) -> bytes:
        return piece

    def open(self, counter: int, bound: bytes, stored: bytes) -> bytes:
        return stored


class _Gcm:
    overhead = 16

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, counter: int, bound: bytes, piece: bytes) -> bytes:
        return self._cipher.encrypt(counter.to_bytes(_NONCE_BYTES), piece, bound)

    def open(self, counter: int, bound: bytes, stored: bytes) -> bytes:
        try:
            return self._cipher.decrypt(counter.to_bytes(_NONCE_BYTES), stored, bound)
        except InvalidTag:
            raise TamperedError from None


def new_sealer(keys: Keys | None, context: bytes) -> tuple[Sealer, bytes]:
    """A sealer for a new file, and its wrapped key; b"" if there are no keys: not sealed.

    `context` says which file it is; the wrapped key opens with the same bytes alone.
    """
    if keys is None:
        return _Clear(), b""
    key = AESGCM.generate_key(KEY_BYTES * 8)
    return _Gcm(key), keys.wrap(key, context)


def open_sealer(keys: Keys | None, wrapped: bytes, context: bytes) -> Sealer:
    """The sealer of a file that is there; KeyNotFoundError, also if `keys` is None."""
    if keys is None:
        return _Clear()
    return _Gcm(keys.unwrap(wrapped, context))
