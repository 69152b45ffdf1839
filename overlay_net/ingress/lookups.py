"""Routes and rules of tables of their own as netlink messages. Pure.

See rtnetlink(7) and <linux/fib_rules.h>.
"""

import ipaddress
import struct

from hostkit.netlink_message import CREATE, EXCLUSIVE, REPLACE, Message, attribute, number

_NEW_ROUTE, _NEW_RULE, _DELETE_RULE = 24, 32, 33  # RTM_*
_HEAD = struct.Struct("=BBBBBBBBI")  # struct rtmsg; struct fib_rule_hdr is laid out the same
_STATIC, _UNICAST, _TO_TABLE = 4, 1, 1
_ANYWHERE, _LINK = 0, 253  # scopes
_ON_LINK = 0x4  # RTNH_F_ONLINK: the gateway is reached though no subnet holds it
_DESTINATION, _DEVICE, _GATEWAY, _TABLE = 1, 4, 5, 15  # RTA_*, and FRA_TABLE
_PRIORITY, _MARK, _MASK = 6, 10, 16  # FRA_*


def subnet(to: str, device: int, table: int) -> Message:
    """The route to a subnet at a device, instead of another one."""
    wanted = ipaddress.ip_network(to)
    head = _route(wanted.version, wanted.prefixlen, _LINK, 0)
    parts = attribute(_DESTINATION, wanted.network_address.packed)
    return Message(_NEW_ROUTE, CREATE | REPLACE, head + parts + _where(device, table))


def default(gateway: str, device: int, table: int) -> Message:
    """The default route by a gateway that is in no subnet, instead of another one."""
    wanted = ipaddress.ip_address(gateway)
    head = _route(wanted.version, 0, _ANYWHERE, _ON_LINK)
    parts = attribute(_GATEWAY, wanted.packed)
    return Message(_NEW_ROUTE, CREATE | REPLACE, head + parts + _where(device, table))


def rule(family: int, priority: int, table: int, mark: int = 0) -> Message:
    """That a table is looked into, for what has this bit in its mark; EEXIST if it is there."""
    return Message(_NEW_RULE, CREATE | EXCLUSIVE, _rule(family, priority, table, mark))


def no_rule(family: int, priority: int, table: int, mark: int = 0) -> Message:
    """Takes such a rule away; ENOENT if there is none."""
    return Message(_DELETE_RULE, 0, _rule(family, priority, table, mark))


def _route(version: int, length: int, scope: int, flags: int) -> bytes:
    family = {4: 2, 6: 10}[version]  # AF_INET, AF_INET6
    return _HEAD.pack(family, length, 0, 0, 0, _STATIC, scope, _UNICAST, flags)


def _where(device: int, table: int) -> bytes:
    return number(_DEVICE, device) + number(_TABLE, table)


def _rule(family: int, priority: int, table: int, mark: int) -> bytes:
    head = _HEAD.pack(family, 0, 0, 0, 0, 0, 0, _TO_TABLE, 0)
    marked = number(_MARK, mark) + number(_MASK, mark) if mark else b""
    return head + number(_PRIORITY, priority) + number(_TABLE, table) + marked
