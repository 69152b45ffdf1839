import dataclasses
import ipaddress
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.errors import Code, SwarmError
from api.v1 import network_pb2, specs_pb2
from overlay_net.encrypt.ends import address_of
from overlay_net.fabric.drawing import Host
from overlay_net.fabric.hardware import hardware_address
from overlay_net.fabric.networks import Ground
from overlay_net.fabric.picture import LegKey, On, Picture, RouteKey
from overlay_net.fabric.wanted import Sandbox, Wanted

ME, OTHER, THIRD = "me", "other", "third"
ADDRESSES = {ME: "10.99.0.1", OTHER: "10.99.0.2", THIRD: "10.99.0.3"}
HOST = Host(
    "/host",
    Ground("10.99.0.1", {"10.99.0.1": 1500, "eth0": 1500}),
    ipaddress.IPv4Network("172.18.0.0/16"),
)


def network(id: str, vni: int, subnet: str, **fields: Any) -> network_pb2.NodeNetwork:
    made = network_pb2.NodeNetwork(id=id, name=id, driver=fields.pop("driver", "overlay"), vni=vni)
    for name, value in fields.items():
        setattr(made, name, value)
    made.pools.add(subnet=subnet, gateway=str(ipaddress.ip_network(subnet)[1]))
    return made


def endpoint(network_id: str, task: str, node: str, *given: str) -> network_pb2.NetworkEndpoint:
    return network_pb2.NetworkEndpoint(
        network_id=network_id, task_id=task, node_id=node, addresses=given
    )


def peer(node: str, *ingress: str) -> network_pb2.NetworkPeer:
    return network_pb2.NetworkPeer(
        node_id=node, data_path_address=ADDRESSES[node], ingress_addresses=ingress
    )


FRONT = network("front", 4097, "10.0.1.0/24")
BACK = network("back", 4098, "10.0.2.0/24", internal=True)
INGRESS = network("ingress", 4096, "10.255.0.0/16", ingress=True)
LOCAL = network("local", 0, "10.5.0.0/24", driver="bridge")


def told(*what: Any, order: tuple[str, ...] = ("front", "back", "local")) -> Wanted:
    wanted = Wanted(ME)
    for node in ADDRESSES:
        wanted.put_peer(peer(node))
    wanted.put_sandbox("mine", Sandbox("/mine", order))
    for each in what:
        tell(wanted, each)
    return wanted


def tell(wanted: Wanted, message: Any) -> None:
    if isinstance(message, network_pb2.NodeNetwork):
        wanted.put_network(message)
    elif isinstance(message, network_pb2.NetworkEndpoint):
        wanted.put_endpoint(message)
    else:
        wanted.put_peer(message)


def names(picture: Picture) -> dict[str, str]:
    """Parents of legs by address, in order."""
    return {" ".join(sorted(leg.addresses)): leg.parent for leg in picture.legs.values()}


def packed(address: str) -> bytes:
    return ipaddress.ip_address(address).packed


def test_an_endpoint_elsewhere_is_reached_and_answered_for() -> None:
    wanted = told(FRONT, endpoint("front", "t", OTHER, "10.0.1.5/24", "fd01::5/64"))
    mac = hardware_address(["10.0.1.5"])
    assert wanted.picture(HOST).entries == {
        "vx4097": {
            mac: packed("10.99.0.2"),
            packed("10.0.1.5"): mac,
            packed("fd01::5"): mac,
        }
    }
    assert wanted.picture(HOST).legs == {}


def test_one_that_moves_keeps_its_hardware_address() -> None:
    wanted = told(FRONT, endpoint("front", "t", OTHER, "10.0.1.5/24"))
    wanted.picture(HOST)
    assert wanted.take_changed() is None
    wanted.put_endpoint(endpoint("front", "t2", THIRD, "10.0.1.5/24"))
    wanted.drop_endpoint("front", "t")
    mac = hardware_address(["10.0.1.5"])
    assert wanted.take_changed() == {"vx4097": {mac, packed("10.0.1.5")}}
    assert wanted.picture(HOST).entries["vx4097"][mac] == packed("10.99.0.3")


def test_one_that_moved_is_no_matter_of_the_node_it_left() -> None:
    wanted = told(FRONT, endpoint("front", "t", OTHER, "10.0.1.5/24"))
    wanted.put_endpoint(endpoint("front", "t", THIRD, "10.0.1.5/24"))
    wanted.drop_endpoint("front", "t")
    assert wanted._on_node == {}
    assert wanted.picture(HOST).entries == {"vx4097": {}}


def test_a_dead_nodes_endpoints_are_not_reached() -> None:
    wanted = told(FRONT, endpoint("front", "t", OTHER, "10.0.1.5/24"))
    wanted.drop_peer(OTHER)
    assert wanted.picture(HOST).entries == {"vx4097": {}}
    wanted.put_peer(peer(OTHER))
    assert len(wanted.picture(HOST).entries["vx4097"]) == 2


def test_a_task_of_ours_stands_in_its_networks_in_their_order() -> None:
    mine = [
        endpoint(n, "mine", ME, a) for n, a in (("front", "10.0.1.5/24"), ("back", "10.0.2.5/24"))
    ]
    for order in (("front", "back"), ("back", "front")):
        picture = told(FRONT, BACK, *mine, order=order).picture(HOST)
        tunnels = {"front": "vx4097", "back": "vx4098"}
        assert list(names(picture).values())[:2] == [tunnels[each] for each in order]
        assert picture.entries == {"vx4097": {}, "vx4098": {}}


def test_overlays_lead_out_by_the_gateway_bridge() -> None:
    picture = told(FRONT, endpoint("front", "mine", ME, "10.0.1.5/24")).picture(HOST)
    (_, leg) = list(picture.legs.items())[-1]
    assert (leg.on, leg.parent, leg.isolated) == (On.BRIDGE, "swb-gateway", True)
    assert picture.routes == {RouteKey("/mine", 4): "172.18.0.1"}
    assert picture.bridges["swb-gateway"].addresses == {"172.18.0.1/16"}
    assert "172.18.0.0/16" in picture.rules
    held = dataclasses.replace(HOST, held={"/mine": "172.18.9.9/16"})
    again = told(FRONT, endpoint("front", "mine", ME, "10.0.1.5/24")).picture(held)
    assert LegKey("/mine", hardware_address(["172.18.9.9"])) in again.legs


def test_without_a_gateway_bridge_there_is_no_way_out_but_all_else() -> None:
    why = SwarmError(Code.EXHAUSTED, "no subnet is free")
    host = dataclasses.replace(HOST, gateway=why)
    wanted = told(FRONT, endpoint("front", "mine", ME, "10.0.1.5/24"))
    picture = wanted.picture(host)
    assert wanted.refused == {"swb-gateway": why}
    assert names(picture) == {"10.0.1.5/24": "vx4097"}
    assert (picture.routes, picture.bridges) == ({}, {})
    assert told(BACK, endpoint("back", "mine", ME, "10.0.2.5/24")).picture(host).legs


def test_internal_networks_lead_nowhere() -> None:
    picture = told(BACK, endpoint("back", "mine", ME, "10.0.2.5/24")).picture(HOST)
    assert (picture.routes, picture.bridges) == ({}, {})
    assert len(picture.legs) == 1


def test_a_bridge_of_its_own_is_the_way_out() -> None:
    mine = endpoint("local", "mine", ME, "10.5.0.5/24")
    picture = told(LOCAL, FRONT, mine, endpoint("front", "mine", ME, "10.0.1.5/24")).picture(HOST)
    assert picture.routes == {RouteKey("/mine", 4): "10.5.0.1"}
    assert set(picture.bridges) == {"swb-local"}


def test_the_host_itself_stands_in_the_ingress_network() -> None:
    wanted = told(INGRESS, peer(ME, "10.255.0.2"), peer(OTHER, "10.255.0.3/16"))
    picture = wanted.picture(HOST)
    (key,) = picture.legs
    assert (key.sandbox, picture.legs[key].name) == ("/host", "ing")
    assert picture.legs[key].addresses == {"10.255.0.2/32"}, "it lies over no route of the host"
    mac = hardware_address(["10.255.0.3"])
    assert picture.entries["vx4096"] == {mac: packed("10.99.0.2"), packed("10.255.0.3"): mac}
    assert (picture.routes, picture.bridges) == ({}, {})


def test_what_cannot_be_built_is_told_and_hinders_nothing_else() -> None:
    odd = network("odd", 0, "10.7.0.0/24", driver="weave")
    wanted = told(odd, FRONT, endpoint("odd", "mine", ME, "10.7.0.5/24"))
    wanted.put_endpoint(endpoint("front", "mine", ME, "10.0.1.5/24"))
    picture = wanted.picture(HOST)
    assert wanted.refused["odd"].code is Code.UNSUPPORTED
    assert "10.7.0.5/24" not in names(picture)
    assert names(picture)["10.0.1.5/24"] == "vx4097"


def test_whoever_leaves_is_forgotten() -> None:
    wanted = told(FRONT, endpoint("front", "mine", ME, "10.0.1.5/24"))
    wanted.drop_sandbox("mine")
    assert wanted.picture(HOST).legs == {}
    assert wanted.sandboxes() == []
    wanted.drop_network("front")
    wanted.drop_network("front")
    assert wanted.picture(HOST).tunnels == {}
    assert wanted.subnets() == []
    wanted.put_network(FRONT)
    assert wanted.picture(HOST).entries == {"vx4097": {}}


def test_an_encrypted_network_reaches_by_encrypted_ends_alone() -> None:
    secret = network("front", 4097, "10.0.1.0/24", encrypted=True)
    wanted = told(secret, endpoint("front", "t", OTHER, "10.0.1.5/24"))
    assert wanted.picture(HOST).entries == {}
    assert "in clear" in wanted.refused["front"].why
    wanted.guarded = {4097}
    assert wanted.picture(HOST).entries == {}
    assert "key" in wanted.refused["front"].why
    wanted.put_peer(_with_key(ME, address_of(ME)))
    assert wanted.picture(HOST).entries == {"vx4097": {}}
    wanted.put_peer(_with_key(OTHER, address_of(ME)))
    assert wanted.picture(HOST).entries == {"vx4097": {}}, "nobody has another's address"
    wanted.put_peer(_with_key(OTHER, address_of(OTHER)))
    ends = set(wanted.picture(HOST).entries["vx4097"].values())
    assert packed(address_of(OTHER)) in ends
    assert packed("10.99.0.2") not in ends


def _with_key(node: str, address: str) -> network_pb2.NetworkPeer:
    return network_pb2.NetworkPeer(node_id=node, wireguard_key=bytes(32), wireguard_address=address)


@pytest.mark.parametrize(
    "bad",
    [
        network_pb2.NetworkEndpoint(network_id="front", task_id="t", addresses=["10.0.1/24"]),
        network_pb2.NetworkEndpoint(network_id="front", task_id="t", addresses=["10.0.1.999/24"]),
        network_pb2.NetworkPeer(node_id=OTHER, data_path_address="somewhere"),
        network_pb2.NodeNetwork(id="x", pools=[specs_pb2.IpamConfig(subnet="10.0.0.1/8")]),
    ],
)
def test_what_is_no_address_is_refused_before_anything_changes(bad: Any) -> None:
    wanted = told(FRONT, endpoint("front", "t", OTHER, "10.0.1.5/24"))
    before = wanted.picture(HOST)
    with pytest.raises(SwarmError) as refused:
        tell(wanted, bad)
    assert refused.value.code is Code.INVALID
    assert wanted.picture(HOST) == before


def test_addresses_are_as_the_kernel_shows_them() -> None:
    wanted = told(FRONT, endpoint("front", "mine", ME, "10.0.1.5/24", "fd01:0:0::05/64"))
    assert "10.0.1.5/24 fd01::5/64" in names(wanted.picture(HOST))


NODES = st.sampled_from([ME, OTHER, THIRD])
NETWORKS = st.sampled_from([FRONT, BACK, INGRESS, LOCAL])
TASKS = st.sampled_from(["mine", "t1", "t2"])
PREFIXES = {"front": "10.0.1", "back": "10.0.2", "ingress": "10.255.0", "local": "10.5.0"}


def _endpoint(drawn: tuple[network_pb2.NodeNetwork, str, str]) -> network_pb2.NetworkEndpoint:
    of, task, node = drawn
    number = {"mine": 5, "t1": 6, "t2": 7}[task]
    return endpoint(of.id, task, node, f"{PREFIXES[of.id]}.{number}/24")


Step = Callable[[Wanted], None]
PUTS = st.one_of(
    NETWORKS,
    st.tuples(NETWORKS, TASKS, NODES).map(_endpoint),
    NODES.map(peer),
    NODES.map(lambda node: peer(node, f"10.255.0.{20 + len(node)}/16")),
)
DROPS: st.SearchStrategy[Step] = st.one_of(
    NETWORKS.map(lambda each: lambda wanted: wanted.drop_network(each.id)),
    NODES.map(lambda node: lambda wanted: wanted.drop_peer(node)),
    st.tuples(NETWORKS, TASKS).map(
        lambda each: lambda wanted: wanted.drop_endpoint(each[0].id, each[1])
    ),
)


@given(st.lists(st.one_of(PUTS, DROPS), max_size=25))
def test_told_bit_by_bit_or_anew_it_is_the_same(steps: list[Any]) -> None:
    wanted = told()
    shown: dict[str, dict[bytes, bytes]] = {}
    for step in steps:
        if callable(step):
            step(wanted)
        else:
            tell(wanted, step)
        entries = wanted.picture(HOST).entries
        changed = wanted.take_changed()
        if changed is None:
            shown = {name: dict(each) for name, each in entries.items()}
        for name, keys in (changed or {}).items():
            for key in keys:
                shown.get(name, {}).pop(key, None)
                if key in entries.get(name, {}):
                    shown[name][key] = entries[name][key]
        assert shown == entries
    anew = Wanted(ME)
    anew.put_sandbox("mine", Sandbox("/mine", ("front", "back", "local")))
    for each in (*wanted._networks.values(), *wanted._peers.values(), *wanted._endpoints.values()):
        tell(anew, each)
    assert anew.picture(HOST) == wanted.picture(HOST)
