"""The sealed part of a backup, as a manager writes it and whoever has the key reads it. Pure.

Big-endian: magic (4), format version (2), length of the header (4), the header (BackupHeader, in
clear), checksum of all that (4); then chunks: length of the stored bytes (4), their checksum (4),
the stored bytes: AES-256-GCM under a key that is derived (HKDF, RFC 5869) from the caller's and the
header's salt, so that no two files share one. The nonce is the chunk's number and whether it is the
last (Hoang and others, "Online Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance",
2015): chunks cannot be swapped, left out or cut off. The header is authenticated with each.

The checksum tells damage, the seal a wrong passphrase or a hand that altered it.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from google.protobuf.message import DecodeError

from api.backup_key import KEY_BYTES, VERSION, damaged, newer
from api.errors import Code, SwarmError, invalid
from api.v1.control_pb2 import BackupHeader

CHUNK_BYTES = 1 << 20
SALT_BYTES = 32
_MAGIC = b"SWBK"
_HEAD = struct.Struct(">4sHI")
_CHUNK = struct.Struct(">II")
_CHECKSUM = struct.Struct(">I")
_TAG_BYTES = 16
_COUNTER_BYTES = 11
_MOST_HEADER = 64 << 10


def check_key(key: bytes) -> None:
    """INVALID (field `key`) unless it has 32 bytes."""
    if len(key) != KEY_BYTES:
        raise invalid("key", f"a backup is sealed under {KEY_BYTES} bytes, not {len(key)}")


def seal(header: BackupHeader, key: bytes, content: bytes) -> Iterator[bytes]:
    """The sealed part, in pieces of a chunk at most. `header.salt`: SALT_BYTES random bytes."""
    about = header.SerializeToString()
    head = _HEAD.pack(_MAGIC, VERSION, len(about)) + about
    yield head + _CHECKSUM.pack(zlib.crc32(head))
    cipher = _cipher(key, header.salt)
    view = memoryview(content)
    starts = range(0, max(1, len(view)), CHUNK_BYTES)
    for counter, start in enumerate(starts):
        last = counter == len(starts) - 1
        piece = view[start : start + CHUNK_BYTES]
        stored = cipher.encrypt(_nonce(counter, last=last), bytes(piece), head)
        yield _CHUNK.pack(len(stored), zlib.crc32(stored)) + stored


def read_header(stream: BinaryIO) -> BackupHeader:
    """The header alone, which is not authenticated; `stream` stands behind it then.

    Errors as of `unseal`.
    """
    return _read_head(stream)[0]


def unseal(stream: BinaryIO, key: bytes) -> tuple[BackupHeader, bytes]:
    """Header and content of what `seal` made, to the end of `stream`; every seal is checked.

    REFUSED: damaged, cut off, or with something behind it; DENIED (field `passphrase`): sealed
    under another key; UNSUPPORTED: of a later version.
    """
    header, head = _read_head(stream)
    cipher = _cipher(key, header.salt)
    content: list[bytes] = []
    stored = _read_chunk(stream, 0)
    while stored is not None:
        counter = len(content)
        following = _read_chunk(stream, counter + 1)
        nonce = _nonce(counter, last=following is None)
        try:
            content.append(cipher.decrypt(nonce, stored, head))
        except InvalidTag:
            raise _not_opened(counter) from None
        stored = following
    if not content:
        raise damaged("it ends behind its header")
    return header, b"".join(content)


def _read_head(stream: BinaryIO) -> tuple[BackupHeader, bytes]:
    fixed = stream.read(_HEAD.size)
    if len(fixed) < _HEAD.size:
        raise damaged("it ends before its header")
    magic, version, length = _HEAD.unpack(fixed)
    if magic != _MAGIC:
        raise damaged("its header is not where it belongs")
    if version > VERSION:
        raise newer(version)
    if length > _MOST_HEADER:
        raise damaged("its header has an impossible length")
    head = fixed + stream.read(length)
    check = stream.read(_CHECKSUM.size)
    if len(check) < _CHECKSUM.size or _CHECKSUM.unpack(check)[0] != zlib.crc32(head):
        raise damaged("the checksum of its header is wrong")
    try:
        return BackupHeader.FromString(head[_HEAD.size :]), head
    except DecodeError:
        raise damaged("its header is no valid message") from None


def _read_chunk(stream: BinaryIO, counter: int) -> bytes | None:
    """The stored bytes of the next chunk; None at the end."""
    head = stream.read(_CHUNK.size)
    if not head:
        return None
    if len(head) < _CHUNK.size:
        raise damaged(f"chunk {counter} ends early")
    length, checksum = _CHUNK.unpack(head)
    if length > CHUNK_BYTES + _TAG_BYTES:
        raise damaged(f"chunk {counter} has an impossible length")
    stored = stream.read(length)
    if len(stored) < length or zlib.crc32(stored) != checksum:
        raise damaged(f"the checksum of chunk {counter} is wrong")
    return stored


def _not_opened(counter: int) -> SwarmError:
    if counter:
        return damaged(f"chunk {counter} was altered, or what follows it is missing")
    return SwarmError(
        Code.DENIED,
        "the backup is not opened by this passphrase",
        why="it was sealed under another one, was altered, or is cut off behind its first chunk",
        remedy="try the passphrase that was given when it was made",
        field="passphrase",
    )


def _cipher(key: bytes, salt: bytes) -> AESGCM:
    check_key(key)
    derive = HKDF(hashes.SHA256(), KEY_BYTES, salt=salt, info=b"swarm.v1.backup")
    return AESGCM(derive.derive(key))


def _nonce(counter: int, *, last: bool) -> bytes:
    return counter.to_bytes(_COUNTER_BYTES) + bytes([last])
