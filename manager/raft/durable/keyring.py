"""The keys that seal the log: a data key (DEK) per node, which wraps one random key per file.

Wrapping is AES-256-GCM under a random nonce: a file is one wrap, far below the 2^32 that NIST
SP 800-38D allows. Never seals data itself. `FileKeys` keeps the DEKs in a file of mode 0600, which
is itself encrypted while the swarm is locked: under a key-encryption key (KEK), the unlock key.
"""

import hashlib
import hmac
import os
import threading
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from manager.raft.durable import key_file
from manager.raft.durable.key_file import KEY_BYTES, KeyFile

__all__ = ["KEY_BYTES", "FileKeys", "KeyNotFoundError", "Keys"]

_ID_BYTES = 8
_NONCE_BYTES = 12


class KeyNotFoundError(Exception):
    """A wrapped key that this keyring cannot unwrap; the text says why."""


class Keys(Protocol):
    """Wraps the keys of files. `context` is bound to the key: unwrapping needs the same bytes."""

    def wrap(self, key: bytes, context: bytes) -> bytes:
        """The key, sealed under the newest DEK."""

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """The key that `wrap` sealed; KeyNotFoundError if it was not this keyring's."""


class FileKeys:
    """The DEKs in the file `path`; made with a random one, under `kek` if given, if it is missing.

    There is one of these for a file, which several threads may use. Errors: as of key_file.read.
    """

    def __init__(self, path: Path, kek: bytes | None = None) -> None:
        self._path = path
        self._changing = threading.Lock()
        try:
            self._held = key_file.read(path, kek)
        except FileNotFoundError:
            self._held = KeyFile((_fresh(),), kek)
            key_file.write(path, self._held)

    @property
    def is_locked(self) -> bool:
        """Whether the file is encrypted, so that the next start will need the KEK."""
        return self._held.kek is not None

    def wrap(self, key: bytes, context: bytes) -> bytes:
        """Id of the DEK, nonce, sealed key."""
        newest = self._held.keys[-1]
        nonce = os.urandom(_NONCE_BYTES)
        return _id(newest) + nonce + AESGCM(newest).encrypt(nonce, key, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """The key again; older DEKs unwrap too."""
        wanted = wrapped[:_ID_BYTES]
        nonce = wrapped[_ID_BYTES : _ID_BYTES + _NONCE_BYTES]
        for key in self._held.keys:
            if _id(key) == wanted:
                try:
                    return AESGCM(key).decrypt(nonce, wrapped[_ID_BYTES + _NONCE_BYTES :], context)
                except (InvalidTag, ValueError):
                    raise KeyNotFoundError("its header was altered") from None
        raise KeyNotFoundError(f"it is sealed under key {wanted.hex()}, not in {self._path}")

    def derived(self, purpose: str) -> tuple[bytes, ...]:
        """A secret (64 hex digits) for another use, out of each DEK, newest first: keep with the
        first, open with any.
        """
        label = f"swarm.v1.{purpose}".encode()
        return tuple(
            hmac.digest(key, label, "sha256").hex().encode() for key in reversed(self._held.keys)
        )

    def rotate(self) -> None:
        """Adds a new DEK, durable on return; files that are begun from now on are sealed under it.

        The older ones stay, for the files that they still open.
        """
        with self._changing:
            held = self._held
            self._replace(KeyFile((*held.keys, _fresh()), held.kek, held.version))

    def differs(self, kek: bytes | None, version: int) -> bool:
        """Whether `relock` with the same arguments would change the file."""
        held = self._held
        return version >= held.version and not hmac.compare_digest(kek or b"", held.kek or b"")

    def relock(self, kek: bytes | None, version: int) -> bool:
        """Encrypts the DEKs under `kek` (32 bytes), None: not at all; durable on return.

        Returns whether that was news.

        `version` is that of the cluster object that says so. An older one than the file's changes
        nothing: a manager that restarts sees the past of its swarm again (SwarmKit keeps a version
        with its key for the same reason). The log is not rewritten. OSError: the old file is still
        there, or the new one already; both hold every DEK, and calling again is right.
        """
        with self._changing:
            if not self.differs(kek, version):
                return False
            keys = self._held.keys
            if kek is not None:
                # Who copied the file, and could read it as it was, has the present ones: files that
                # are begun from now on get a key that was never in it, whatever stops the manager.
                keys = (*keys, _fresh())
            self._replace(KeyFile(keys, kek, version))
            return True

    def _replace(self, held: KeyFile) -> None:
        key_file.write(self._path, held)
        self._held = held


def _fresh() -> bytes:
    return AESGCM.generate_key(KEY_BYTES * 8)


def _id(key: bytes) -> bytes:
    return hashlib.sha256(b"swarm.v1.dek-id" + key).digest()[:_ID_BYTES]
