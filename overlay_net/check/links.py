"""Steps that a host's fabric lacks, as findings: links, addresses, routes and entries. Pure."""

import functools
import ipaddress
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from overlay_net.check.finding import FIX, RESYNC, SOMEBODY, Finding, shown
from overlay_net.fabric import operations
from overlay_net.fabric.hardware import shown as written
from overlay_net.fabric.operations import Operation
from overlay_net.fabric.picture import FORWARDING_KEY, Entries, Leg, LegKey, Picture

_NOTHING = "nothing"


@dataclass(frozen=True)
class Names:
    """`networks`: ids by the name of tunnel, bridge or device; `sandboxes`: whose the file of a
    namespace is, in words.
    """

    networks: Mapping[str, str]
    sandboxes: Mapping[str, str]

    def network(self, parent: str) -> str:
        """The id of the network of a device; "" if it is none's."""
        return self.networks.get(parent, "")

    def sandbox(self, path: str) -> str:
        """Whose a namespace is."""
        return self.sandboxes.get(path, path)


def findings(steps: Collection[Operation], observed: Picture, names: Names) -> list[Finding]:
    """What is told of each step that lies between a host's fabric and what it ought to be."""
    found = [_told(step, observed, names) for step in steps]
    made = {step.tunnel.name for step in steps if isinstance(step, operations.MakeTunnel)}
    again = {f"tunnel {name}, which is nobody's" for name in made}
    return [each for each in found if each.what not in again]


@functools.singledispatch
def _told(step: Operation, observed: Picture, names: Names) -> Finding:
    raise TypeError(f"{step!r} is no operation")


@_told.register
def _(step: operations.MakeTunnel, observed: Picture, names: Names) -> Finding:
    wish, now = step.tunnel, observed.tunnels.get(step.tunnel.name)
    is_there = "is not as it ought to be" if now else "is missing"
    return _finding(
        f"tunnel {wish.name} {is_there}",
        names.network(wish.name),
        f"VXLAN number {wish.vni} from {wish.local}:{wish.port}",
        f"VXLAN number {now.vni} from {now.local}:{now.port}" if now else _NOTHING,
        why="somebody removed it, or it could not be made: see the log of swarmd",
    )


@_told.register
def _(step: operations.SetTunnel, observed: Picture, names: Names) -> Finding:
    wish, now = step.tunnel, observed.tunnels[step.tunnel.name]
    return _finding(
        f"tunnel {wish.name} is not as it ought to be",
        names.network(wish.name),
        _state(wish.mtu, wish.up),
        _state(now.mtu, now.up),
        why="the MTU of the device below has changed, or somebody set it by hand",
    )


@_told.register
def _(step: operations.RemoveTunnel, observed: Picture, names: Names) -> Finding:
    return _finding(f"tunnel {step.name}, which is nobody's", "", _NOTHING, step.name)


@_told.register
def _(step: operations.MakeBridge, observed: Picture, names: Names) -> Finding:
    wish = step.bridge
    found = names.network(wish.name)
    return _finding(f"bridge {wish.name} is missing", found, _listed(wish.addresses), _NOTHING)


@_told.register
def _(step: operations.SetBridge, observed: Picture, names: Names) -> Finding:
    wish, now = step.bridge, observed.bridges[step.bridge.name]
    return _finding(
        f"bridge {wish.name} is not as it ought to be",
        names.network(wish.name),
        f"{_listed(wish.addresses)}, {_state(wish.mtu, wish.up)}",
        f"{_listed(now.addresses)}, {_state(now.mtu, now.up)}",
    )


@_told.register
def _(step: operations.RemoveDevice, observed: Picture, names: Names) -> Finding:
    return _finding(f"device {step.name} belongs to nothing", "", _NOTHING, step.name)


@_told.register
def _(step: operations.MakeLeg, observed: Picture, names: Names) -> Finding:
    leg = step.leg
    return _finding(
        f"{names.sandbox(step.key.sandbox)} has no interface {leg.name} on {leg.parent}",
        names.network(leg.parent),
        f"{written(step.key.mac)} with {_listed(leg.addresses)}",
        _NOTHING,
    )


@_told.register
def _(step: operations.SetLeg, observed: Picture, names: Names) -> Finding:
    leg, now = step.leg, observed.legs.get(step.key, step.leg)
    whose = names.sandbox(step.key.sandbox)
    return _finding(
        f"interface {leg.name} of {whose} is not as it ought to be",
        names.network(leg.parent),
        _leg(leg),
        _leg(now),
    )


@_told.register
def _(step: operations.RemoveLeg, observed: Picture, names: Names) -> Finding:
    whose = names.sandbox(step.key.sandbox)
    network = names.network(step.leg.parent)
    what = f"{whose} has an interface {step.leg.name}, which is nobody's"
    return _finding(what, network, _NOTHING, _key(step.key, step.leg))


@_told.register
def _(step: operations.SetRoute, observed: Picture, names: Names) -> Finding:
    version = ipaddress.ip_address(step.gateway).version
    now = {key.version: way for key, way in observed.routes.items() if key.sandbox == step.sandbox}
    has = f"by {now[version]}" if version in now else _NOTHING
    what = f"{names.sandbox(step.sandbox)} has not its default route"
    return _finding(what, "", f"by {step.gateway}", has)


@_told.register
def _(step: operations.RemoveRoute, observed: Picture, names: Names) -> Finding:
    what = f"{names.sandbox(step.sandbox)} has a default route that is nobody's"
    return _finding(what, "", _NOTHING, f"by {step.gateway}")


@_told.register
def _(step: operations.PutEntries, observed: Picture, names: Names) -> Finding:
    now = observed.entries.get(step.tunnel, {})
    moved = {key: now[key] for key in step.entries if key in now}
    return _finding(
        f"tunnel {step.tunnel} lacks {len(step.entries)} of its entries",
        names.network(step.tunnel),
        shown(_entries(step.entries)),
        shown(_entries(moved)) or _NOTHING,
    )


@_told.register
def _(step: operations.DropEntries, observed: Picture, names: Names) -> Finding:
    return _finding(
        f"tunnel {step.tunnel} has {len(step.entries)} entries that are nobody's",
        names.network(step.tunnel),
        _NOTHING,
        shown(_entries(step.entries)),
    )


@_told.register
def _(step: operations.WriteRules, observed: Picture, names: Names) -> Finding:
    return _finding(
        "table inet swarm-fabric is not as it ought to be",
        "",
        "the way out of tasks, and what bridges may not do",
        "chains or rules are missing",
        why="somebody flushed the rules: nft flush ruleset, or a restart of nftables",
    )


def _finding(what: str, network: str, expected: str, found: str, why: str = SOMEBODY) -> Finding:
    return Finding(what, network, expected, found, why, RESYNC, FIX)


def _state(mtu: int, up: bool) -> str:
    return f"mtu {mtu}, {'up' if up else 'down'}"


def _leg(leg: Leg) -> str:
    return f"{_listed(leg.addresses)}, {_state(leg.mtu, leg.up)}"


def _key(key: LegKey, leg: Leg) -> str:
    return f"{written(key.mac)} with {_listed(leg.addresses)}"


def _listed(addresses: Collection[str]) -> str:
    return " ".join(sorted(addresses)) or "no address"


def _entries(entries: Entries) -> list[str]:
    return [
        f"{written(key)} is at {ipaddress.ip_address(value)}"
        if len(key) == FORWARDING_KEY
        else f"{ipaddress.ip_address(key)} is {written(value)}"
        for key, value in sorted(entries.items())
    ]
