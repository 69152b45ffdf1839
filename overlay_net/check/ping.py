"""Echo requests of given sizes, from inside network namespaces: which of them are answered.

Packets are never fragmented, so that a size says something of the way. Blocks for a second or two,
however many are asked.
"""

import contextlib
import os
import selectors
import socket
import struct
import time
from collections.abc import Iterable, Iterator, Sequence

from api.errors import SwarmError
from hostkit import netns
from overlay_net.check.reach import Question, Station

WAIT = 1.0
"""Seconds in which an answer counts."""
ROUNDS = 2
"""What is not answered is asked again, for one packet may be lost."""
_AT_ONCE = 64
_PAUSE = 0.005
"""So many packets go out at once, and as many seconds later as many more."""

_KINDS: dict[int, tuple[int, int]] = {
    4: (socket.AF_INET, socket.IPPROTO_ICMP),
    6: (socket.AF_INET6, socket.IPPROTO_ICMPV6),
}
_IP, _IPV6 = 0, 41  # SOL_IP, SOL_IPV6
_DISCOVER: dict[int, tuple[int, int]] = {
    4: (_IP, 10),
    6: (_IPV6, 23),
}  # IP_MTU_DISCOVER, IPV6_MTU_DISCOVER
_NEVER_FRAGMENT = 3  # IP_PMTUDISC_PROBE: by the device's MTU alone, whatever was learnt
_HEADERS = {4: 28, 6: 48}  # IP and ICMP
_ECHO = struct.Struct("!BBHHH")
_REQUEST = {4: 8, 6: 128}
_REPLY = {4: 0, 6: 129}
_LONGEST = 65_536


def ask(questions: Iterable[Question]) -> frozenset[Question]:
    """Those that were answered."""
    open_ones = list(dict.fromkeys(questions))
    heard: set[Question] = set()
    for _ in range(ROUNDS):
        heard |= _round([each for each in open_ones if each not in heard])
        if len(heard) == len(open_ones):
            break
    return frozenset(heard)


def _round(questions: Sequence[Question]) -> set[Question]:
    by_socket: dict[tuple[Station, int], dict[int, Question]] = {}
    for number, question in enumerate(questions):
        version = 6 if ":" in question.address else 4
        by_socket.setdefault((question.station, version), {})[number & 0xFFFF] = question
    heard: set[Question] = set()
    with contextlib.ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        for (station, version), asked in by_socket.items():
            with contextlib.suppress(OSError, SwarmError):  # a station that is gone hears nothing
                sock = stack.enter_context(_socket(station, version))
                selector.register(sock, selectors.EVENT_READ, (version, asked))
        ident = os.getpid() & 0xFFFF
        for count, (sock, version, number, question) in enumerate(_all(selector), 1):
            _send(sock, version, ident, number, question)
            if count % _AT_ONCE == 0:
                _listen(selector, ident, heard, _now() + _PAUSE)
        _listen(selector, ident, heard, _now() + WAIT, most=len(questions))
    return heard


def _all(
    selector: selectors.BaseSelector,
) -> Iterator[tuple[socket.socket, int, int, Question]]:
    for key in list(selector.get_map().values()):
        version, asked = key.data
        if isinstance(key.fileobj, socket.socket):
            for number, question in asked.items():
                yield key.fileobj, version, number, question


def _socket(station: Station, version: int) -> socket.socket:
    family, protocol = _KINDS[version]

    def make() -> socket.socket:
        sock = socket.socket(family, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        try:
            sock.setblocking(False)
            sock.setsockopt(*_DISCOVER[version], _NEVER_FRAGMENT)
            if station.mark:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, station.mark)
            if station.device:
                device = station.device.encode()
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device)
            if station.source:
                sock.bind((station.source, 0))
        except BaseException:
            sock.close()
            raise
        return sock

    return netns.call_in(station.namespace, make)


def _send(sock: socket.socket, version: int, ident: int, number: int, question: Question) -> None:
    head = _ECHO.pack(_REQUEST[version], 0, 0, ident, number)
    packet = head + bytes(max(0, question.size - _HEADERS[version]))
    if version == 4:  # noqa: PLR2004 - of IPv6 the kernel makes the sum
        packet = _ECHO.pack(_REQUEST[version], 0, _sum(packet), ident, number) + packet[len(head) :]
    with contextlib.suppress(OSError):  # too large for the device, or no way: not answered
        sock.sendto(packet, (question.address, 0))


def _listen(
    selector: selectors.BaseSelector,
    ident: int,
    heard: set[Question],
    until: float,
    most: int = -1,
) -> None:
    while (left := until - _now()) > 0 and len(heard) != most:
        for key, _ in selector.select(left):
            version, asked = key.data
            if isinstance(key.fileobj, socket.socket):
                heard.update(_take(key.fileobj, version, ident, asked))


def _take(
    sock: socket.socket, version: int, ident: int, asked: dict[int, Question]
) -> Iterator[Question]:
    """All answers that wait. Of IPv4 the header comes with them."""
    while True:
        try:
            data = sock.recv(_LONGEST)
        except OSError:
            return
        at = (data[0] & 0xF) * 4 if version == 4 and data else 0  # noqa: PLR2004
        if len(data) < at + _ECHO.size:
            continue
        kind, _, _, whose, number = _ECHO.unpack_from(data, at)
        size = len(data) - at - _ECHO.size + _HEADERS[version]
        question = asked.get(number)
        if kind == _REPLY[version] and whose == ident and question and question.size == size:
            yield question


def _sum(packet: bytes) -> int:
    """The internet checksum (RFC 1071)."""
    padded = packet + b"\0" * (len(packet) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _now() -> float:
    return time.monotonic()  # noqa: TID251 - the shell of questions that take seconds
