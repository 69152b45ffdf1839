"""Counts the bytes of datagrams that come to the socket on standard input, until none come.

    python sink.py < SOCKET

Says `ready` first, and at the end how many bytes there were.
"""

import socket
import struct
import sys

_SILENCE = struct.pack("ll", 0, 300_000)  # struct timeval: s, us


def main() -> None:
    """The whole program."""
    with socket.socket(fileno=0) as target:
        target.recv(1 << 16)  # the sender's first word
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        received = len(target.recv(1 << 16))
        target.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _SILENCE)
        buffer = bytearray(1 << 16)
        take = target.recv_into
        try:
            while True:
                received += take(buffer)
        except BlockingIOError:
            sys.stdout.write(f"{received}\n")


if __name__ == "__main__":
    main()
