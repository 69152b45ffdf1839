"""The routes by which a published task's answers leave, made in its namespace."""

import errno
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from hostkit import netns
from overlay_net.ingress import task
from overlay_net.ingress.task import Task

if TYPE_CHECKING:
    from pyroute2 import IPRoute

_PERMANENT = 0x80  # NUD_PERMANENT
_ON_LINK = 0x4  # RTNH_F_ONLINK: the gateway is reached though no subnet holds it


def apply(published: Task) -> None:
    """Makes them; those that are there already stay. OSError if the leg is not there."""
    netns.call_in(published.namespace, lambda: _apply(published))


def _apply(published: Task) -> None:
    # Only published tasks need it, and it is 10 MB of modules.
    from pyroute2 import IPRoute  # noqa: PLC0415

    with IPRoute() as route:
        found = route.link_lookup(ifname=published.leg)
        if not found:
            raise OSError(errno.ENODEV, f"no device {published.leg} in {published.namespace}")
        for gateway in task.GATEWAYS:
            version6 = ":" in gateway
            if version6 and not Path("/proc/net/if_inet6").exists():
                continue
            family = socket.AF_INET6 if version6 else socket.AF_INET
            route.neigh(
                "replace",
                dst=gateway,
                lladdr=task.GATEWAY_MAC,
                ifindex=found[0],
                state=_PERMANENT,
            )
            route.route(
                "replace",
                family=family,
                dst="default",
                gateway=gateway,
                oif=found[0],
                table=task.TABLE,
                flags=_ON_LINK,
            )
            _add_rule(route, family=family, priority=task.LAST_PRIORITY)
            _add_rule(
                route,
                family=family,
                priority=task.MARKED_PRIORITY,
                fwmark=task.MARK,
                fwmask=task.MARK,
            )


def _add_rule(route: "IPRoute", **rule: int) -> None:
    from pyroute2.netlink.exceptions import NetlinkError  # noqa: PLC0415

    try:
        route.rule("add", table=task.TABLE, **rule)
    except NetlinkError as error:
        if error.code != errno.EEXIST:
            raise
