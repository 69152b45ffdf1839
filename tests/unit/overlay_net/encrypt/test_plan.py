"""The order of steps: nothing may be seen in clear in between."""

import dataclasses

import pytest

from overlay_net.encrypt import guard
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
from overlay_net.encrypt.picture import Device, Guard, Peer, Picture
from overlay_net.encrypt.plan import after, plan, widened

GUARD = Guard("swarm-wg", 4789, frozenset({4097}))
WIDER = Guard("swarm-wg", 4789, frozenset({4097, 4098}))
DEVICE = Device(b"k" * 32, 51820, "fd53:7761:726d::1", 1440)
A = Peer(b"a" * 32, ("10.99.0.2", 51820), "fd53:7761:726d::a")
B = Peer(b"b" * 32, ("10.99.0.3", 51820), "fd53:7761:726d::b")
NEW_A = dataclasses.replace(A, key=b"c" * 32)
WHOLE = Picture(DEVICE, {A.key: A}, barred=True, guard=GUARD)
UP = (
    WriteGuard(GUARD),
    Bar(True),
    MakeDevice(51820),
    SetKey(DEVICE),
    SetDevice(DEVICE),
    SetPeers((A,), ()),
)


def with_device(**fields: object) -> Picture:
    return dataclasses.replace(WHOLE, device=dataclasses.replace(DEVICE, **fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("desired", "observed", "steps"),
    [
        pytest.param(WHOLE, Picture(), UP, id="from nothing"),
        pytest.param(WHOLE, WHOLE, (), id="nothing to do"),
        pytest.param(
            Picture(), WHOLE, (RemoveDevice(), Bar(False), WriteGuard(None)), id="to nothing"
        ),
        pytest.param(WHOLE, Picture(barred=True, guard=GUARD), UP[2:], id="the device was lost"),
        pytest.param(
            dataclasses.replace(WHOLE, guard=WIDER), WHOLE, (WriteGuard(WIDER),), id="one more"
        ),
        pytest.param(
            dataclasses.replace(WHOLE, peers={B.key: B}),
            WHOLE,
            (SetPeers((B,), (A.key,)),),
            id="another peer comes before the other goes",
        ),
        pytest.param(
            dataclasses.replace(WHOLE, peers={NEW_A.key: NEW_A}),
            WHOLE,
            (LetGoFirst((A.address,)), SetPeers((NEW_A,), (A.key,))),
            id="a peer with another key changes first",
        ),
        pytest.param(
            with_device(key=b"n" * 32),
            WHOLE,
            (
                SetKey(dataclasses.replace(DEVICE, key=b"n" * 32)),
                SetPeers((), (), (A.key,)),
            ),
            id="with another key all have to agree anew",
        ),
        pytest.param(
            with_device(mtu=1400),
            WHOLE,
            (SetDevice(dataclasses.replace(DEVICE, mtu=1400)),),
            id="another MTU",
        ),
        pytest.param(
            with_device(port=7),
            WHOLE,
            (SetKey(dataclasses.replace(DEVICE, port=7)),),
            id="another port",
        ),
    ],
)
def test_steps(desired: Picture, observed: Picture, steps: tuple[Operation, ...]) -> None:
    assert plan(desired, observed) == steps
    assert all(str(step) for step in steps)


@pytest.mark.parametrize("failing", range(len(UP)))
def test_after_a_failure_the_rest_is_done_and_the_guard_is_known(failing: int) -> None:
    known = Picture()
    for step in UP[:failing]:
        known = after(known, step)
    again = plan(WHOLE, known)
    assert again == (UP[failing:] if failing < 2 else UP[2:])


def test_a_device_that_is_not_whole_goes_too() -> None:
    assert after(Picture(), MakeDevice(1)).remains
    assert plan(Picture(), Picture(remains=True)) == (RemoveDevice(),)
    assert not after(Picture(remains=True), RemoveDevice()).remains


def test_a_device_that_went_is_known_to_be_gone() -> None:
    assert after(WHOLE, RemoveDevice()).device is None


@pytest.mark.parametrize(
    ("desired", "observed", "meanwhile"),
    [
        (Picture(), WHOLE, WHOLE),
        (WHOLE, Picture(), WHOLE),
        (WHOLE, dataclasses.replace(WHOLE, guard=WIDER), dataclasses.replace(WHOLE, guard=WIDER)),
        (WHOLE, Picture(guard=Guard("", 0, frozenset())), WHOLE),
    ],
)
def test_nothing_goes_before_the_tunnels(
    desired: Picture, observed: Picture, meanwhile: Picture
) -> None:
    assert widened(desired, observed) == meanwhile


def test_the_guard_drops_both_ways_what_does_not_go_through_the_device() -> None:
    text = guard.text(WIDER)
    for chain in ("hook input", "hook postrouting"):
        part = text.partition(chain)[2].partition("}\n  }")[0]
        assert "udp dport 4789 @th,96,24 { 4097, 4098 }" in part
    assert guard.text(None).splitlines() == text.splitlines()[:2]
