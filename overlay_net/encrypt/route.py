"""The route that keeps frames of encrypted networks off the underlay, as netlink messages. Pure.

A device that is lost takes its own route with it; this one is behind it, and leads nowhere. So the
sender hears at once that there is no way, where the default route would have led outside.
"""

import struct

from hostkit.netlink_message import CREATE, REPLACE, Answer, Message, attribute, attributes, number
from overlay_net.encrypt.ends import PREFIX
from overlay_net.fabric.addresses import RTM_DELROUTE, RTM_NEWROUTE

_ROUTE = struct.Struct("=BBBBBBBBI")  # struct rtmsg
_INET6, _MAIN, _STATIC, _UNREACHABLE = 10, 254, 4, 7
_RTA_DST, _RTA_PRIORITY = 1, 6
_LAST = 1 << 31
"""Its metric: behind whatever else leads there."""


def put_bar() -> Message:
    """Tunnel ends are unreachable; no error if they are so already."""
    return Message(RTM_NEWROUTE, CREATE | REPLACE, _body())


def drop_bar() -> Message:
    """They are no longer."""
    return Message(RTM_DELROUTE, 0, _body())


def is_bar(answer: Answer) -> bool:
    """Whether a route of a dump is this one."""
    family, length, _, _, table, _, _, kind, _ = _ROUTE.unpack_from(answer.body)
    if (family, length, table, kind) != (_INET6, PREFIX.prefixlen, _MAIN, _UNREACHABLE):
        return False
    destination = attributes(answer.body, _ROUTE.size).get(_RTA_DST)
    return destination == PREFIX.network_address.packed


def _body() -> bytes:
    head = _ROUTE.pack(_INET6, PREFIX.prefixlen, 0, 0, _MAIN, _STATIC, 0, _UNREACHABLE, 0)
    destination = attribute(_RTA_DST, PREFIX.network_address.packed)
    return head + destination + number(_RTA_PRIORITY, _LAST)
