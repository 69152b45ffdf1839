"""The network of a lab: one bridge in a namespace of its own, one veth per host.

Nothing of it is ever in the machine's own network namespace. A host's link ends in `eth0` inside
the host and in a port of the host's name at the bridge. All calls block for some milliseconds.
"""

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from api.errors import Code, SwarmError
from hostkit import netns
from machine.drivers.lab import naming

T = TypeVar("T")

_BRIDGE = "br0"
_BRIDGE_FILTER = Path("/proc/sys/net/bridge")
_PREFIX = 24
_FORWARDING = 3  # BR_STATE_FORWARDING of <linux/if_bridge.h>
_CARRIER_STEP = 0.02
_CARRIER_STEPS = 250


def make_bridge(lab: str, subnet: int) -> None:
    """The lab's namespace with its bridge; found whole, it stays, found half-made, it is redone."""
    name = naming.bridge_namespace(lab)
    if netns.exists(name):
        if _ports(lab).get(_BRIDGE):
            return
        netns.delete(name)
    netns.create(name)

    def build(link: IPRoute) -> None:
        # Up last: a bridge that is up tells the next caller that it is whole.
        link.link("set", index=_index(link, "lo"), state="up")
        link.link("add", ifname=_BRIDGE, kind="bridge", br_mcast_snooping=0, br_forward_delay=0)
        bridge = _index(link, _BRIDGE)
        link.addr("add", index=bridge, address=naming.bridge_address(subnet), prefixlen=_PREFIX)
        _unfilter()
        link.link("set", index=bridge, state="up")

    _inside(name, build, f"making the bridge of lab {lab}")


def remove_bridge(lab: str) -> None:
    """The lab's namespace and all links with it; a missing one is no error."""
    netns.delete(naming.bridge_namespace(lab))


def is_there(lab: str) -> bool:
    """Whether the lab has its namespace, whole."""
    try:
        netns.call_in(netns.path(naming.bridge_namespace(lab)), lambda: None)
    except SwarmError:
        return False
    return True


def plug(lab: str, host: str, namespace: str, address: str) -> None:
    """A host's fresh namespace and its link to the bridge. What was left of an old one goes."""
    unplug(lab, host, namespace)
    netns.create(namespace)
    handle = os.open(netns.path(namespace), os.O_RDONLY | os.O_CLOEXEC)
    try:

        def at_bridge(link: IPRoute) -> None:
            peer = {
                "ifname": "eth0",
                "net_ns_fd": handle,
                "address": naming.hardware_address(address),
            }
            link.link("add", ifname=host, kind="veth", peer=peer)
            link.link("set", index=_index(link, host), master=_index(link, _BRIDGE), state="up")

        _inside(naming.bridge_namespace(lab), at_bridge, f"plugging in {host}")
    finally:
        os.close(handle)

    def at_host(link: IPRoute) -> None:
        link.link("set", index=_index(link, "lo"), state="up")
        own = _index(link, "eth0")
        link.addr("add", index=own, address=address, prefixlen=_PREFIX)
        link.link("set", index=own, state="up")

    _inside(namespace, at_host, f"giving {host} its address")
    _wait_for_carrier(lab, host)


def unplug(lab: str, host: str, namespace: str) -> None:
    """Delete a host's link and namespace; missing ones are no error."""
    bridge = naming.bridge_namespace(lab)
    if netns.exists(bridge):

        def at_bridge(link: IPRoute) -> None:
            for index in link.link_lookup(ifname=host):
                link.link("del", index=index)

        _inside(bridge, at_bridge, f"unplugging {host}")
    netns.delete(namespace)


def plugged(lab: str) -> set[str]:
    """The hosts that have a link."""
    if not netns.exists(naming.bridge_namespace(lab)):
        return set()
    return set(_ports(lab)) - {_BRIDGE, "lo"}


def _wait_for_carrier(lab: str, host: str) -> None:
    """The kernel may take a second to see that both ends are up, and forwards nothing before."""

    def forwards(link: IPRoute) -> bool:
        (port,) = link.get_links(_index(link, host))
        data = port.get_nested("IFLA_LINKINFO", "IFLA_INFO_SLAVE_DATA")
        return bool(data.get_attr("IFLA_BRPORT_STATE") == _FORWARDING)

    for _ in range(_CARRIER_STEPS):
        if _inside(naming.bridge_namespace(lab), forwards, f"looking at the link of {host}"):
            return
        time.sleep(_CARRIER_STEP)
    raise SwarmError(Code.DEADLINE, f"the link of {host} does not come up")


def _ports(lab: str) -> dict[str, bool]:
    def look(link: IPRoute) -> dict[str, bool]:
        return {
            each.get_attr("IFLA_IFNAME"): bool(each["flags"] & 1)  # IFF_UP
            for each in link.get_links()
        }

    return _inside(naming.bridge_namespace(lab), look, f"looking at the links of lab {lab}")


def _unfilter() -> None:
    """Bridged frames must not take the detour through iptables and connection tracking."""
    for name in ("iptables", "ip6tables", "arptables"):
        with contextlib.suppress(FileNotFoundError):  # br_netfilter is not there
            (_BRIDGE_FILTER / f"bridge-nf-call-{name}").write_text("0", encoding="ascii")


def _index(link: IPRoute, name: str) -> int:
    return int(link.link_lookup(ifname=name)[0])


def _inside(namespace: str, work: Callable[[IPRoute], T], doing: str) -> T:
    """`work` with a netlink socket of that namespace, in a thread that is in it."""

    def body() -> T:
        with IPRoute() as link:
            return work(link)

    try:
        return netns.call_in(netns.path(namespace), body)
    except NetlinkError as error:
        raise SwarmError(Code.INTERNAL, f"{doing} failed", why=str(error)) from error
