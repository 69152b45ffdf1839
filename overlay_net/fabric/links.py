"""Links as netlink messages, and back. Pure: see rtnetlink(7) and <linux/if_link.h>.

Packed by hand as entries are: attaching one endpoint this way takes a sixth of the CPU of a library
that knows every message.
"""

import ipaddress
import re
import struct
import sys
from dataclasses import dataclass

from hostkit.netlink_message import (
    CREATE,
    EXCLUSIVE,
    Answer,
    Message,
    attribute,
    attributes,
    flag,
    nest,
    number,
    text,
)

RTM_GETNSID = 90
RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK, RTM_SETLINK = 16, 17, 18, 19

_LINK = struct.Struct("=BxHiII")  # struct ifinfomsg: family, type, index, flags, change
_UP = 1  # IFF_UP

_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_LINK = 1, 3, 4, 5
_IFLA_MASTER, _IFLA_LINKINFO, _IFLA_AF_SPEC, _IFLA_NET_NS_FD = 10, 18, 26, 28
_IFLA_LINK_NETNSID = 37
_KIND, _DATA, _PORT_DATA = 1, 2, 5
_PORT_KIND = 4
_VXLAN_ID, _VXLAN_LOCAL, _VXLAN_LEARNING, _VXLAN_PROXY, _VXLAN_PORT = 1, 4, 7, 11, 15
_VXLAN_LOCAL6 = 17
_MACVLAN_MODE, _MACVLAN_BRIDGE = 1, 4
_BRIDGE_DELAY, _BRIDGE_SNOOPING = 1, 23
_PORT_STATE, _PORT_HAIRPIN, _PORT_ISOLATED = 1, 4, 33
_FORWARDING = b"\3"  # BR_STATE_FORWARDING
_VETH_PEER = 1
_FAR_INDEX = 100_000
_NETNSA_NSID, _NETNSA_FD = 1, 3
_ADDR_GEN_MODE, _GENERATE_NONE = 8, 1

_INET6 = 10

_EXT_MASK, _SKIP_STATISTICS = 29, 8
_ASK = _LINK.pack(0, 0, 0, 0, 0) + number(_EXT_MASK, _SKIP_STATISTICS)
"""For devices, without all that they have counted, which is half of the answer and its cost."""


@dataclass(frozen=True)
class Link:
    """A device as a dump shows it; what does not apply is empty or 0.

    `lower` is an index in the namespace that this one calls `namespace`, or here if that is None.
    """

    index: int
    name: str
    up: bool
    mac: bytes
    mtu: int
    kind: str
    lower: int  # index of the device below, or of a pair's other end
    namespace: int | None
    master: int
    vni: int
    local: str
    port: int
    isolated: bool
    forwarding: bool


def make_tunnel(name: str, vni: int, local: str, port: int, mtu: int, namespace: int) -> Message:
    """A VXLAN device that stands in `namespace` (a file descriptor), and whose packets are sent and
    received where the asking socket is. It learns nothing, floods nothing, and answers for whom it
    has entries.
    """
    address = ipaddress.ip_address(local)
    data = nest(
        _DATA,
        number(_VXLAN_ID, vni),
        attribute(_VXLAN_LOCAL if address.version == 4 else _VXLAN_LOCAL6, address.packed),  # noqa: PLR2004
        attribute(_VXLAN_PORT, struct.pack(">H", port)),
        flag(_VXLAN_LEARNING, False),
        flag(_VXLAN_PROXY, True),
    )
    return _new_link(
        text(_IFLA_IFNAME, name),
        number(_IFLA_MTU, mtu),
        number(_IFLA_NET_NS_FD, namespace),
        nest(_IFLA_LINKINFO, text(_KIND, "vxlan"), data),
    )


def make_bridge(name: str, mtu: int) -> Message:
    """A bridge that forwards at once and floods multicast."""
    data = nest(_DATA, number(_BRIDGE_DELAY, 0), flag(_BRIDGE_SNOOPING, False))
    return _new_link(
        text(_IFLA_IFNAME, name),
        number(_IFLA_MTU, mtu),
        nest(_IFLA_LINKINFO, text(_KIND, "bridge"), data),
    )


def make_macvlan(name: str, lower: int, mac: bytes, mtu: int, namespace: int) -> Message:
    """A device with an address of its own on the device of index `lower`, in `namespace`."""
    data = nest(_DATA, number(_MACVLAN_MODE, _MACVLAN_BRIDGE))
    return _new_link(
        text(_IFLA_IFNAME, name),
        attribute(_IFLA_ADDRESS, mac),
        number(_IFLA_MTU, mtu),
        number(_IFLA_LINK, lower),
        number(_IFLA_NET_NS_FD, namespace),
        nest(_IFLA_LINKINFO, text(_KIND, "macvlan"), data),
    )


def make_pair(port: str, master: int, name: str, mac: bytes, mtu: int, namespace: int) -> Message:
    """A pair of devices: `port` at the bridge of index `master`, `name` in `namespace`.

    If both ends had the same index, each in its namespace, the kernel would take the pair for
    no pair, and might wait a second before it lets anything through (linkwatch_urgent_event of
    net/core/link_watch.c). So the inner one is far from those that hosts count up to.
    """
    index = _FAR_INDEX + int(re.sub(r"\D", "", name) or 0)
    peer = _LINK.pack(0, 0, index, 0, 0) + b"".join(
        (
            text(_IFLA_IFNAME, name),
            attribute(_IFLA_ADDRESS, mac),
            number(_IFLA_MTU, mtu),
            number(_IFLA_NET_NS_FD, namespace),
        )
    )
    return _new_link(
        text(_IFLA_IFNAME, port),
        number(_IFLA_MTU, mtu),
        number(_IFLA_MASTER, master),
        nest(_IFLA_LINKINFO, text(_KIND, "veth"), nest(_DATA, nest(_VETH_PEER, peer))),
    )


def set_port(index: int, isolated: bool) -> Message:
    """How a bridge treats a port: one that is not isolated may also reach itself."""
    data = nest(_PORT_DATA, flag(_PORT_ISOLATED, isolated), flag(_PORT_HAIRPIN, not isolated))
    info = nest(_IFLA_LINKINFO, text(_PORT_KIND, "bridge"), data)
    # Attributes of a port are heeded by RTM_NEWLINK alone; it is there, so nothing is made.
    return Message(RTM_NEWLINK, 0, _LINK.pack(0, 0, index, 0, 0) + info)


def bring_up(index: int, *, link_local: bool) -> tuple[Message, ...]:
    """Up; with or without an IPv6 address that the kernel makes up."""
    up = Message(RTM_SETLINK, 0, _LINK.pack(0, 0, index, _UP, _UP))
    if link_local:
        return (up,)
    mode = nest(_INET6, flag(_ADDR_GEN_MODE, bool(_GENERATE_NONE)))
    head = _LINK.pack(0, 0, index, 0, 0)
    # Before it is up: in one message the kernel would make the address first.
    return Message(RTM_SETLINK, 0, head + nest(_IFLA_AF_SPEC, mode)), up


def set_mtu(index: int, mtu: int) -> Message:
    """Changes it, and nothing else."""
    return Message(RTM_SETLINK, 0, _LINK.pack(0, 0, index, 0, 0) + number(_IFLA_MTU, mtu))


def delete_link(index: int) -> Message:
    """The device, and what stands on it."""
    return Message(RTM_DELLINK, 0, _LINK.pack(0, 0, index, 0, 0))


def ask_link(name: str) -> Message:
    """For one device."""
    return Message(RTM_GETLINK, 0, _ASK + text(_IFLA_IFNAME, name))


def ask_links() -> Message:
    """For a dump of all devices."""
    return Message(RTM_GETLINK, 0, _ASK)


def read_index(answer: Answer) -> int:
    """Of a device's answer its number alone, by which others speak of it."""
    index: int = _LINK.unpack_from(answer.body)[2]
    return index


def read_link(answer: Answer) -> Link:
    """A device of a dump."""
    _, _, index, flags, _ = _LINK.unpack_from(answer.body)
    found = attributes(answer.body, _LINK.size)
    info = attributes(found.get(_IFLA_LINKINFO, b""))
    kind = _string(info.get(_KIND, b""))
    data = attributes(info.get(_DATA, b"")) if kind == "vxlan" else {}
    port = attributes(info.get(_PORT_DATA, b"")) if info.get(_PORT_KIND) == b"bridge\0" else {}
    local = data.get(_VXLAN_LOCAL) or data.get(_VXLAN_LOCAL6)
    return Link(
        index=index,
        name=_string(found.get(_IFLA_IFNAME, b"")),
        up=bool(flags & _UP),
        mac=found.get(_IFLA_ADDRESS, b""),
        mtu=integer(found.get(_IFLA_MTU)),
        kind=kind,
        lower=integer(found.get(_IFLA_LINK)),
        namespace=integer(found[_IFLA_LINK_NETNSID]) if _IFLA_LINK_NETNSID in found else None,
        master=integer(found.get(_IFLA_MASTER)),
        vni=integer(data.get(_VXLAN_ID)),
        local=str(ipaddress.ip_address(local)) if local else "",
        port=int.from_bytes(data.get(_VXLAN_PORT, b""), "big"),
        isolated=port.get(_PORT_ISOLATED, b"\0") != b"\0",
        forwarding=port.get(_PORT_STATE) == _FORWARDING,
    )


def ask_namespace(handle: int) -> Message:
    """How the socket's namespace calls the one of this file descriptor."""
    return Message(RTM_GETNSID, 0, b"\0" * 4 + number(_NETNSA_FD, handle))


def read_namespace(answer: Answer) -> int:
    """That name: a number, and -1 (as 32 bits) while it has none."""
    return integer(attributes(answer.body, 4).get(_NETNSA_NSID))


def _new_link(*parts: bytes) -> Message:
    return Message(RTM_NEWLINK, CREATE | EXCLUSIVE, _LINK.pack(0, 0, 0, 0, 0) + b"".join(parts))


def _string(data: bytes) -> str:
    return data.rstrip(b"\0").decode(errors="replace")


def integer(data: bytes | None) -> int:
    """An attribute of some number of bits; 0 if it is not there."""
    return int.from_bytes(data, sys.byteorder) if data else 0
