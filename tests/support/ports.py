"""Ports of loopback for managers under test."""

import socket


def free_pair() -> int:
    """A port that is free together with the one after it: a manager listens on both."""
    for _ in range(100):
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port
    raise AssertionError("no two ports in a row are free")
