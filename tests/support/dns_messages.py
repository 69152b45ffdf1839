"""DNS messages as the tests send and read them: written apart from the code under test."""

import ipaddress
import struct
from dataclasses import dataclass

A, PTR, SOA, AAAA, SRV, OPT, ANY = 1, 12, 6, 28, 33, 41, 255


def wire(name: str) -> bytes:
    labels = [label.encode() for label in name.split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def question(
    name: str, type_: int = A, *, ident: int = 0x1234, flags: int = 0x0100, edns: int | None = None
) -> bytes:
    head = struct.pack("!HHHHHH", ident, flags, 1, 0, 0, 0 if edns is None else 1)
    tail = b"" if edns is None else struct.pack("!BHHIH", 0, OPT, edns, 0, 0)
    return head + wire(name) + struct.pack("!HH", type_, 1) + tail


@dataclass(frozen=True)
class Record:
    owner: str
    type: int
    ttl: int
    data: bytes


@dataclass(frozen=True)
class Message:
    ident: int
    flags: int
    name: str
    answers: list[Record]
    authority: list[Record]
    additional: list[Record]

    @property
    def rcode(self) -> int:
        return self.flags & 0xF

    @property
    def truncated(self) -> bool:
        return bool(self.flags & 0x0200)

    def addresses(self) -> list[str]:
        return [str(ipaddress.ip_address(r.data)) for r in self.answers if r.type in {A, AAAA}]

    def targets(self) -> list[str]:
        """Of PTR and SRV records; the latter with their port."""
        found = []
        for each in self.answers:
            if each.type == SRV:
                port = struct.unpack_from("!H", each.data, 4)[0]
                found.append(f"{_name(each.data, 6)[0]}:{port}")
            else:
                found.append(_name(each.data, 0)[0])
        return found


def read(data: bytes) -> Message:
    ident, flags, questions, *counts = struct.unpack_from("!HHHHHH", data)
    at, name = 12, ""
    if questions:
        name, at = _name(data, at)
        at += 4
    sections: list[list[Record]] = []
    for count in counts:
        section = []
        for _ in range(count):
            owner, at = _name(data, at)
            type_, _klass, ttl, length = struct.unpack_from("!HHIH", data, at)
            at += 10
            section.append(Record(owner, type_, ttl, data[at : at + length]))
            at += length
        sections.append(section)
    assert at == len(data), "bytes behind the end"
    return Message(ident, flags, name, *sections)


def record(name: str, type_: int, ttl: int, data: bytes) -> bytes:
    return wire(name) + struct.pack("!HHIH", type_, 1, ttl, len(data)) + data


def soa(name: str, ttl: int, minimum: int) -> bytes:
    return record(name, SOA, ttl, b"\0\0" + struct.pack("!IIIII", 1, 2, 3, 4, minimum))


def answer(
    asked: bytes,
    answers: list[bytes],
    *,
    rcode: int = 0,
    authority: list[bytes] | None = None,
    flags: int = 0x8180,
) -> bytes:
    """The answer that another name server would give to the message `asked`, without EDNS."""
    authority = authority or []
    end = asked.index(0, 12) + 5
    head = struct.pack("!HHHHH", flags | rcode, 1, len(answers), len(authority), 0)
    return asked[:2] + head + asked[12:end] + b"".join(answers) + b"".join(authority)


def _name(data: bytes, at: int) -> tuple[str, int]:
    labels: list[str] = []
    behind = 0
    while data[at]:
        if data[at] >= 0xC0:
            behind = behind or at + 2
            at = struct.unpack_from("!H", data, at)[0] & 0x3FFF
            continue
        labels.append(data[at + 1 : at + 1 + data[at]].decode())
        at += 1 + data[at]
    return ".".join(labels), behind or at + 1
