"""The routes of published ports: by which a task's answers leave, in its namespace, and by which a
node reaches tasks, beside its own routes.
"""

import errno
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from hostkit import netns
from overlay_net.ingress import host, task
from overlay_net.ingress.host import Node
from overlay_net.ingress.task import Task

if TYPE_CHECKING:
    from pyroute2 import IPRoute

_PERMANENT = 0x80  # NUD_PERMANENT
_ON_LINK = 0x4  # RTNH_F_ONLINK: the gateway is reached though no subnet holds it


def apply(published: Task) -> None:
    """Makes them; those that are there already stay. OSError if the leg is not there."""
    netns.call_in(published.namespace, lambda: _refusing(lambda: _apply(published)))


def apply_node(node: Node) -> None:
    """Makes those of a node; those that are there already stay. OSError if its leg is not there."""
    netns.call_in(node.namespace, lambda: _refusing(lambda: _apply_node(node)))


def remove_node(node: Node) -> None:
    """Takes away what looks into its table; the routes went with the leg. OSError as above."""
    netns.call_in(node.namespace, lambda: _refusing(_remove_rules))


def _refusing(work: Callable[[], None]) -> None:
    """OSError for what the kernel refuses."""
    from pyroute2.netlink.exceptions import NetlinkError  # noqa: PLC0415 - as below

    try:
        work()
    except NetlinkError as error:
        raise OSError(error.code, str(error)) from error


def _apply_node(node: Node) -> None:
    from pyroute2 import IPRoute  # noqa: PLC0415 - as below

    with IPRoute() as route:
        leg = _device(route, node.leg, node.namespace)
        for pool in node.pools:
            family = socket.AF_INET6 if ":" in pool else socket.AF_INET
            route.route("replace", family=family, dst=pool, oif=leg, table=host.TABLE)
            _add_rule(
                route,
                family=family,
                table=host.TABLE,
                priority=host.PRIORITY,
                fwmark=host.MARK,
                fwmask=host.MARK,
            )


def _remove_rules() -> None:
    from pyroute2 import IPRoute  # noqa: PLC0415 - as below

    with IPRoute() as route:
        for family in (socket.AF_INET, socket.AF_INET6):
            for rule in route.get_rules(family=family, table=host.TABLE):
                if rule.get_attr("FRA_PRIORITY") == host.PRIORITY:
                    route.rule(
                        "del",
                        family=family,
                        table=host.TABLE,
                        priority=host.PRIORITY,
                        fwmark=host.MARK,
                        fwmask=host.MARK,
                    )


def _device(route: "IPRoute", name: str, namespace: Path) -> int:
    found = route.link_lookup(ifname=name)
    if not found:
        raise OSError(errno.ENODEV, f"no device {name} in {namespace}")
    index: int = found[0]
    return index


def _apply(published: Task) -> None:
    # Only published tasks need it, and it is 10 MB of modules.
    from pyroute2 import IPRoute  # noqa: PLC0415

    with IPRoute() as route:
        leg = _device(route, published.leg, published.namespace)
        for gateway in task.GATEWAYS:
            version6 = ":" in gateway
            if version6 and not Path("/proc/net/if_inet6").exists():
                continue
            family = socket.AF_INET6 if version6 else socket.AF_INET
            route.neigh(
                "replace",
                dst=gateway,
                lladdr=task.GATEWAY_MAC,
                ifindex=leg,
                state=_PERMANENT,
            )
            route.route(
                "replace",
                family=family,
                dst="default",
                gateway=gateway,
                oif=leg,
                table=task.TABLE,
                flags=_ON_LINK,
            )
            _add_rule(route, family=family, table=task.TABLE, priority=task.LAST_PRIORITY)
            _add_rule(
                route,
                family=family,
                table=task.TABLE,
                priority=task.MARKED_PRIORITY,
                fwmark=task.MARK,
                fwmask=task.MARK,
            )


def _add_rule(route: "IPRoute", **rule: int) -> None:
    from pyroute2.netlink.exceptions import NetlinkError  # noqa: PLC0415

    try:
        route.rule("add", **rule)
    except NetlinkError as error:
        if error.code != errno.EEXIST:
            raise
