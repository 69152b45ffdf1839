import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlay_net.fabric import operations as op
from overlay_net.fabric.picture import Bridge, Leg, LegKey, On, Picture, RouteKey, Tunnel
from overlay_net.fabric.plan import plan

MAC, OTHER_MAC = b"\x02\x42\x0a\x00\x01\x05", b"\x02\x42\x0a\x00\x01\x06"
END, IP = b"\x0a\x63\x00\x02", b"\x0a\x00\x01\x05"
TUNNEL = Tunnel("vx1", 1, "10.99.0.1", 4789, 1450)
BRIDGE = Bridge("swb-a", frozenset({"10.5.0.1/24"}), 1500)
ON_TUNNEL = Leg(On.TUNNEL, "vx1", 1450, frozenset({"10.0.1.5/24"}))
KEY = LegKey("/mine", MAC)
WHOLE = Picture(
    tunnels={"vx1": TUNNEL},
    bridges={"swb-a": BRIDGE},
    legs={
        KEY: ON_TUNNEL,
        LegKey("/mine", OTHER_MAC): Leg(On.BRIDGE, "swb-a", 1500, frozenset({"10.5.0.5/24"})),
    },
    routes={RouteKey("/mine", 4): "10.5.0.1"},
    entries={"vx1": {MAC: END, IP: MAC}},
    rules="table",
)


def built(picture: Picture) -> Picture:
    """As it is once a plan made it."""
    return plan(picture, Picture()).after


def kinds(desired: Picture, observed: Picture) -> list[str]:
    return [type(each).__name__ for each in plan(desired, observed).operations]


def test_from_nothing_in_an_order_in_which_nothing_is_sent_wrong() -> None:
    assert str(plan(WHOLE, Picture())).splitlines() == [
        "make tunnel vx1: vni 1 from 10.99.0.1:4789, mtu 1450",
        "make bridge swb-a: 10.5.0.1/24, mtu 1500",
        "put 1 forwarding and 1 neighbour entries of vx1",
        "make eth0 in /mine: 02:42:0a:00:01:05 10.0.1.5/24 on tunnel vx1, mtu 1450",
        "make eth1 in /mine: 02:42:0a:00:01:06 10.5.0.5/24 on bridge swb-a, mtu 1500",
        "set default route in /mine: via 10.5.0.1",
        "write the packet filter's table for bridges",
    ]


def test_to_nothing() -> None:
    assert str(plan(Picture(), built(WHOLE))).splitlines() == [
        "remove eth1 from /mine",
        "remove tunnel vx1",
        "remove device swb-a",
        "write the packet filter's table for bridges",
    ]


def test_what_is_right_is_not_touched() -> None:
    assert plan(WHOLE, built(WHOLE)).operations == ()


def test_an_entry_that_moves_is_put_and_one_that_nobody_has_is_dropped() -> None:
    wish = dataclasses.replace(WHOLE, entries={"vx1": {MAC: b"\x0a\x63\x00\x03", OTHER_MAC: END}})
    assert plan(wish, built(WHOLE)).operations == (
        op.DropEntries("vx1", {IP: MAC}),
        op.PutEntries("vx1", {MAC: b"\x0a\x63\x00\x03", OTHER_MAC: END}),
    )
    only = plan(wish, built(WHOLE), {"vx1": {IP}})
    assert only.operations == (op.DropEntries("vx1", {IP: MAC}),)


@pytest.mark.parametrize(
    "changed",
    [dataclasses.replace(TUNNEL, local="10.99.0.9"), dataclasses.replace(TUNNEL, port=4790)],
    ids=["another end", "another port"],
)
def test_a_tunnel_that_is_made_anew_takes_its_legs_with_it(changed: Tunnel) -> None:
    wish = dataclasses.replace(WHOLE, tunnels={"vx1": changed})
    assert kinds(wish, built(WHOLE)) == [
        "RemoveTunnel",
        "MakeTunnel",
        "PutEntries",
        "MakeLeg",
        "SetRoute",
    ]


@pytest.mark.parametrize(
    "changed", [dataclasses.replace(TUNNEL, mtu=1400), dataclasses.replace(TUNNEL, up=False)]
)
def test_a_tunnel_is_set_where_that_is_enough(changed: Tunnel) -> None:
    now = built(WHOLE)
    now = dataclasses.replace(now, tunnels={"vx1": changed})
    assert plan(WHOLE, now).operations == (op.SetTunnel(TUNNEL),)


def test_a_leg_keeps_its_name_and_a_new_one_gets_the_first_that_is_free() -> None:
    now = built(WHOLE)
    third = LegKey("/mine", b"\x02\x42\x0a\x00\x01\x07")
    legs = {third: ON_TUNNEL, **{key: leg for key, leg in WHOLE.legs.items() if key != KEY}}
    after = plan(dataclasses.replace(WHOLE, legs=legs), now).after
    assert [leg.name for leg in after.legs.values()] == ["eth0", "eth1"]
    more = plan(dataclasses.replace(WHOLE, legs={**legs, KEY: ON_TUNNEL}), after).after
    assert more.legs[KEY].name == "eth2"


def test_addresses_that_a_leg_should_not_have_are_taken_away() -> None:
    now = built(WHOLE)
    odd = dataclasses.replace(now.legs[KEY], addresses=frozenset({"10.9.9.9/24"}), up=False)
    now = dataclasses.replace(now, legs={**now.legs, KEY: odd})
    (step, route) = plan(WHOLE, now).operations
    assert str(step) == "set eth0 in /mine: 10.0.1.5/24, mtu 1450, without 10.9.9.9/24"
    assert str(route) == "set default route in /mine: via 10.5.0.1"


def test_strays_and_routes_nobody_wants_go() -> None:
    now = dataclasses.replace(built(WHOLE), strays=frozenset({"swp1"}))
    steps = plan(dataclasses.replace(WHOLE, routes={}), now).operations
    assert steps == (op.RemoveDevice("swp1"), op.RemoveRoute("/mine", "10.5.0.1"))


def test_a_bridge_that_changes() -> None:
    wish = dataclasses.replace(BRIDGE, addresses=frozenset({"10.5.0.2/24"}))
    steps = plan(dataclasses.replace(WHOLE, bridges={"swb-a": wish}), built(WHOLE)).operations
    assert [str(step) for step in steps] == [
        "set bridge swb-a: 10.5.0.2/24, mtu 1500, without 10.5.0.1/24"
    ]


TUNNELS = st.sampled_from(
    [TUNNEL, dataclasses.replace(TUNNEL, mtu=1400), dataclasses.replace(TUNNEL, local="10.99.0.7")]
)
LEGS = st.sampled_from(
    [
        ON_TUNNEL,
        dataclasses.replace(ON_TUNNEL, mtu=1400),
        dataclasses.replace(ON_TUNNEL, addresses=frozenset({"10.0.1.5/24", "fd01::5/64"})),
        Leg(On.BRIDGE, "swb-a", 1500, frozenset({"10.5.0.5/24"})),
        Leg(On.BRIDGE, "swb-a", 1500, frozenset({"10.5.0.5/24"}), isolated=True),
        Leg(On.DEVICE, "eth0", 1500, frozenset({"192.168.1.5/24"})),
    ]
)
KEYS = st.builds(LegKey, st.sampled_from(["/mine", "/yours"]), st.sampled_from([MAC, OTHER_MAC]))


@st.composite
def pictures(draw: st.DrawFn) -> Picture:
    tunnels = {each.name: each for each in draw(st.lists(TUNNELS, max_size=1))}
    bridges = {each.name: each for each in draw(st.lists(st.just(BRIDGE), max_size=1))}
    stand = {"eth0", *tunnels, *bridges}
    legs = draw(st.dictionaries(KEYS, LEGS, max_size=4))
    entry = st.dictionaries(st.sampled_from([MAC, IP]), st.sampled_from([END, MAC]), max_size=2)
    return Picture(
        tunnels,
        bridges,
        {key: leg for key, leg in legs.items() if leg.parent in stand},
        draw(
            st.dictionaries(st.builds(RouteKey, st.just("/mine"), st.just(4)), st.just("10.5.0.1"))
        ),
        {name: draw(entry) for name in tunnels},
        rules=draw(st.sampled_from(["", "table"])),
    )


def carried_out(  # noqa: C901, PLR0912 - a line or two for each kind
    now: Picture, steps: tuple[op.Operation, ...]
) -> Picture:
    """What a kernel would make of the steps; a step that the kernel would refuse is an error."""
    tunnels, bridges, legs = dict(now.tunnels), dict(now.bridges), dict(now.legs)
    entries = {name: dict(each) for name, each in now.entries.items()}
    routes, rules = dict(now.routes), now.rules
    for step in steps:
        match step:
            case op.MakeTunnel(tunnel):
                assert tunnel.name not in tunnels
                tunnels[tunnel.name], entries[tunnel.name] = tunnel, {}
            case op.SetTunnel(tunnel):
                assert tunnels[tunnel.name].local == tunnel.local
                tunnels[tunnel.name] = tunnel
            case op.RemoveTunnel(name):
                del tunnels[name], entries[name]
                legs = {key: leg for key, leg in legs.items() if leg.parent != name}
            case op.MakeBridge(bridge) | op.SetBridge(bridge, _):
                bridges[bridge.name] = bridge
            case op.RemoveDevice(name):
                del bridges[name]
            case op.MakeLeg(key, leg):
                assert leg.parent in {"eth0", *tunnels, *bridges}
                assert key not in legs
                taken = {each.name for it, each in legs.items() if it.sandbox == key.sandbox}
                assert leg.name not in taken
                legs[key] = leg
            case op.SetLeg(key, leg, extra):
                assert extra == legs[key].addresses - leg.addresses
                assert legs[key].parent == leg.parent
                legs[key] = leg
            case op.RemoveLeg(key, _):
                del legs[key]
            case op.SetRoute(sandbox, gateway):
                routes[RouteKey(sandbox, 4)] = gateway
            case op.RemoveRoute(sandbox, _):
                del routes[RouteKey(sandbox, 4)]
            case op.PutEntries(name, put):
                entries[name] |= put
            case op.DropEntries(name, gone):
                for entry in gone:
                    del entries[name][entry]
            case op.WriteRules(text):
                rules = text
    return Picture(tunnels, bridges, legs, routes, entries, rules=rules)


@given(pictures(), pictures())
def test_from_anything_to_anything_and_there_it_stays(before: Picture, wish: Picture) -> None:
    now = carried_out(Picture(), plan(before, Picture()).operations)
    made = plan(wish, now)
    after = carried_out(now, made.operations)
    with_legs = {key.sandbox for key in wish.legs}
    assert after.legs == made.after.legs
    assert {key: leg.name[:3] for key, leg in after.legs.items()} == dict.fromkeys(wish.legs, "eth")
    assert (after.tunnels, after.bridges, after.entries, after.rules) == (
        wish.tunnels,
        wish.bridges,
        wish.entries,
        wish.rules,
    )
    # A route of a sandbox without legs fell with the last of them.
    assert {k: v for k, v in after.routes.items() if k.sandbox in with_legs} == {
        k: v for k, v in wish.routes.items() if k.sandbox in with_legs
    }
    assert [
        step for step in plan(wish, after).operations if not isinstance(step, op.SetRoute)
    ] == []
