"""What lies between what a host's fabric is and what it ought to be. Pure.

The order is such that nothing is sent wrong in between: what goes, goes first; tunnels know whom
they reach before anybody stands on them. What is right already is not touched.
"""

import dataclasses
import itertools
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from overlay_net.fabric.networks import Ground
from overlay_net.fabric.operations import (
    DropEntries,
    MakeBridge,
    MakeLeg,
    MakeTunnel,
    Operation,
    PutEntries,
    RemoveDevice,
    RemoveLeg,
    RemoveRoute,
    RemoveTunnel,
    SetBridge,
    SetLeg,
    SetRoute,
    SetTunnel,
    WriteRules,
)
from overlay_net.fabric.picture import Leg, LegKey, On, Picture, Tunnel

Changed = Mapping[str, Collection[bytes]]
"""Keys of entries that may differ, by tunnel."""


@dataclass(frozen=True)
class Plan:
    """`after`: the picture once all is done, entries apart: those follow from the operations."""

    operations: tuple[Operation, ...]
    after: Picture

    def __str__(self) -> str:
        return "\n".join(str(operation) for operation in self.operations)


@dataclass(frozen=True)
class Look:
    """A host's fabric as it is, as it ought to be, and the steps between that nobody took.

    `settings`: of its kernel, that are not as they ought to be, in words.
    """

    observed: Picture
    desired: Picture
    operations: tuple[Operation, ...]
    settings: tuple[str, ...]
    ground: Ground


def plan(desired: Picture, observed: Picture, changed: Changed | None = None) -> Plan:
    """The steps from `observed` to `desired`.

    `changed`: the only entries that are compared; None compares all. Of a tunnel that is made anew
    all are put.
    """
    gone_tunnels, gone_bridges = _gone(desired, observed)
    there = {key: leg for key, leg in observed.legs.items() if not _falls(leg, observed, desired)}
    legs = _named(desired.legs, there)
    operations = [
        *(RemoveLeg(key, leg) for key, leg in there.items() if not _stays(leg, legs.get(key))),
        *(RemoveDevice(name) for name in sorted(observed.strays)),
        *(RemoveTunnel(name) for name in gone_tunnels),
        *(RemoveDevice(name) for name in gone_bridges),
        *_tunnels(desired, observed, gone_tunnels),
        *_bridges(desired, observed, gone_bridges),
        *_entries(desired, observed, gone_tunnels, changed),
        *_legs(legs, there),
        *_routes(desired, observed, legs, there),
    ]
    if desired.rules != observed.rules:
        operations.append(WriteRules(desired.rules))
    return Plan(tuple(operations), dataclasses.replace(desired, legs=legs, strays=frozenset()))


def _gone(desired: Picture, observed: Picture) -> tuple[list[str], list[str]]:
    """Tunnels and bridges that go, some of them to come again."""
    tunnels = [
        name
        for name, tunnel in observed.tunnels.items()
        if not _same_tunnel(tunnel, desired.tunnels.get(name))
    ]
    return tunnels, [name for name in observed.bridges if name not in desired.bridges]


def _same_tunnel(now: Tunnel, wish: Tunnel | None) -> bool:
    """Whether it can become what is wished without being made anew."""
    return wish is not None and (now.vni, now.local, now.port) == (wish.vni, wish.local, wish.port)


def _falls(leg: Leg, observed: Picture, desired: Picture) -> bool:
    """Whether it goes by itself, with the tunnel that it stands on."""
    return leg.on is On.TUNNEL and not _same_tunnel(
        observed.tunnels[leg.parent], desired.tunnels.get(leg.parent)
    )


def _stays(now: Leg, wish: Leg | None) -> bool:
    """Whether it can become what is wished without being made anew."""
    return wish is not None and (now.on, now.parent, now.isolated) == (
        wish.on,
        wish.parent,
        wish.isolated,
    )


def _named(wishes: Mapping[LegKey, Leg], there: Mapping[LegKey, Leg]) -> dict[LegKey, Leg]:
    """Wishes with full names: the one it has, or the first that is free of its kind."""
    taken = {(key.sandbox, leg.name) for key, leg in there.items() if _stays(leg, wishes.get(key))}
    named = {}
    for key, leg in wishes.items():
        now = there.get(key)
        if now is None or not _stays(now, leg):
            names = (f"{leg.name}{number}" for number in itertools.count())
            name = next(name for name in names if (key.sandbox, name) not in taken)
            taken.add((key.sandbox, name))
            named[key] = dataclasses.replace(leg, name=name)
        elif (now.mtu, now.addresses, now.up) == (leg.mtu, leg.addresses, leg.up):
            named[key] = now  # most are right, and this is asked often
        else:
            named[key] = dataclasses.replace(leg, name=now.name)
    return named


def _tunnels(desired: Picture, observed: Picture, gone: Collection[str]) -> Iterator[Operation]:
    for name, wish in desired.tunnels.items():
        now = observed.tunnels.get(name)
        if now is None or name in gone:
            yield MakeTunnel(wish)
        elif now != wish:
            yield SetTunnel(wish)


def _bridges(desired: Picture, observed: Picture, gone: Collection[str]) -> Iterator[Operation]:
    for name, wish in desired.bridges.items():
        now = observed.bridges.get(name)
        if now is None or name in gone:
            yield MakeBridge(wish)
        elif now != wish:
            yield SetBridge(wish, now.addresses - wish.addresses)


def _entries(
    desired: Picture, observed: Picture, gone: Collection[str], changed: Changed | None
) -> Iterator[Operation]:
    for name, wish in desired.entries.items():
        if name in gone or name not in observed.tunnels:
            if wish:
                yield PutEntries(name, dict(wish))
            continue
        now = observed.entries.get(name, {})
        keys = wish.keys() | now.keys() if changed is None else changed.get(name, ())
        put = {key: wish[key] for key in keys if key in wish and now.get(key) != wish[key]}
        drop = {key: now[key] for key in keys if key in now and key not in wish}
        if drop:
            yield DropEntries(name, drop)
        if put:
            yield PutEntries(name, put)


def _legs(wishes: Mapping[LegKey, Leg], there: Mapping[LegKey, Leg]) -> Iterator[Operation]:
    for key, wish in wishes.items():
        now = there.get(key)
        if now is None or not _stays(now, wish):
            yield MakeLeg(key, wish)
        elif now != wish:
            yield SetLeg(key, wish, now.addresses - wish.addresses)


def _routes(
    desired: Picture,
    observed: Picture,
    legs: Mapping[LegKey, Leg],
    there: Mapping[LegKey, Leg],
) -> Iterator[Operation]:
    """A sandbox whose legs were changed may have lost its route with one of them."""
    touched = {
        key.sandbox for key in observed.legs.keys() | legs.keys() if legs.get(key) != there.get(key)
    }
    kept = {key.sandbox for key in legs}
    for key, gateway in observed.routes.items():
        if key not in desired.routes and key.sandbox in kept:
            yield RemoveRoute(key.sandbox, gateway)
    for key, gateway in desired.routes.items():
        if observed.routes.get(key) != gateway or key.sandbox in touched:
            yield SetRoute(key.sandbox, gateway)
