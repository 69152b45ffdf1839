"""Answers of the kernel as it writes them, by hand, and a socket that gives them."""

import struct

from hostkit.netlink_message import attribute, nest, number

_DONE, ERROR = 3, 2


def packed(kind: int, *bodies: bytes, sequence: int = 1) -> bytes:
    """What one receive brings: messages of a kind, and that there are no more."""
    end = struct.pack("=IHHIIi", 20, _DONE, 2, sequence, 0, 0)
    padded = [body + bytes(-len(body) % 4) for body in bodies]
    heads = [struct.pack("=IHHII", 16 + len(each), kind, 2, sequence, 0) for each in padded]
    return b"".join(head + body for head, body in zip(heads, padded, strict=True)) + end


_VXLAN = nest(
    18,
    attribute(1, b"vxlan\0"),
    nest(2, number(1, 4097), attribute(4, bytes([10, 0, 0, 1])), attribute(15, b"\x12\xb5")),
)
_PORT = nest(18, attribute(4, b"bridge\0"), nest(5, attribute(1, b"\3"), attribute(33, b"\1")))
_NAMED = struct.pack("=BxHiII", 0, 1, 7, 1, 0) + attribute(3, b"vx4097\0") + attribute(1, bytes(6))
LINKS = packed(16, _NAMED + number(4, 1450) + _VXLAN, _NAMED + number(37, 1) + _PORT)
ADDRESSES = packed(20, struct.pack("=BBBBi", 2, 24, 0, 0, 7) + attribute(2, bytes([10, 0, 1, 2])))
_WAY = struct.pack("=BBBBBBBBI", 2, 24, 0, 0, 254, 3, 0, 1, 0)
ROUTES = packed(24, _WAY + attribute(1, bytes([10, 0, 1, 0])) + attribute(5, bytes([10, 0, 1, 1])))
_PLACE = attribute(1, bytes([10, 9, 0, 1])) + attribute(2, bytes(6))
NEIGHBOURS = packed(28, struct.pack("=BxxxiHBB", 7, 7, 0x80, 2, 0) + _PLACE)
REFUSED = packed(ERROR, struct.pack("=iIHHII", -2, 16, 0, 0, 1, 0) + attribute(1, b"no such\0"))
# A connection from 10.0.1.10:40000 to 10.0.1.2:80 that 10.0.1.11 answers, with mark 7.
DUMPED = bytes.fromhex(
    "02000000"
    "34000180" "14000180" "08000100" "0a00010a" "08000200" "0a000102"
    "1c000280" "05000100" "06000000" "06000200" "9c400000" "06000300" "00500000"
    "34000280" "14000180" "08000100" "0a00010b" "08000200" "0a00010a"
    "1c000280" "05000100" "06000000" "06000200" "00500000" "06000300" "9c400000"
    "08000800" "00000007"
    "08000c00" "12345678"
)  # fmt: skip
CONNECTIONS = packed(0x100, DUMPED, DUMPED)


class Kernel:
    """A socket's other end, which says what it was told to, once."""

    def __init__(self, *says: bytes) -> None:
        self._says = list(says)

    def recv(self, _size: int) -> bytes:
        if not self._says:
            raise TimeoutError
        return self._says.pop(0)

    def send(self, data: bytes) -> int:
        return len(data)

    def settimeout(self, _seconds: float) -> None: ...
    def setsockopt(self, *_: object) -> None: ...
    def bind(self, _address: object) -> None: ...
