"""Ports for servers under test that are told theirs, most of them managers on loopback."""

import itertools
import os
import socket

_FIRST, _COUNT = 15_000, 8_000
"""Pairs below the ports that the kernel gives to outgoing connections (32768 and up), one of which
could take a port between our look and the server's bind.
"""
# Each process looks in a place of its own, and never twice at the same.
_pairs = itertools.count(os.getpid() * 61)
_ours: list[socket.socket] = []


def free_pair(host: str = "127.0.0.1") -> int:
    """A port that is free together with the one after it: a manager listens on both.

    No other process gets it while this one lives, be it that nobody listens on it for a time.
    """
    for _ in range(_COUNT):
        port = _FIRST + 2 * (next(_pairs) % _COUNT)
        if not _claimed(port):
            continue
        with socket.socket() as first, socket.socket() as second:
            try:
                first.bind((host, port))
                second.bind((host, port + 1))
            except OSError:
                continue
            return port
    raise AssertionError("no two ports in a row are free")


def _claimed(port: int) -> bool:
    """Whether it is ours from now on: by a name that one socket at a time may have."""
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        claim.bind(f"\0swarm-test-port-{port}")
    except OSError:
        claim.close()
        return False
    _ours.append(claim)
    return True
