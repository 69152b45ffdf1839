"""What lies between what the encryption of a host is and what it ought to be. Pure.

The guard goes up before anything else, and comes down after everything else. A peer's new key is
put before its old one goes, so that its address is never nobody's, and a moment after the peer
itself may have changed. What is right is not touched.
"""

import dataclasses
from collections.abc import Iterator

from overlay_net.encrypt.operations import (
    Bar,
    LetGoFirst,
    MakeDevice,
    Operation,
    RemoveDevice,
    SetDevice,
    SetKey,
    SetPeers,
    WriteGuard,
)
from overlay_net.encrypt.picture import Device, Picture


def plan(desired: Picture, observed: Picture) -> tuple[Operation, ...]:
    """The steps from `observed` to `desired`."""
    if desired.device is None:
        return tuple(_down(desired, observed))
    return tuple(_up(desired, desired.device, observed))


def widened(desired: Picture, observed: Picture) -> Picture:
    """What ought to be while tunnels of former networks are still there: nothing of the guard, nor
    the device, goes before them.
    """
    guard, now = desired.guard, observed.guard
    if guard is not None and now is not None and guard.port == now.port:
        guard = dataclasses.replace(guard, vnis=guard.vnis | now.vnis)
    if desired.device is None:
        return dataclasses.replace(observed, guard=guard or now)
    return dataclasses.replace(desired, guard=guard)


def after(known: Picture, operation: Operation) -> Picture:
    """What is known once this step is done, if the next one fails. A device that is not whole is
    none, and will be made anew.
    """
    match operation:
        case WriteGuard(guard):
            return dataclasses.replace(known, guard=guard)
        case Bar(barred):
            return dataclasses.replace(known, barred=barred)
        case MakeDevice():
            return dataclasses.replace(known, remains=True)
        case RemoveDevice():
            return dataclasses.replace(known, device=None, peers={}, remains=False)
    return known


def _up(desired: Picture, device: Device, observed: Picture) -> Iterator[Operation]:
    now = observed.device
    if desired.guard != observed.guard:
        yield WriteGuard(desired.guard)
    if not observed.barred:
        yield Bar(True)
    if now is None:
        yield MakeDevice(device.port)
    is_other = now is None or now.key != device.key
    if is_other or now is None or now.port != device.port:
        yield SetKey(device)
    if now is None or (now.address, now.mtu, now.up) != (device.address, device.mtu, device.up):
        yield SetDevice(device)
    there = {} if now is None else observed.peers
    put = tuple(peer for key, peer in desired.peers.items() if there.get(key) != peer)
    drop = tuple(key for key in there if key not in desired.peers)
    wake = tuple(key for key in desired.peers if key in there) if is_other else ()
    former = {there[key].address for key in drop}
    changing = tuple(peer.address for peer in put if peer.address in former)
    if changing and not is_other:
        yield LetGoFirst(changing)
    if put or drop or wake:
        yield SetPeers(put, drop, wake)


def _down(desired: Picture, observed: Picture) -> Iterator[Operation]:
    if observed.device is not None or observed.remains:
        yield RemoveDevice()
    if observed.barred and not desired.barred:
        yield Bar(False)
    if desired.guard != observed.guard:
        yield WriteGuard(desired.guard)
