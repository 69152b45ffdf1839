"""The fabric of one host: makes it what it ought to be, and knows what it made. A thin shell.

Nothing of the fabric ends with the daemon: links, entries and flows stay, and the next start reads
them back and changes only what differs. Calls block for milliseconds, and must not come from two
threads at once.
"""

import contextlib
import dataclasses
import errno
import ipaddress
import os
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from api.errors import Code, SwarmError
from hostkit import netns
from hostkit.netlink import Netlink
from overlay_net.fabric import forwarding, gateway, observed
from overlay_net.fabric.apply import Filter, Hands
from overlay_net.fabric.drawing import Host
from overlay_net.fabric.hardware import GATEWAY_BRIDGE
from overlay_net.fabric.networks import VXLAN_PORT, Ground
from overlay_net.fabric.operations import DropEntries, MakeTunnel, Operation, PutEntries
from overlay_net.fabric.picture import Leg, Picture
from overlay_net.fabric.plan import Look, plan
from overlay_net.fabric.wanted import Wanted
from overlay_net.failures import legible

NAMESPACE = "swarm-fabric"
OWN_NAMESPACE = "/proc/self/ns/net"


@dataclass(frozen=True)
class Failed:
    """A step that could not be done."""

    operation: Operation
    error: SwarmError


@dataclass(frozen=True)
class Done:
    """The steps of one round; those that failed stopped none of the others."""

    operations: tuple[Operation, ...]
    failed: tuple[Failed, ...]


Holds = Callable[[str], bool]
"""Whether the host's packet filter is as these commands would make it."""


class Fabric:
    """`filter` writes the host's packet filter, `holds` looks at it; `port` is that of VXLAN;
    `namespace`: name of the fabric's own, made if it is not there; `host`: file of the host's.
    """

    def __init__(
        self,
        filter: Filter,
        data_path_address: str,
        *,
        port: int = VXLAN_PORT,
        namespace: str = NAMESPACE,
        host: str = OWN_NAMESPACE,
        holds: Holds = lambda text: False,
    ) -> None:
        self._filter = filter
        self._holds = holds
        self._data_path_address = data_path_address
        self._port = port
        self._host_path = host
        self._known: Picture | None = None
        self._after = Picture()
        self._legs: dict[str, list[Leg]] = {}
        self._ground = Ground(data_path_address, {}, port)
        self._routed: Collection[str] = ()
        paths = (host, str(netns.ensure(namespace)))
        with contextlib.ExitStack() as stack:
            self._handles = (_handle(stack, paths[0]), _handle(stack, paths[1]))
            self._host = stack.enter_context(Netlink.inside(paths[0]))
            self._fabric = stack.enter_context(Netlink.inside(paths[1]))
            self._stack = stack.pop_all()

    def close(self) -> None:
        """Lets go of the namespaces, and changes nothing in them."""
        self._stack.close()

    def converge(self, wanted: Wanted, *, fresh: bool = False) -> Done:
        """Makes the host what is wanted.

        The first time, after a failure, and if `fresh`, all of the host's fabric is read and
        compared; else it is what the last round left, and only what changed since is looked at.
        What is not told is taken away: after a start, everything has to be told before.
        """
        changed = wanted.take_changed()
        known, self._known = self._known, None
        looks = known is None or fresh
        if known is None or fresh:
            known = self._observe(set(wanted.sandboxes()))
            changed = None
        desired = wanted.picture(self._standing(known, wanted))
        if looks:
            known = self._with_rules(known, desired)
        made = plan(desired, known, changed)
        if desired.bridges and (changed is None or desired.bridges != known.bridges):
            forwarding.allow(self._host_path, ipv6=_has_ipv6(desired))
        self._after = made.after
        self._legs = {}
        for key, leg in made.after.legs.items():
            self._legs.setdefault(key.sandbox, []).append(leg)
        failed = self._carry_out(made.operations)
        if not failed:
            self._known = dataclasses.replace(
                made.after, entries=_entries_after(known, desired, made.operations)
            )
        return Done(made.operations, failed)

    def look(self, wanted: Wanted) -> Look:
        """Compares, and changes nothing; what was remembered stays so."""
        observed = self._observe(set(wanted.sandboxes()))
        desired = wanted.picture(self._standing(observed, wanted))
        observed = self._with_rules(observed, desired)
        made = plan(desired, observed)
        settings: list[str] = []
        if desired.bridges:
            settings = forwarding.differences(self._host_path, ipv6=_has_ipv6(desired))
        return Look(observed, made.after, made.operations, tuple(settings), self._ground)

    def forget(self, sandbox: str) -> None:
        """A sandbox is about to end by itself, and its legs with it: nobody needs to remove them.

        That is the kernel's affair, and takes it a moment; to remove each would be waited for.
        """
        self._legs.pop(sandbox, None)
        if self._known is not None:
            legs, routes = self._known.legs, self._known.routes
            self._known = dataclasses.replace(
                self._known,
                legs={key: leg for key, leg in legs.items() if key.sandbox != sandbox},
                routes={key: way for key, way in routes.items() if key.sandbox != sandbox},
            )

    def legs(self, sandbox: str) -> list[Leg]:
        """Those of a sandbox, or of the host by its file, as the last round wished them."""
        return self._legs.get(sandbox, [])

    def bridges(self) -> list[str]:
        """The host's bridges by which its containers reach it."""
        return sorted(self._after.bridges)

    def _observe(self, sandboxes: Collection[str]) -> Picture:
        with legible("the networks of this host"):
            self._ground = observed.ground(self._host, self._data_path_address, self._port)
            self._routed = observed.routed(self._host)
            return observed.observe(
                self._host, self._fabric, self._handles, self._host_path, sandboxes
            )

    def _with_rules(self, observed: Picture, desired: Picture) -> Picture:
        return dataclasses.replace(
            observed, rules=desired.rules if self._holds(desired.rules) else ""
        )

    def _standing(self, known: Picture, wanted: Wanted) -> Host:
        bridge = known.bridges.get(GATEWAY_BRIDGE)
        now = bridge.addresses if bridge else ()
        subnet: ipaddress.IPv4Network | SwarmError
        try:
            subnet = gateway.subnet(now, self._routed, wanted.subnets())
        except SwarmError as error:
            subnet = error
        return Host(self._host_path, self._ground, subnet, _at_gateway(known))

    def _carry_out(self, operations: Iterable[Operation]) -> tuple[Failed, ...]:
        failed = []
        with Hands(self._host, self._fabric, self._handles[1], self._filter) as hands:
            for operation in operations:
                try:
                    hands.carry_out(operation)
                except SwarmError as error:
                    failed.append(Failed(operation, error))
                except OSError as error:
                    failed.append(Failed(operation, _explained(operation, error)))
        return tuple(failed)


def _handle(stack: contextlib.ExitStack, path: str) -> int:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    stack.callback(os.close, handle)
    return handle


def _has_ipv6(picture: Picture) -> bool:
    """Whether any bridge has an address of it."""
    return any(":" in address for each in picture.bridges.values() for address in each.addresses)


def _at_gateway(picture: Picture) -> dict[str, str]:
    return {
        key.sandbox: address
        for key, leg in picture.legs.items()
        if leg.parent == GATEWAY_BRIDGE
        for address in leg.addresses
    }


def _entries_after(
    known: Picture, desired: Picture, operations: Iterable[Operation]
) -> dict[str, dict[bytes, bytes]]:
    """What tunnels hold now; those that were there are changed in place, as there may be many."""
    entries = {}
    for name in desired.entries:
        now = known.entries.get(name)
        entries[name] = now if isinstance(now, dict) else {}
    for operation in operations:
        match operation:
            case MakeTunnel(tunnel):
                entries[tunnel.name] = {}
            case DropEntries(name, gone):
                for key in gone:
                    entries[name].pop(key, None)
            case PutEntries(name, put):
                entries[name].update(put)
    return entries


def _explained(operation: Operation, error: OSError) -> SwarmError:
    what, why = f"{operation} failed", error.strerror or str(error)
    if isinstance(operation, MakeTunnel) and error.errno == errno.EEXIST:
        remedy = (
            "find what else has this number and port: ip -d link show type vxlan, in all namespaces"
        )
        return SwarmError(Code.EXISTS, what, why=why, remedy=remedy)
    if error.errno == errno.EADDRINUSE:
        remedy = "see whether processes of a removed task still hold its network: lsns -t net"
        return SwarmError(Code.EXISTS, what, why=why, remedy=remedy)
    if error.errno == errno.EOPNOTSUPP:
        remedy = "load the kernel's modules vxlan, macvlan, veth and bridge"
        return SwarmError(Code.UNSUPPORTED, what, why=why, remedy=remedy)
    return SwarmError(Code.INTERNAL, what, why=why)
