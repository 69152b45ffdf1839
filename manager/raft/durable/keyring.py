"""The keys that seal the log: a data key (DEK) per node, which wraps one random key per file.

Wrapping is AES-256-GCM under a random nonce: a file is one wrap, far below the 2^32 that NIST
SP 800-38D allows. Never seals data itself. `FileKeys` keeps the DEK in a file of mode 0600; a
keyring whose DEK is itself wrapped by a key-encryption key is another `Keys`.
"""

import hashlib
import os
import re
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from api.errors import Code, SwarmError

KEY_BYTES = 32
_ID_BYTES = 8
_NONCE_BYTES = 12
_OTHERS = 0o077
_LINE = re.compile(rf"[0-9a-f]{{{2 * KEY_BYTES}}}")


class KeyNotFoundError(Exception):
    """A wrapped key that this keyring cannot unwrap; the text says why."""


class Keys(Protocol):
    """Wraps the keys of files. `context` is bound to the key: unwrapping needs the same bytes."""

    def wrap(self, key: bytes, context: bytes) -> bytes:
        """The key, sealed under the newest DEK."""

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """The key that `wrap` sealed; KeyNotFoundError if it was not this keyring's."""


class FileKeys:
    """DEKs in a file, one per line in hex, the newest last; made with a random DEK if missing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._keys = _read(path)
        except FileNotFoundError:
            self._keys = [AESGCM.generate_key(KEY_BYTES * 8)]
            _write(path, self._keys)

    def wrap(self, key: bytes, context: bytes) -> bytes:
        """Id of the DEK, nonce, sealed key."""
        newest = self._keys[-1]
        nonce = os.urandom(_NONCE_BYTES)
        return _id(newest) + nonce + AESGCM(newest).encrypt(nonce, key, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """The key again; older DEKs unwrap too."""
        wanted = wrapped[:_ID_BYTES]
        nonce = wrapped[_ID_BYTES : _ID_BYTES + _NONCE_BYTES]
        for key in self._keys:
            if _id(key) == wanted:
                try:
                    return AESGCM(key).decrypt(nonce, wrapped[_ID_BYTES + _NONCE_BYTES :], context)
                except (InvalidTag, ValueError):
                    raise KeyNotFoundError("its header was altered") from None
        raise KeyNotFoundError(f"it is sealed under key {wanted.hex()}, not in {self._path}")

    def rotate(self) -> None:
        """Adds a new DEK, durable on return; files that are begun from now on are sealed under it.

        The older ones stay, for the files that they still open.
        """
        keys = [*self._keys, AESGCM.generate_key(KEY_BYTES * 8)]
        _write(self._path, keys)
        self._keys = keys


def _id(key: bytes) -> bytes:
    return hashlib.sha256(b"swarm.v1.dek-id" + key).digest()[:_ID_BYTES]


def _read(path: Path) -> list[bytes]:
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(file, "r", encoding="ascii", errors="replace") as stream:
        if os.fstat(file).st_mode & _OTHERS:
            raise SwarmError(
                Code.REFUSED,
                f"the key file {path} is not used",
                why="others than its owner may read or write it",
                remedy=f"chmod 600 {path}",
            )
        lines = stream.read().split()
    if not lines or not all(_LINE.fullmatch(line) for line in lines):
        raise SwarmError(
            Code.REFUSED,
            f"the key file {path} is not used",
            why=f"it is not a list of {KEY_BYTES}-byte keys in hex",
            remedy="put back the key file that belongs to this state folder",
        )
    return [bytes.fromhex(line) for line in lines]


def _write(path: Path, keys: list[bytes]) -> None:
    """Replaces the file whole: a crash leaves the old keys or the new ones, never neither."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".tmp")
    fresh.unlink(missing_ok=True)
    file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(file, "w", encoding="ascii") as stream:
        stream.writelines(f"{key.hex()}\n" for key in keys)
        stream.flush()
        os.fsync(file)
    fresh.rename(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
