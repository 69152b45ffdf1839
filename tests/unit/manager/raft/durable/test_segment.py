"""Sealed records cannot be altered, moved or replayed, even with their checksums put right."""

import struct
from pathlib import Path

import pytest
from isal.isal_zlib import crc32

from api.errors import SwarmError
from manager.raft.durable.file_header import Owner
from manager.raft.durable.keyring import FileKeys, Keys
from manager.raft.durable.segment import SegmentWriter, scan

OWNER = Owner("c", "n")
FRAME = 32


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return FileKeys(tmp_path / "dek")


class Made:
    """A sealed segment, cut into its header and its records."""

    def __init__(self, keys: Keys | None, number: int = 1) -> None:
        writer = SegmentWriter(OWNER, number, 1, keys)
        start = writer.begin(b"preamble")
        self.seed = int.from_bytes(
            start[(end := writer.size - _size(writer, b"preamble")) - 4 : end]
        )
        self.head = start[:end]
        self.records = [start[end:]]
        for payload in (b"one", b"two", b"three"):
            writer.mark_synced()
            self.records.append(writer.frame(payload))

    def scan(self, keys: Keys | None, *, last: bool = True) -> list[bytes]:
        data = self.head + b"".join(self.records)
        return scan("s", data, 1, OWNER, keys, last=last).saves

    def put_right(self, at: int, stored: bytes, *, number: int | None = None) -> None:
        """Replaces what record `at` stores, and its checksums with it."""
        magic, length, was, durable, _ = struct.unpack(">4sIQQI", self.records[at][:28])
        head = struct.pack(
            ">4sIQQI",
            magic,
            length,
            was if number is None else number,
            durable,
            crc32(stored, self.seed),
        )
        self.records[at] = head + struct.pack(">I", crc32(head, self.seed)) + stored


def _size(writer: SegmentWriter, payload: bytes) -> int:
    return writer.size_with(payload) - writer.size


def test_records_come_back(keys: Keys) -> None:
    for each in (keys, None):
        assert Made(each).scan(each) == [b"one", b"two", b"three"]


def test_an_altered_record_is_refused_even_at_the_end(keys: Keys) -> None:
    for at in (1, 3):
        made = Made(keys)
        stored = bytearray(made.records[at][FRAME:])
        stored[0] ^= 1
        made.put_right(at, bytes(stored))
        with pytest.raises(SwarmError, match=f"record {at} was altered: its seal is broken"):
            made.scan(keys)


def test_a_moved_record_is_refused(keys: Keys) -> None:
    made = Made(keys)
    made.records[1:3] = made.records[2:0:-1]
    with pytest.raises(SwarmError, match="record 2 stands where 1 belongs"):
        made.scan(keys)
    made = Made(keys)
    made.put_right(2, made.records[1][FRAME:])
    with pytest.raises(SwarmError, match="record 2 was altered"):
        made.scan(keys)
    made = Made(keys)
    made.put_right(1, made.records[2][FRAME:], number=1)
    with pytest.raises(SwarmError, match="record 1 was altered"):
        made.scan(keys)


def test_a_record_of_another_segment_is_refused(keys: Keys) -> None:
    made, other = Made(keys), Made(keys, number=2)
    made.put_right(1, other.records[1][FRAME:])
    with pytest.raises(SwarmError, match="record 1 was altered"):
        made.scan(keys)


def test_a_header_with_another_segments_key_is_refused(keys: Keys) -> None:
    made, other = Made(keys), Made(keys, number=2)
    wrapped = 8 + 12 + 32 + 16
    head = bytearray(made.head[:-4])
    head[-wrapped:] = other.head[-4 - wrapped : -4]
    made.head = bytes(head) + struct.pack(">I", crc32(bytes(head)))
    with pytest.raises(SwarmError, match="cannot be unsealed: its header was altered"):
        made.scan(keys)


def test_a_torn_tail_is_damage_in_any_segment_but_the_last(keys: Keys) -> None:
    made = Made(keys)
    made.records[3] = made.records[3][:-1]
    assert made.scan(keys) == [b"one", b"two"]
    with pytest.raises(SwarmError, match="record 3 ends early, and a later segment follows"):
        made.scan(keys, last=False)


def test_two_broken_records_are_damage_if_the_second_still_says_so(keys: Keys) -> None:
    """Only the head of the later record must be whole to prove that the first was durable."""
    made = Made(keys)
    made.records[2] = made.records[2][:-1] + bytes([made.records[2][-1] ^ 1])
    made.records[3] = made.records[3][:-1] + bytes([made.records[3][-1] ^ 1])
    with pytest.raises(SwarmError, match="the checksum of record 2 is wrong, and a record at byte"):
        made.scan(keys)
