"""What passes a bridge between hosts: a socket that hears all of it."""

import socket
from dataclasses import dataclass

from hostkit import netns

_ALL = 3  # ETH_P_ALL
_SO_RCVBUFFORCE = 33
_ETHERNET, _UDP_HEADER = 14, 8
_IPV4, _UDP = b"\x08\x00", 17
VXLAN, WIREGUARD = 4789, 51820


@dataclass(frozen=True)
class Datagram:
    """Over IPv4."""

    port: int  # where it is sent to
    content: bytes

    @property
    def vni(self) -> int:
        """The number of the network, of a frame in a tunnel; 0 of all else."""
        return int.from_bytes(self.content[4:7], "big") if self.port == VXLAN else 0


class Wire:
    """All frames that pass the bridge in a namespace of this name, from now on."""

    def __init__(self, namespace: str) -> None:
        self._socket = netns.call_in(netns.path(namespace), _listener)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 1 << 25)
        self._socket.setblocking(False)

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def frames(self) -> list[bytes]:
        """Those that passed since it was last asked."""
        found = []
        while True:
            try:
                found.append(self._socket.recv(1 << 16))
            except BlockingIOError:
                return found

    def ports(self) -> set[int]:
        """Where datagrams that passed since it was last asked were sent to."""
        return {each.port for frame in self.frames() if (each := datagram(frame))}


def datagram(frame: bytes) -> Datagram | None:
    """The one in a frame; None if there is none."""
    if frame[12:14] != _IPV4 or frame[23] != _UDP:
        return None
    start = _ETHERNET + (frame[_ETHERNET] & 15) * 4
    port = int.from_bytes(frame[start + 2 : start + 4], "big")
    return Datagram(port, frame[start + _UDP_HEADER :])


def _listener() -> socket.socket:
    return socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL))
