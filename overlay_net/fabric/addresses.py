"""Addresses and default routes as netlink messages, and back. Pure: see rtnetlink(7)."""

import ipaddress
import struct
from dataclasses import dataclass

from hostkit.netlink_message import CREATE, REPLACE, Answer, Message, attribute, attributes, number
from overlay_net.fabric.links import integer

RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26

_ADDRESS = struct.Struct("=BBBBi")  # struct ifaddrmsg: family, prefix, flags, scope, index
_ROUTE = struct.Struct("=BBBBBBBBI")  # struct rtmsg

_IFA_ADDRESS, _IFA_LOCAL, _IFA_FLAGS = 1, 2, 8
_NO_DETECTION = 0x02  # IFA_F_NODAD: who may use an address is decided before it is given
_LINK_SCOPE = 253

_RTA_DST, _RTA_OIF, _RTA_GATEWAY = 1, 4, 5
_MAIN, _STATIC, _UNICAST, _LOCAL = 254, 4, 1, 2

_FAMILIES = {4: 2, 6: 10}  # AF_INET, AF_INET6
_INET6 = 10


def put_address(index: int, address: str) -> Message:
    """Gives a device an address with prefix length; none that it has is an error."""
    return Message(RTM_NEWADDR, CREATE | REPLACE, _address(index, address))


def drop_address(index: int, address: str) -> Message:
    """Takes it away."""
    return Message(RTM_DELADDR, 0, _address(index, address))


def ask_addresses() -> Message:
    """For a dump of all addresses."""
    return Message(RTM_GETADDR, 0, _ADDRESS.pack(0, 0, 0, 0, 0))


def read_address(answer: Answer) -> tuple[int, str] | None:
    """Index of the device and address with prefix length; None for those the kernel makes up."""
    _, prefix, _, scope, index = _ADDRESS.unpack_from(answer.body)
    found = attributes(answer.body, _ADDRESS.size)
    packed = found.get(_IFA_LOCAL) or found.get(_IFA_ADDRESS)
    if not packed or scope == _LINK_SCOPE:
        return None
    return index, f"{ipaddress.ip_address(packed)}/{prefix}"


def ask_route_to(address: str) -> Message:
    """How the kernel would reach an address, with or without prefix length."""
    ip = ipaddress.ip_interface(address).ip
    head = _ROUTE.pack(_FAMILIES[ip.version], ip.max_prefixlen, 0, 0, 0, 0, 0, 0, 0)
    return Message(RTM_GETROUTE, 0, head + attribute(_RTA_DST, ip.packed))


def is_own(answer: Answer) -> bool:
    """Whether the answer to that is: here."""
    return int(_ROUTE.unpack_from(answer.body)[7]) == _LOCAL


def put_default(gateway: str) -> Message:
    """The default route by this gateway, instead of any other."""
    return Message(RTM_NEWROUTE, CREATE | REPLACE, _default(gateway))


def drop_default(gateway: str) -> Message:
    """Takes the default route by this gateway away."""
    return Message(RTM_DELROUTE, 0, _default(gateway))


def ask_routes() -> Message:
    """For a dump of all routes."""
    return Message(RTM_GETROUTE, 0, _ROUTE.pack(0, 0, 0, 0, 0, 0, 0, 0, 0))


@dataclass(frozen=True)
class Route:
    """A unicast route of the main table: to a subnet, or by default, perhaps by a gateway."""

    to: str
    gateway: str
    device: int


def read_route(answer: Answer) -> Route | None:
    """A route of a dump; None for those of other tables and kinds."""
    family, length, _, _, table, _, _, kind, _ = _ROUTE.unpack_from(answer.body)
    if table != _MAIN or kind != _UNICAST or family not in _FAMILIES.values():
        return None
    found = attributes(answer.body, _ROUTE.size)
    nothing = bytes(16 if family == _INET6 else 4)
    gateway = found.get(_RTA_GATEWAY)
    return Route(
        to=f"{ipaddress.ip_address(found.get(_RTA_DST, nothing))}/{length}",
        gateway=str(ipaddress.ip_address(gateway)) if gateway else "",
        device=integer(found.get(_RTA_OIF)),
    )


def _address(index: int, text_form: str) -> bytes:
    interface = ipaddress.ip_interface(text_form)
    head = _ADDRESS.pack(_FAMILIES[interface.version], interface.network.prefixlen, 0, 0, index)
    packed = interface.ip.packed
    return (
        head
        + attribute(_IFA_LOCAL, packed)
        + attribute(_IFA_ADDRESS, packed)
        + number(_IFA_FLAGS, _NO_DETECTION)
    )


def _default(gateway: str) -> bytes:
    address = ipaddress.ip_address(gateway)
    head = _ROUTE.pack(_FAMILIES[address.version], 0, 0, 0, _MAIN, _STATIC, 0, _UNICAST, 0)
    return head + attribute(_RTA_GATEWAY, address.packed)
