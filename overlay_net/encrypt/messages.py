"""WireGuard in the kernel as generic netlink messages, and back. Pure: see <linux/wireguard.h> and
<linux/genetlink.h>.
"""

import ipaddress
import struct
from collections.abc import Iterable, Iterator, Sequence

from api.errors import Code, SwarmError
from hostkit.netlink_message import (
    CREATE,
    EXCLUSIVE,
    Answer,
    Message,
    attribute,
    attributes,
    listed,
    nest,
    number,
    text,
)
from overlay_net.encrypt.driver import KEEPALIVE, Change, Configured, PeerRead
from overlay_net.encrypt.picture import Endpoint, Peer

FAMILY = "wireguard"
_CONTROL = 0x10  # GENL_ID_CTRL
_GENERIC = struct.Struct("=BBxx")  # struct genlmsghdr: command, version
_GET_FAMILY = 3
_FAMILY_ID, _FAMILY_NAME = 1, 2
_VERSION = 1

_GET_DEVICE, _SET_DEVICE = 0, 1
_IFNAME, _PRIVATE_KEY, _PUBLIC_KEY, _LISTEN_PORT, _PEERS = 2, 3, 4, 6, 8
_PEER_KEY, _PEER_FLAGS, _PEER_ENDPOINT, _PEER_KEEPALIVE, _PEER_ALLOWED = 1, 3, 4, 5, 9
_REMOVE, _REPLACE_ALLOWED, _UPDATE_ONLY = 1, 2, 4
_ALLOWED_FAMILY, _ALLOWED_ADDRESS, _ALLOWED_LENGTH = 1, 2, 3

_INET, _INET6 = 2, 10
_SOCKADDR = struct.Struct("=H2s4s8x")
_SOCKADDR6 = struct.Struct("=H2s4x16s4x")
_PEERS_AT_ONCE = 200
"""All peers of a message are in one attribute, which holds 64 KiB."""

_RTM_NEWLINK = 16
_LINK = struct.Struct("=BxHiII")  # struct ifinfomsg
_IFLA_IFNAME, _IFLA_LINKINFO, _KIND = 3, 18, 1


def make_device(name: str) -> Message:
    """A device without a key, down."""
    body = _LINK.pack(0, 0, 0, 0, 0) + text(_IFLA_IFNAME, name)
    info = nest(_IFLA_LINKINFO, text(_KIND, FAMILY))
    return Message(_RTM_NEWLINK, CREATE | EXCLUSIVE, body + info)


def ask_family() -> Message:
    """For the number of WireGuard's family, which each boot may give another."""
    return Message(_CONTROL, 0, _GENERIC.pack(_GET_FAMILY, 1) + text(_FAMILY_NAME, FAMILY))


def read_family(answer: Answer) -> int:
    """That number."""
    found = attributes(answer.body, _GENERIC.size).get(_FAMILY_ID, b"")
    return int.from_bytes(found, "little" if struct.pack("=H", 1)[0] else "big")


def ask_device(family: int, name: str) -> Message:
    """For a dump of a device."""
    return Message(family, 0, _GENERIC.pack(_GET_DEVICE, _VERSION) + text(_IFNAME, name))


def read_device(answers: Iterable[Answer]) -> Configured | None:
    """What a dump tells, of which each message may hold some peers; None of one without a key."""
    key, port = b"", 0
    peers: dict[bytes, PeerRead] = {}
    for answer in answers:
        found = attributes(answer.body, _GENERIC.size)
        key = found.get(_PUBLIC_KEY, key)
        if _LISTEN_PORT in found:
            port = struct.unpack("=H", found[_LISTEN_PORT])[0]
        for _, content in listed(found.get(_PEERS, b"")):
            _read_peer(content, peers)
    return Configured(key, port, {k: each.peer() for k, each in peers.items()}) if key else None


def change(family: int, name: str, wished: Change) -> Iterator[Message]:
    """The messages that set this, in order; one may hold the private key."""
    own = b""
    if wished.own is not None:
        own += attribute(_PRIVATE_KEY, wished.own.private)
    if wished.port is not None:
        own += attribute(_LISTEN_PORT, struct.pack("=H", wished.port))
    if own:
        yield _set(family, name, own)
    peers = [*map(_put, wished.put), *(_flagged(key, _REMOVE) for key in wished.drop)]
    yield from _in_parts(family, name, peers)
    # What goes from none to some is sent at once, and what is sent needs a session.
    for seconds in (0, KEEPALIVE) if wished.wake else ():
        interval = attribute(_PEER_KEEPALIVE, struct.pack("=H", seconds))
        woken = [_flagged(key, _UPDATE_ONLY) + interval for key in wished.wake]
        yield from _in_parts(family, name, woken)


def _in_parts(family: int, name: str, peers: Sequence[bytes]) -> Iterator[Message]:
    for start in range(0, len(peers), _PEERS_AT_ONCE):
        some = (nest(0, peer) for peer in peers[start : start + _PEERS_AT_ONCE])
        yield _set(family, name, nest(_PEERS, *some))


def _set(family: int, name: str, what: bytes) -> Message:
    return Message(family, 0, _GENERIC.pack(_SET_DEVICE, _VERSION) + text(_IFNAME, name) + what)


def _put(peer: Peer) -> bytes:
    allowed = nest(
        0,
        attribute(_ALLOWED_FAMILY, struct.pack("=H", _INET6)),
        attribute(_ALLOWED_ADDRESS, ipaddress.IPv6Address(peer.address).packed),
        attribute(_ALLOWED_LENGTH, b"\x80"),
    )
    return (
        _flagged(peer.key, _REPLACE_ALLOWED)
        + attribute(_PEER_ENDPOINT, _sockaddr(peer.endpoint))
        + attribute(_PEER_KEEPALIVE, struct.pack("=H", KEEPALIVE))
        + nest(_PEER_ALLOWED, allowed)
    )


def _flagged(key: bytes, flags: int) -> bytes:
    return attribute(_PEER_KEY, key) + number(_PEER_FLAGS, flags)


def _sockaddr(endpoint: Endpoint) -> bytes:
    address, port = ipaddress.ip_address(endpoint[0]), endpoint[1].to_bytes(2, "big")
    if address.version == 4:  # noqa: PLR2004 - the family
        return _SOCKADDR.pack(_INET, port, address.packed)
    return _SOCKADDR6.pack(_INET6, port, address.packed)


def _read_peer(content: bytes, peers: dict[bytes, PeerRead]) -> None:
    """Adds what a message says of a peer, of whom an earlier one may have spoken."""
    found = attributes(content)
    key = found.get(_PEER_KEY, b"")
    peer = peers.setdefault(key, PeerRead(key))
    if endpoint := found.get(_PEER_ENDPOINT):
        peer.endpoint = _endpoint(endpoint)
    for _, allowed in listed(found.get(_PEER_ALLOWED, b"")):
        each = attributes(allowed)
        address = ipaddress.ip_address(each[_ALLOWED_ADDRESS])
        peer.allowed.append(f"{address}/{each[_ALLOWED_LENGTH][0]}")


def _endpoint(sockaddr: bytes) -> Endpoint:
    if len(sockaddr) == _SOCKADDR.size:
        _, port, address = _SOCKADDR.unpack(sockaddr)
    elif len(sockaddr) == _SOCKADDR6.size:
        _, port, address = _SOCKADDR6.unpack(sockaddr)
    else:
        raise SwarmError(Code.INTERNAL, "the kernel tells of a peer's place in unknown words")
    return str(ipaddress.ip_address(address)), int.from_bytes(port, "big")
