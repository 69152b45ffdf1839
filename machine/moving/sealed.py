"""Machines in one encrypted file. Pure.

Magic (8), format version (2, big-endian), salt (16), nonce (12), then AES-256-GCM under a key that
scrypt (RFC 7914) makes of the passphrase; what stands before is authenticated with it.
"""

import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from api.backup_key import SALT_BYTES, KeySource
from api.errors import Code, SwarmError

MAGIC = b"SWARMMCH"
VERSION = 1
NONCE_BYTES = 12
LIMIT = 64 << 20
"""Bytes that such a file may have."""
_HEAD = struct.Struct(f">8sH{SALT_BYTES}s{NONCE_BYTES}s")


def sealed(content: bytes, passphrase: str, salt: bytes, nonce: bytes) -> bytes:
    """The file. Salt and nonce are random, of SALT_BYTES and NONCE_BYTES, and never used again.

    Takes half a second, as whoever guesses the passphrase needs for each guess. INVALID if it is
    empty.
    """
    head = _HEAD.pack(MAGIC, VERSION, salt, nonce)
    return head + AESGCM(KeySource(salt).key(passphrase)).encrypt(nonce, content, head)


def opened(data: bytes, passphrase: str) -> bytes:
    """What was sealed. REFUSED if the file is none of ours, UNSUPPORTED if it is of a later
    version, DENIED (field `passphrase`) if it is sealed under another passphrase or was altered.
    """
    if len(data) < _HEAD.size or not data.startswith(MAGIC):
        raise SwarmError(Code.REFUSED, "this file holds no machines")
    _, version, salt, nonce = _HEAD.unpack_from(data)
    if version > VERSION:
        raise SwarmError(
            Code.UNSUPPORTED,
            "the file cannot be read",
            why=f"it has format version {version}, known is {VERSION}",
            remedy="use the version of swarmctl that wrote it, or a later one",
        )
    head, body = data[: _HEAD.size], data[_HEAD.size :]
    try:
        return AESGCM(KeySource(salt).key(passphrase)).decrypt(nonce, body, head)
    except InvalidTag:
        raise SwarmError(
            Code.DENIED,
            "the file is not opened by this passphrase",
            why="it was sealed under another one, or was altered or cut off",
            remedy="ask whoever made it",
            field="passphrase",
        ) from None
