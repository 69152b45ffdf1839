"""Backups as bytes: what goes in comes out, and whatever else is done to them is noticed."""

import io
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.backup_file import CHUNK_BYTES, SALT_BYTES, read_header, seal, unseal
from api.backup_key import ENVELOPE_BYTES, KeySource, read_envelope
from api.errors import Code, SwarmError
from api.v1.control_pb2 import BackupHeader

KEY = bytes(range(32))
HEADER = BackupHeader(cluster_id="c", swarmctl_version="1", index=7, salt=b"s" * SALT_BYTES)
CHEAP = KeySource(b"0123456789abcdef", log_n=4)
LONG = bytes(range(256)) * (CHUNK_BYTES // 256) * 2 + b"rest"
"""Three chunks."""


def sealed(content: bytes = b"content") -> bytes:
    return b"".join(seal(HEADER, KEY, content))


def opened(data: bytes, key: bytes = KEY) -> bytes:
    header, content = unseal(io.BytesIO(data), key)
    assert header == HEADER
    return content


def code_of(data: bytes, key: bytes = KEY) -> Code:
    with pytest.raises(SwarmError) as refused:
        opened(data, key)
    return refused.value.code


@pytest.mark.parametrize(
    "content",
    [b"", b"x", b"x" * (CHUNK_BYTES - 1), b"x" * CHUNK_BYTES, b"x" * (CHUNK_BYTES + 1), LONG],
)
def test_what_goes_in_comes_out(content: bytes) -> None:
    assert opened(sealed(content)) == content
    assert read_header(io.BytesIO(sealed(content))) == HEADER


@given(at=st.integers(0), flip=st.integers(1, 255))
def test_no_byte_can_be_altered(at: int, flip: int) -> None:
    data = bytearray(sealed())
    data[at % len(data)] ^= flip
    assert code_of(bytes(data)) in (Code.REFUSED, Code.DENIED, Code.UNSUPPORTED)


def test_no_end_can_be_cut_off() -> None:
    data = sealed()
    for length in range(len(data)):
        assert code_of(data[:length]) is Code.REFUSED


@pytest.mark.parametrize("more", [b"\0", sealed(), b"x" * 1000])
def test_nothing_can_be_put_behind_it(more: bytes) -> None:
    assert code_of(sealed() + more) is Code.REFUSED


def chunks(data: bytes) -> list[bytes]:
    """The head, and each chunk with its length and checksum."""
    at = 10 + struct.unpack_from(">I", data, 6)[0] + 4
    parts = [data[:at]]
    while at < len(data):
        end = at + 8 + struct.unpack_from(">I", data, at)[0]
        parts.append(data[at:end])
        at = end
    return parts


@pytest.mark.parametrize("order", [(1,), (1, 2), (2, 3), (2, 1, 3), (1, 2, 3, 3), (3, 2, 1)])
def test_whole_chunks_cannot_be_left_out_moved_or_doubled(order: tuple[int, ...]) -> None:
    parts = chunks(sealed(LONG))
    assert len(parts) == 4
    damaged = parts[0] + b"".join(parts[index] for index in order)
    assert code_of(damaged) in (Code.REFUSED, Code.DENIED)


def test_a_header_cannot_be_changed_with_its_checksum() -> None:
    parts = chunks(sealed())
    head = bytearray(parts[0][:-4])
    head[12] ^= 1  # in the name of the swarm
    assert code_of(bytes(head) + struct.pack(">I", zlib.crc32(head)) + parts[1]) is Code.DENIED


def test_another_key_is_told_from_damage() -> None:
    assert code_of(sealed(), bytes(32)) is Code.DENIED
    with pytest.raises(SwarmError) as refused:
        opened(sealed(), b"short")
    assert (refused.value.code, refused.value.field) == (Code.INVALID, "key")


def test_the_same_key_seals_each_file_in_another_way() -> None:
    other = BackupHeader(salt=b"t" * SALT_BYTES)
    one, two = sealed(), b"".join(seal(other, KEY, b"content"))
    assert chunks(one)[1][8:] != chunks(two)[1][8:]


def test_a_later_version_is_told() -> None:
    data = sealed()
    assert code_of(data[:4] + b"\0\2" + data[6:]) is Code.UNSUPPORTED
    envelope = CHEAP.envelope()
    with pytest.raises(SwarmError) as refused:
        read_envelope(envelope[:8] + b"\0\2" + envelope[10:])
    assert refused.value.code is Code.UNSUPPORTED


def test_an_envelope_tells_how_the_key_is_made() -> None:
    envelope = CHEAP.envelope()
    assert len(envelope) == ENVELOPE_BYTES
    assert read_envelope(envelope + sealed()) == CHEAP
    assert CHEAP.key("word") == read_envelope(envelope).key("word")
    assert CHEAP.key("word") != CHEAP.key("Word")
    assert CHEAP.key("word") != KeySource(b"another salt...!", log_n=4).key("word")
    with pytest.raises(SwarmError, match="protects nothing"):
        CHEAP.key("")


def test_a_new_key_costs_what_is_advised() -> None:
    source = KeySource(b"0123456789abcdef")
    assert (source.log_n, source.r, source.p) == (17, 8, 1)
    assert len(source.key("word")) == len(KEY)


@given(at=st.integers(0, ENVELOPE_BYTES - 1), flip=st.integers(1, 255))
def test_no_byte_of_an_envelope_can_be_altered(at: int, flip: int) -> None:
    data = bytearray(CHEAP.envelope())
    data[at] ^= flip
    with pytest.raises(SwarmError) as refused:
        read_envelope(bytes(data))
    assert refused.value.code in (Code.REFUSED, Code.UNSUPPORTED)


@pytest.mark.parametrize(
    "source",
    [
        KeySource(b"s" * 16, log_n=31),
        KeySource(b"s" * 16, log_n=0),
        KeySource(b"s" * 16, log_n=17, r=1 << 30),
        KeySource(b"s" * 16, log_n=17, r=0),
        KeySource(b"s" * 16, log_n=4, p=0),
        KeySource(b"s" * 16, log_n=4, p=1 << 20),
    ],
)
def test_a_file_cannot_make_its_reader_work_for_ever(source: KeySource) -> None:
    with pytest.raises(SwarmError, match="damaged"):
        read_envelope(source.envelope())


@pytest.mark.parametrize("data", [b"", b"SWARM", b"#!/bin/sh\n" * 10])
def test_something_else_is_no_backup(data: bytes) -> None:
    with pytest.raises(SwarmError, match="no backup"):
        read_envelope(data)
