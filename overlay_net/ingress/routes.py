"""The routes of published ports: by which a task's answers leave, in its namespace, and by which a
node reaches tasks, beside its own routes.
"""

import errno
import socket
from collections.abc import Sequence
from pathlib import Path

from hostkit import netns
from hostkit.netlink import Netlink, is_missing
from hostkit.netlink_message import Message
from overlay_net.fabric import bulk
from overlay_net.fabric.hardware import packed
from overlay_net.ingress import host, lookups, task
from overlay_net.ingress.host import Node
from overlay_net.ingress.task import Task

_FAMILIES = (socket.AF_INET, socket.AF_INET6)
_GATEWAY_MAC = bytes.fromhex(task.GATEWAY_MAC.replace(":", ""))


def apply(published: Task) -> None:
    """Makes them; those that are there already stay. OSError if the leg is not there."""
    leg, families = netns.call_in(published.namespace, lambda: _ground(published.leg))
    rules: list[Message] = []
    ways: list[Message] = []
    for gateway in task.GATEWAYS:
        family = _family(gateway)
        if family in families:
            ways += bulk.put(leg, {packed(gateway): _GATEWAY_MAC})
            ways.append(lookups.default(gateway, leg, task.TABLE))
            rules.append(lookups.rule(family, task.LAST_PRIORITY, task.TABLE))
            rules.append(lookups.rule(family, task.MARKED_PRIORITY, task.TABLE, task.MARK))
    _make(published.namespace, ways, rules)


def apply_node(node: Node) -> None:
    """Makes those of a node; those that are there already stay. OSError if its leg is not there."""
    if not node.leg:
        return
    leg, _ = netns.call_in(node.namespace, lambda: _ground(node.leg))
    ways = [lookups.subnet(pool, leg, host.TABLE) for pool in node.pools]
    families = sorted({_family(pool) for pool in node.pools})
    _make(node.namespace, ways, [lookups.rule(*_node_rule(family)) for family in families])


def remove_node(node: Node) -> None:
    """Takes away what looks into its table; the routes went with the leg."""
    with Netlink.inside(node.namespace) as netlink:
        for refusal in netlink.send([lookups.no_rule(*_node_rule(f)) for f in _FAMILIES]):
            if not is_missing(refusal.error()) and refusal.number != errno.EAFNOSUPPORT:
                raise refusal.error()


def _node_rule(family: int) -> tuple[int, int, int, int]:
    return family, host.PRIORITY, host.TABLE, host.MARK


def _make(namespace: Path, ways: Sequence[Message], rules: Sequence[Message]) -> None:
    with Netlink.inside(namespace) as netlink:
        netlink.ask(*ways)
        for refusal in netlink.send(rules):
            if refusal.number != errno.EEXIST:
                raise refusal.error()


def _ground(leg: str) -> tuple[int, tuple[int, ...]]:
    """The index of a device, and the families that there are, in the namespace of this thread."""
    six = Path("/proc/thread-self/net/if_inet6").exists()
    try:
        return socket.if_nametoindex(leg), _FAMILIES if six else _FAMILIES[:1]
    except OSError as error:
        raise OSError(errno.ENODEV, f"no device {leg} in this network namespace") from error


def _family(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET
