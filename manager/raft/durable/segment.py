"""One file of the log: a header and records. Pure: makes and takes bytes, touches no disk.

A record is one save, whole or not at all. Big-endian: magic (4), length of the stored bytes (4),
number of the record in its segment (8), durable mark (8), checksum of the stored bytes (4),
checksum of the 28 bytes before (4), stored bytes. Both checksums start from the header's.

The durable mark says up to which byte the segment was synced before the record was written. It
tells a torn tail from damage. A crash may leave of the bytes since the last sync any part, in any
order: one record broken, a later one whole. Whatever comes after the first broken record is cut
if nothing says that it was once durable, and is damage if a later record says so.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from isal.isal_zlib import crc32

from manager.raft.durable import damage, file_header
from manager.raft.durable.file_header import Header, Owner
from manager.raft.durable.keyring import Keys
from manager.raft.durable.sealing import TamperedError

MAGIC = b"SWARMWAL"
MAX_RECORD_BYTES = 256 << 20

_RECORD_MAGIC = b"\xd7REC"
_HEAD = struct.Struct(">4sIQQI")
_CHECKSUM = struct.Struct(">I")
_FRAME = _HEAD.size + _CHECKSUM.size
_ABOUT = struct.Struct(">QQ")


class SegmentWriter:
    """Frames the records of a new segment, in order; the caller writes every byte it returns."""

    def __init__(self, owner: Owner, number: int, first_index: int, keys: Keys | None) -> None:
        about = _ABOUT.pack(number, first_index)
        self.number = number
        self._head, self._header = file_header.begin(MAGIC, owner, about, keys)
        self._seed = self._header.checksum
        self._records = 0
        self._durable = 0
        self.size = 0

    def begin(self, preamble: bytes) -> bytes:
        """The start of the file: its header and record 0, which says what the log was before."""
        self.size = self._header.length
        return self._head + self.frame(preamble)

    def frame(self, payload: bytes) -> bytes:
        """The next record, as it is to be appended."""
        sealer = self._header.sealer
        length = len(payload) + sealer.overhead
        place = struct.pack(">4sIQQ", _RECORD_MAGIC, length, self._records, self._durable)
        stored = sealer.seal(self._records, self._header.context + place, payload)
        head = place + _CHECKSUM.pack(crc32(stored, self._seed))
        self._records += 1
        self.size += _FRAME + length
        return head + _CHECKSUM.pack(crc32(head, self._seed)) + stored

    def size_with(self, payload: bytes) -> int:
        """The segment's size in bytes once this record is in it."""
        return self.size + _FRAME + len(payload) + self._header.sealer.overhead

    @property
    def synced(self) -> bool:
        """Whether everything framed so far is durable."""
        return self._durable == self.size

    def mark_synced(self) -> None:
        """Everything framed so far is durable now."""
        self._durable = self.size

    @property
    def holds_saves(self) -> bool:
        """Whether there is a record beside the preamble."""
        return self._records > 1


@dataclass(frozen=True, slots=True)
class Segment:
    """What a segment file holds. `whole`: bytes up to the end of its last whole record."""

    number: int
    first_index: int
    preamble: bytes
    saves: list[bytes]
    offsets: list[int]
    whole: int


def scan(
    name: str, data: bytes, number: int, owner: Owner, keys: Keys | None, *, last: bool
) -> Segment:
    """Reads segment `number` from file `name`; its payloads are checked, unsealed, not decoded.

    Only the `last` segment may end in a torn tail, which is left out; SwarmError for the rest.
    """
    header = file_header.decode(name, data, MAGIC, owner, keys)
    theirs, first_index = _ABOUT.unpack(header.about)
    if theirs != number:
        raise damage.damaged(name, 0, f"it is segment {theirs} under another's name")
    reader = _Reader(name, data, header)
    payloads, offsets = [], []
    for offset, payload in reader:
        offsets.append(offset)
        payloads.append(payload)
    whole = reader.offset
    if whole < len(data) or not payloads:
        if not last:
            raise damage.damaged(name, whole, f"{reader.fault}, and a later segment follows")
        if not payloads:
            raise damage.damaged(name, whole, f"{reader.fault}, in the segment's first record")
        proof = reader.proof_of_durability()
        if proof is not None:
            why = f"{reader.fault}, and a record at byte {proof} shows that it was whole once"
            raise damage.damaged(name, whole, why)
    return Segment(number, first_index, payloads[0], payloads[1:], offsets[1:], whole)


class _Reader:
    """Yields (offset, payload) up to the first record that is not whole; then `fault` says why."""

    def __init__(self, name: str, data: bytes, header: Header) -> None:
        self._name = name
        self._data = data
        self._view = memoryview(data)
        self._header = header
        self._seed = header.checksum
        self.offset = header.length
        self.fault = "it has no records"

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        number = 0
        while self.offset < len(self._data):
            payload, length = self._read(number)
            if payload is None:
                return
            yield self.offset, payload
            self.offset += length
            number += 1

    def proof_of_durability(self) -> int | None:
        """The offset of a later record that was written when this one was durable already."""
        at = self._data.find(_RECORD_MAGIC, self.offset + 1)
        while at >= 0:
            head = self._head_at(at)
            if head is not None and head[2] > self.offset:
                return at
            at = self._data.find(_RECORD_MAGIC, at + 1)
        return None

    def _read(self, number: int) -> tuple[bytes | None, int]:
        head = self._head_at(self.offset)
        if head is None:
            self.fault = f"the head of record {number} is broken"
            return None, 0
        length, theirs, _, checksum = head
        start = self.offset + _FRAME
        stored = self._view[start : start + length]
        if len(stored) < length:
            self.fault = f"record {number} ends early"
            return None, 0
        if crc32(stored, self._seed) != checksum:
            self.fault = f"the checksum of record {number} is wrong"
            return None, 0
        if theirs != number:
            raise damage.damaged(
                self._name, self.offset, f"record {theirs} stands where {number} belongs"
            )
        return self._open(number, stored), _FRAME + length

    def _open(self, number: int, stored: memoryview) -> bytes:
        place = self._data[self.offset : self.offset + _HEAD.size - _CHECKSUM.size]
        try:
            bound = self._header.context + place
            return self._header.sealer.open(number, bound, bytes(stored))
        except TamperedError:
            # The checksum is right, so no crash did this.
            why = f"record {number} was altered: its seal is broken"
            raise damage.damaged(self._name, self.offset, why) from None

    def _head_at(self, at: int) -> tuple[int, int, int, int] | None:
        """Length, number, durable mark and checksum of the record at `at`, if its head is whole."""
        head = self._data[at : at + _HEAD.size]
        check = self._data[at + _HEAD.size : at + _FRAME]
        if len(check) < _CHECKSUM.size or _CHECKSUM.unpack(check)[0] != crc32(head, self._seed):
            return None
        magic, length, number, durable, checksum = _HEAD.unpack(head)
        return (length, number, durable, checksum) if magic == _RECORD_MAGIC else None
