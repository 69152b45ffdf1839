"""Asks the name server of a container, from within its network namespace, as its programs do.

Blocks for a second at most, however many names are asked.
"""

import contextlib
import ipaddress
import select
import socket
import struct
import time
from collections.abc import Sequence
from pathlib import Path

from hostkit import netns
from overlay_net.dns import message
from overlay_net.dns.names import encode
from overlay_net.dns.resolv import SERVER

WAIT = 1.0
_PORT = 53
_AT_ONCE = 32
_HEAD = struct.Struct("!HHHHHH")
_RECURSE = 0x0100
_PLAIN = struct.pack("!HH", message.A, message.IN)
_LONGEST = 65_536


def ask(inside: Path, names: Sequence[str]) -> dict[str, frozenset[str]]:
    """The IPv4 addresses of each name; names that nothing was answered to are left out."""

    def make() -> socket.socket:
        return socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)

    found: dict[str, frozenset[str]] = {}
    with netns.call_in(inside, make) as sock:
        sock.setblocking(False)
        for start in range(0, len(names), _AT_ONCE):
            asked = dict(enumerate(names[start : start + _AT_ONCE], start))
            for number, name in asked.items():
                _send(sock, number, name)
            _take(sock, asked, found)
    return found


def _send(sock: socket.socket, number: int, name: str) -> None:
    wire = encode(name)
    if wire is None:
        return
    head = _HEAD.pack(number & 0xFFFF, _RECURSE, 1, 0, 0, 0)
    with contextlib.suppress(OSError):  # not answered, then
        sock.sendto(head + wire + b"\0" + _PLAIN, (SERVER, _PORT))


def _take(sock: socket.socket, asked: dict[int, str], found: dict[str, frozenset[str]]) -> None:
    waiting = set(asked)
    until = _now() + WAIT
    while waiting and (left := until - _now()) > 0:
        if not select.select([sock], [], [], left)[0]:
            return
        try:
            data = sock.recv(_LONGEST)
        except OSError:  # refused: nobody listens there
            continue
        if len(data) < _HEAD.size:
            continue
        number = next((each for each in waiting if each & 0xFFFF == data[0] << 8 | data[1]), None)
        if number is not None:
            waiting.discard(number)
            found[asked[number]] = _addresses(data)


def _addresses(data: bytes) -> frozenset[str]:
    _, _, questions, answers, _, _ = _HEAD.unpack_from(data)
    try:
        at = _HEAD.size
        for _ in range(questions):
            at = message.name_end(data, at) + 1 + len(_PLAIN)
        return frozenset(
            str(ipaddress.IPv4Address(data[each.data : each.end]))
            for each in message.records(data, at, answers)
            if each.type == message.A
        )
    except (message.MessageError, ValueError):
        return frozenset()


def _now() -> float:
    return time.monotonic()  # noqa: TID251 - the shell of questions that take a second
