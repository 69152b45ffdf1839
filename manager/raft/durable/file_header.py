"""The header that every file of the log's folder begins with: what it is, whose, how sealed.

Big-endian: magic (8), format version (2), flags (2: bit 0 sealed), checksum algorithm (1), zero
(1), length of the whole header (4); then, each with its length before it (2): cluster id, node id,
what the kind of file adds (`about`), the wrapped key; then the checksum of all that (4). The first
18 bytes and the last 4 keep their place in every version. Pure.
"""

import struct
from dataclasses import dataclass
from typing import NamedTuple

from isal.isal_zlib import crc32

from manager.raft.durable import damage
from manager.raft.durable.keyring import KeyNotFoundError, Keys
from manager.raft.durable.sealing import Sealer, new_sealer, open_sealer

VERSION = 1
SEALED = 1
CRC32 = 1
"""CRC-32 as in zlib. CRC-32C has no fast implementation among the libraries that we stand on."""

_FIXED = struct.Struct(">8sHHBBI")
_PART = struct.Struct(">H")
_CHECKSUM = struct.Struct(">I")
_PARTS = 4


class Owner(NamedTuple):
    """Whose files they are; a file is read by its owner alone."""

    cluster_id: str
    node_id: str


@dataclass(frozen=True, slots=True)
class Header:
    """A decoded header.

    `context` binds keys and sealed pieces to this very file, `checksum` seeds the pieces' checksums
    so that a piece of another file, left over in a reused block, does not pass.
    """

    about: bytes
    context: bytes
    sealer: Sealer
    length: int
    checksum: int


def begin(magic: bytes, owner: Owner, about: bytes, keys: Keys | None) -> tuple[bytes, Header]:
    """The bytes of a new file's header, and what they decode to."""
    context = _context(magic, owner, about)
    sealer, wrapped = new_sealer(keys, context)
    parts = _join(*(part.encode() for part in owner), about, wrapped)
    length = _FIXED.size + len(parts) + _CHECKSUM.size
    flags = SEALED if wrapped else 0
    head = _FIXED.pack(magic, VERSION, flags, CRC32, 0, length) + parts
    checksum = crc32(head)
    return head + _CHECKSUM.pack(checksum), Header(about, context, sealer, length, checksum)


def decode(name: str, data: bytes, magic: bytes, owner: Owner, keys: Keys | None) -> Header:
    """Reads the header of file `name`; SwarmError if it is damaged, foreign, locked or newer."""
    if len(data) < _FIXED.size or data[: len(magic)] != magic:
        raise damage.damaged(name, 0, "it does not begin with a header")
    _, version, flags, algorithm, _, length = _FIXED.unpack_from(data)
    if algorithm == CRC32:
        end = length - _CHECKSUM.size
        if not _FIXED.size <= end <= len(data) - _CHECKSUM.size:
            raise damage.damaged(name, 0, "its header has an impossible length")
        checksum = crc32(data[:end])
        if _CHECKSUM.unpack_from(data, end)[0] != checksum:
            raise damage.damaged(name, 0, "the checksum of its header is wrong")
    if version != VERSION:
        raise damage.newer(name, f"format version {version}")
    if algorithm != CRC32:
        raise damage.newer(name, f"checksum algorithm {algorithm}")
    if flags & ~SEALED:
        raise damage.newer(name, f"flags {flags:#x}")
    cluster_id, node_id, about, wrapped = _split(name, data[_FIXED.size : end])
    _check_owner(name, Owner(cluster_id.decode(), node_id.decode()), owner)
    context = _context(magic, owner, about)
    sealer = _unseal(name, bool(flags), wrapped, context, keys)
    return Header(about, context, sealer, length, checksum)


def _context(magic: bytes, owner: Owner, about: bytes) -> bytes:
    version = VERSION.to_bytes(_PART.size)
    return _join(magic, version, owner.cluster_id.encode(), owner.node_id.encode(), about)


def _join(*parts: bytes) -> bytes:
    return b"".join(_PART.pack(len(part)) + part for part in parts)


def _split(name: str, data: bytes) -> list[bytes]:
    parts = []
    at = 0
    while at + _PART.size <= len(data):
        start = at + _PART.size
        at = start + int(_PART.unpack_from(data, at)[0])
        parts.append(data[start:at])
    if at != len(data) or len(parts) != _PARTS:
        raise damage.damaged(name, _FIXED.size, "its header is not laid out as its version says")
    return parts


def _check_owner(name: str, theirs: Owner, ours: Owner) -> None:
    if theirs.cluster_id != ours.cluster_id:
        raise damage.foreign(name, "cluster", theirs.cluster_id, ours.cluster_id)
    if theirs.node_id != ours.node_id:
        raise damage.foreign(name, "node", theirs.node_id, ours.node_id)


def _unseal(name: str, sealed: bool, wrapped: bytes, context: bytes, keys: Keys | None) -> Sealer:
    if sealed and keys is None:
        raise damage.locked(name, "it is sealed, and there are no keys")
    if keys is not None and not sealed:
        # Whoever can write the folder could otherwise swap a sealed file for one of his own.
        raise damage.locked(name, "it is not sealed, but everything here is to be sealed")
    try:
        return open_sealer(keys, wrapped, context)
    except KeyNotFoundError as error:
        raise damage.locked(name, str(error)) from None
