"""Ends connections, so that nothing stays pinned to what is dead, nor waits for it.

A local TCP socket is aborted, so that a program that only waits for an answer hears of it too. Then
the entry in the kernel's connection table goes: a client elsewhere sends its next packet to another
backend, which refuses it. No `conntrack` program is needed.
"""

import ipaddress
import os
import socket
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TypeVar

from hostkit import netns
from overlay_net.ctnetlink import (
    DONE,
    ERROR,
    INTERRUPTED,
    TCP,
    Address,
    Ends,
    Entry,
    abort_request,
    delete_request,
    dump_request,
    entry_of,
    error_number,
    messages,
)
from overlay_net.failures import legible

T = TypeVar("T")

_NETLINK_SOCK_DIAG, _NETLINK_NETFILTER = 4, 12
_TIMEOUT = 5.0
_BUFFER = 1 << 20
_RECEIVED = 1 << 16
_BATCH = 256
_IPV4 = 4
_PASSES = 8  # of a dump that the kernel says was changed under it

# What an unspecified address stands for: every connection of the family.
_FAMILIES: tuple[Address, ...] = (ipaddress.IPv4Address(0), ipaddress.IPv6Address(0))


def cut_from(target: Path, addresses: Collection[str]) -> int:
    """Ends the connections that these addresses answer, in the namespace of a file; how many."""
    wanted = frozenset(ipaddress.ip_address(address) for address in addresses)
    if not wanted:
        return 0
    return netns.call_in(
        target, lambda: _cut(_dumps(wanted), lambda entry: entry.answered.source in wanted)
    )


def cut_where(target: Path, doomed: Callable[[Entry], bool]) -> int:
    """Ends the connections there that `doomed` names; how many. It reads the whole table."""
    return netns.call_in(target, lambda: _cut(_FAMILIES, doomed))


def _dumps(wanted: Collection[Address]) -> list[Address]:
    """By which dumps the connections of these are found: of the one address, or of whole families.

    To go through the table costs more than to hear of all connections in it, so never twice.
    Of IPv6 only whole ones: there the kernel's filter lets through what it should keep back, and
    keeps back what it should let through (seen with Linux 6.18).
    """
    found4 = [address for address in wanted if address.version == _IPV4]
    dumps = found4 if len(found4) <= 1 else [_FAMILIES[0]]
    return dumps if len(found4) == len(wanted) else [*dumps, _FAMILIES[1]]


def _cut(answering: Sequence[Address], doomed: Callable[[Entry], bool]) -> int:
    """In the namespace of the calling thread."""
    with (
        legible("the connection table"),
        _netlink(_NETLINK_NETFILTER) as table,
        _netlink(_NETLINK_SOCK_DIAG) as sockets,
    ):
        ended = 0
        for address in answering:
            for _ in range(_PASSES):
                entries, complete = _dump(table, address)
                dead = [each for each in entries if doomed(each)]
                # Sockets first: what their last packet says is then still led to the backend.
                _send(sockets, abort_request, [e for each in dead for e in _local_ends(each)])
                ended += _send(table, delete_request, dead)
                if complete:
                    break
        return ended


def _local_ends(entry: Entry) -> list[Ends]:
    """The sockets of this namespace that may be at either end; those that are not are no harm."""
    return [entry.asked, entry.answered] if entry.protocol == TCP else []


def _netlink(protocol: int) -> socket.socket:
    made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
    made.settimeout(_TIMEOUT)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
    made.bind((0, 0))
    return made


def _dump(table: socket.socket, answering: Address) -> tuple[list[Entry], bool]:
    table.send(dump_request(answering, 1))
    entries: list[Entry] = []
    complete = True
    while True:
        for kind, flags, body in messages(table.recv(_RECEIVED)):
            complete = complete and not flags & INTERRUPTED
            if kind == DONE:
                return entries, complete
            if kind != ERROR:
                entries.append(entry_of(body))
            elif number := error_number(body):
                raise OSError(number, f"reading the connection table: {os.strerror(number)}")


def _send(handle: socket.socket, request: Callable[[T, int], bytes], wanted: Sequence[T]) -> int:
    """One request for each; how many the kernel took. What has ended by itself it refuses."""
    taken = 0
    for at in range(0, len(wanted), _BATCH):
        batch = wanted[at : at + _BATCH]
        handle.send(b"".join(request(each, i) for i, each in enumerate(batch)))
        answers = 0
        while answers < len(batch):
            for _, _, body in messages(handle.recv(_RECEIVED)):
                answers += 1
                taken += error_number(body) == 0
    return taken
