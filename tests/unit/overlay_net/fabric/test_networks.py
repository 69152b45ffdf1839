from typing import Any

import pytest

from api.errors import Code, SwarmError
from api.v1 import network_pb2
from overlay_net.encrypt.ends import address_of
from overlay_net.fabric.networks import Ground, NetworkForm, form
from overlay_net.fabric.picture import Bridge, On, Tunnel

GROUND = Ground("10.99.0.1", {"10.99.0.1": 1500, "eth0": 1500, "fd99::1": 9000, "eth1": 9000})
ME = network_pb2.NetworkPeer(node_id="me", data_path_address="10.99.0.1")


def network(subnet: str = "10.0.1.0/24", gateway: str = "", **fields: Any) -> NetworkForm:
    made = network_pb2.NodeNetwork(id="0123456789abcdef", name="front", **fields)
    made.pools.add(subnet=subnet, gateway=gateway)
    return form(made, GROUND, ME)


def refusal(**fields: Any) -> SwarmError:
    with pytest.raises(SwarmError) as refused:
        network(**fields)
    assert "front" in refused.value.what
    assert refused.value.why
    assert refused.value.remedy
    return refused.value


@pytest.mark.parametrize(
    ("own", "ground", "mtu"),
    [
        pytest.param(0, GROUND, 1450, id="all there is over IPv4"),
        pytest.param(1300, GROUND, 1300, id="the network's own is smaller"),
        pytest.param(9000, GROUND, 1450, id="the network's own is larger"),
        pytest.param(0, Ground("fd99::1", GROUND.mtus), 8930, id="all there is over IPv6"),
        pytest.param(0, Ground("fd99:0::1", GROUND.mtus), 8930, id="written otherwise"),
        pytest.param(0, Ground("10.99.0.1", {"10.99.0.1": 1400}), 1350, id="a small underlay"),
    ],
)
def test_mtu_of_an_overlay(own: int, ground: Ground, mtu: int) -> None:
    made = form(network_pb2.NodeNetwork(driver="overlay", vni=4097, mtu=own), ground, ME)
    assert made.mtu == mtu
    assert made.tunnel is not None
    assert made.tunnel.mtu == mtu
    assert made.tunnel.local in ground.mtus


def test_an_overlay_is_a_tunnel() -> None:
    made = network(driver="overlay", vni=4097)
    assert made.tunnel == Tunnel("vx4097", 4097, "10.99.0.1", 4789, 1450)
    assert (made.on, made.parent, made.outward) == (On.TUNNEL, "vx4097", True)
    assert network(vni=4097) == made
    assert not network(vni=4097, internal=True).outward


def test_an_encrypted_overlay_is_never_in_clear() -> None:
    error = refusal(driver="overlay", vni=4097, encrypted=True)
    assert error.code is Code.REFUSED
    end = address_of("me")
    me = network_pb2.NetworkPeer(node_id="me", wireguard_key=bytes(32), wireguard_address=end)
    for address, mtu in (("10.99.0.1", 1370), ("fd99::1", 8850)):
        ground = Ground(address, GROUND.mtus)
        made = form(network_pb2.NodeNetwork(vni=4097, encrypted=True), ground, me)
        assert made.tunnel is not None
        assert (made.tunnel.local, made.tunnel.mtu) == (end, mtu)


def test_a_bridge_has_the_gateways_of_its_pools() -> None:
    made = network(driver="bridge", subnet="10.5.0.0/20", gateway="10.5.0.1")
    assert made.bridge == Bridge("swb-0123456789a", frozenset({"10.5.0.1/20"}), 1500)
    assert made.gateways == {4: "10.5.0.1"}
    assert not made.outward
    assert network(driver="bridge", gateway="10.0.1.1", internal=True).gateways == {}


def test_macvlan_stands_on_the_device_that_is_named() -> None:
    made = network(driver="macvlan", gateway="10.0.1.1", driver_options={"parent": "eth1"})
    assert (made.on, made.parent, made.mtu) == (On.DEVICE, "eth1", 9000)
    assert made.gateways == {4: "10.0.1.1"}


def test_an_internal_macvlan_is_a_bridge_without_its_host() -> None:
    given: list[dict[str, str]] = [{}, {"parent": "eth1"}, {"parent": "eth7"}]
    for options in given:
        made = network(driver="macvlan", internal=True, gateway="10.0.1.1", driver_options=options)
        assert made.bridge == Bridge("swb-0123456789a", frozenset(), 1500)
        assert made.on is On.BRIDGE
        assert made.gateways == {}
        assert not made.outward
        assert all(way.internal for way in made.ways)


@pytest.mark.parametrize(
    ("fields", "code", "words"),
    [
        ({"driver": "weave"}, Code.UNSUPPORTED, "no driver weave"),
        ({"driver": "overlay"}, Code.REFUSED, "VXLAN number"),
        ({"driver": "macvlan"}, Code.INVALID, "none is named"),
        ({"driver": "macvlan", "driver_options": {"parent": "eth7"}}, Code.NOT_FOUND, "eth7"),
        ({"driver": "bridge", "mtu": 20}, Code.REFUSED, "too small for IPv4"),
        ({"driver": "bridge", "mtu": 1000, "subnet": "fd00::/64"}, Code.REFUSED, "for IPv6"),
    ],
)
def test_what_cannot_be_built(fields: dict[str, Any], code: Code, words: str) -> None:
    error = refusal(**fields)
    assert error.code is code
    assert words in error.why


def test_an_address_that_no_device_has() -> None:
    with pytest.raises(SwarmError, match=r"10\.1\.1\.1"):
        form(network_pb2.NodeNetwork(vni=1), Ground("10.1.1.1", GROUND.mtus), ME)
