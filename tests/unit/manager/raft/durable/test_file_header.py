"""Headers say whose a file is and how it is sealed; unknown formats are named, not guessed at."""

import struct

import pytest
from isal.isal_zlib import crc32

from api.errors import Code, SwarmError
from manager.raft.durable import file_header
from manager.raft.durable.file_header import Owner

MAGIC = b"SWARMWAL"
OWNER = Owner("cluster", "node")


def patched(at: int, value: bytes) -> bytes:
    """A header with some bytes replaced and its checksum put right."""
    head = bytearray(file_header.begin(MAGIC, OWNER, b"about", None)[0][:-4])
    head[at : at + len(value)] = value
    return bytes(head) + struct.pack(">I", crc32(bytes(head)))


def test_a_header_comes_back() -> None:
    data, begun = file_header.begin(MAGIC, OWNER, b"about", None)
    decoded = file_header.decode("f", data + b"more", MAGIC, OWNER, None)
    assert (decoded.about, decoded.length) == (b"about", len(data))
    assert (decoded.context, decoded.checksum) == (begun.context, begun.checksum)


@pytest.mark.parametrize(
    ("data", "code", "why"),
    [
        (b"", Code.INTERNAL, "it does not begin with a header"),
        (patched(0, b"X"), Code.INTERNAL, "it does not begin with a header"),
        (patched(0, b"")[:-1], Code.INTERNAL, "its header has an impossible length"),
        (patched(14, bytes(4)), Code.INTERNAL, "its header has an impossible length"),
        (patched(0, b"")[:-1] + b"?", Code.INTERNAL, "the checksum of its header is wrong"),
        (patched(18, b"\x00\xff"), Code.INTERNAL, "its header is not laid out"),
        (patched(8, b"\x00\x02"), Code.UNSUPPORTED, "format version 2 is not known"),
        (patched(10, b"\x00\x02"), Code.UNSUPPORTED, "flags 0x2 is not known"),
        (patched(12, b"\x02"), Code.UNSUPPORTED, "checksum algorithm 2 is not known"),
        (patched(20, b"C"), Code.REFUSED, "belongs to another cluster"),
    ],
)
def test_what_is_no_header_of_ours_is_refused(data: bytes, code: Code, why: str) -> None:
    with pytest.raises(SwarmError, match=why) as caught:
        file_header.decode("f", data, MAGIC, OWNER, None)
    assert caught.value.code == code
