"""Gives ssh a connection that dies with it: its ProxyCommand, with ProxyUseFdpass.

    connect.py HOST PORT

A socket outlives its process: what it has not sent yet is sent by the kernel, for minutes if the
peer cannot be reached, and a network that heals would carry a write to the storage long after the
lease is over. With SO_LINGER at zero the kernel throws it away the moment ssh is dead. Runs on the
standard library alone.
"""

import array
import socket
import struct
import sys

_TIMEOUT = 10.0
_UNANSWERED = 10_000
"""Milliseconds after which a peer that acknowledges nothing counts as lost (TCP_USER_TIMEOUT)."""


def main() -> int:
    """The whole program; see the module."""
    host, port = sys.argv[1], int(sys.argv[2])
    try:
        connection = socket.create_connection((host, port), _TIMEOUT)
    except OSError as error:
        sys.stderr.write(f"{host} port {port}: {error.strerror or error}\n")
        return 1
    connection.settimeout(None)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNANSWERED)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    rights = array.array("i", [connection.fileno()]).tobytes()
    with socket.socket(fileno=1) as ssh:
        ssh.sendmsg([b"\0"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
    return 0


if __name__ == "__main__":
    sys.exit(main())
