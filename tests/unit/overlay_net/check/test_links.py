"""Every step that a host's fabric may lack, in the words that people read."""

import pytest

from overlay_net.check.finding import shown
from overlay_net.check.links import Names, findings
from overlay_net.fabric.hardware import hardware_address, packed
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
from overlay_net.fabric.picture import Bridge, Leg, LegKey, On, Picture, RouteKey, Tunnel

NAMES = Names({"vx5": "front", "swb-x": "back"}, {"/t": "task web.1"})
TUNNEL = Tunnel("vx5", 5, "10.0.0.1", 4789, 1450)
BRIDGE = Bridge("swb-x", frozenset({"172.18.0.1/16"}), 1500)
KEY = LegKey("/t", hardware_address(["10.0.1.5"]))
LEG = Leg(On.TUNNEL, "vx5", 1450, frozenset({"10.0.1.5/24"}), "eth0")
BARE = Leg(On.TUNNEL, "vx5", 1450, frozenset(), "eth0")
MAC, OTHER = hardware_address(["10.0.1.6"]), packed("10.0.0.2")
ENTRIES = {MAC: OTHER, packed("10.0.1.6"): MAC}


@pytest.mark.parametrize(
    ("step", "observed", "what", "network", "expected", "found"),
    [
        (
            MakeTunnel(TUNNEL),
            Picture(),
            "tunnel vx5 is missing",
            "front",
            "VXLAN number 5 from 10.0.0.1:4789",
            "nothing",
        ),
        (
            SetTunnel(TUNNEL),
            Picture(tunnels={"vx5": Tunnel("vx5", 5, "10.0.0.1", 4789, 1400, up=False)}),
            "tunnel vx5 is not as it ought to be",
            "front",
            "mtu 1450, up",
            "mtu 1400, down",
        ),
        (RemoveTunnel("vx6"), Picture(), "tunnel vx6, which is nobody's", "", "nothing", "vx6"),
        (
            MakeBridge(BRIDGE),
            Picture(),
            "bridge swb-x is missing",
            "back",
            "172.18.0.1/16",
            "nothing",
        ),
        (
            SetBridge(BRIDGE, frozenset()),
            Picture(bridges={"swb-x": Bridge("swb-x", frozenset(), 1500)}),
            "bridge swb-x is not as it ought to be",
            "back",
            "172.18.0.1/16, mtu 1500, up",
            "no address, mtu 1500, up",
        ),
        (RemoveDevice("swp1"), Picture(), "device swp1 belongs to nothing", "", "nothing", "swp1"),
        (
            MakeLeg(KEY, LEG),
            Picture(),
            "task web.1 has no interface eth0 on vx5",
            "front",
            "02:42:0a:00:01:05 with 10.0.1.5/24",
            "nothing",
        ),
        (
            SetLeg(KEY, LEG, frozenset()),
            Picture(legs={KEY: BARE}),
            "interface eth0 of task web.1 is not as it ought to be",
            "front",
            "10.0.1.5/24, mtu 1450, up",
            "no address, mtu 1450, up",
        ),
        (
            RemoveLeg(KEY, LEG),
            Picture(),
            "task web.1 has an interface eth0, which is nobody's",
            "front",
            "nothing",
            "02:42:0a:00:01:05 with 10.0.1.5/24",
        ),
        (
            SetRoute("/t", "172.18.0.1"),
            Picture(routes={RouteKey("/t", 4): "172.18.0.9"}),
            "task web.1 has not its default route",
            "",
            "by 172.18.0.1",
            "by 172.18.0.9",
        ),
        (
            RemoveRoute("/else", "172.18.0.1"),
            Picture(),
            "/else has a default route that is nobody's",
            "",
            "nothing",
            "by 172.18.0.1",
        ),
        (
            PutEntries("vx5", ENTRIES),
            Picture(entries={"vx5": {MAC: packed("10.0.0.3")}}),
            "tunnel vx5 lacks 2 of its entries",
            "front",
            "02:42:0a:00:01:06 is at 10.0.0.2; 10.0.1.6 is 02:42:0a:00:01:06",
            "02:42:0a:00:01:06 is at 10.0.0.3",
        ),
        (
            DropEntries("vx5", {MAC: OTHER}),
            Picture(),
            "tunnel vx5 has 1 entries that are nobody's",
            "front",
            "nothing",
            "02:42:0a:00:01:06 is at 10.0.0.2",
        ),
        (
            WriteRules("text"),
            Picture(),
            "table inet swarm-fabric is not as it ought to be",
            "",
            "the way out of tasks, and what bridges may not do",
            "chains or rules are missing",
        ),
    ],
)
def test_what_is_told_of_a_step(
    step: Operation, observed: Picture, what: str, network: str, expected: str, found: str
) -> None:
    (told,) = findings([step], observed, NAMES)
    assert (told.what, told.network, told.expected, told.found) == (what, network, expected, found)
    assert told.why
    assert told.remedy
    assert not told.note


def test_a_tunnel_that_is_made_anew_is_told_of_once() -> None:
    other = Tunnel("vx5", 5, "10.0.0.9", 4789, 1450)
    observed = Picture(tunnels={"vx5": other})
    (told,) = findings([RemoveTunnel("vx5"), MakeTunnel(TUNNEL)], observed, NAMES)
    assert told.found == "VXLAN number 5 from 10.0.0.9:4789"


def test_long_lists_are_cut() -> None:
    assert shown("abcde") == "a; b; c; and 2 more"
    assert shown("ab") == "a; b"
    assert shown("") == ""
