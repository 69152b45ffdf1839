"""Networks of one host: subnets, addresses, and what the host is told."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.errors import Code, SwarmError
from api.v1 import network_pb2, objects_pb2, specs_pb2
from worker.network_book import ENDPOINT, NETWORK
from worker.standalone.local_networks import LocalNetworks

Endpoint = network_pb2.NetworkEndpoint


def spec(name: str = "front", *subnets: str, **fields: Any) -> specs_pb2.NetworkSpec:
    made = specs_pb2.NetworkSpec(driver="bridge", **fields)
    made.annotations.name = name
    made.pools.extend(specs_pb2.IpamConfig(subnet=subnet) for subnet in subnets)
    return made


def subnets(network: objects_pb2.Network) -> list[str]:
    return [pool.subnet for pool in network.pools]


def who(owner: str) -> Endpoint:
    return Endpoint(task_id=owner, name=f"name of {owner}")


def refusal(call: Any, *arguments: Any) -> SwarmError:
    with pytest.raises(SwarmError) as caught:
        call(*arguments)
    return caught.value


def test_a_subnet_is_chosen_that_meets_nothing() -> None:
    local = LocalNetworks()
    assert subnets(local.bridge(["172.18.0.0/16", "fe80::/64"])) == ["172.17.0.0/16"]
    assert subnets(local.create("1", spec("one"), ["172.18.5.0/24"])) == ["172.19.0.0/16"]
    two = local.create("2", spec("two", ipv6=True), ())
    assert [(pool.subnet, pool.gateway) for pool in two.pools] == [
        ("172.18.0.0/16", "172.18.0.1"),
        ("fd73:7761:726d::/64", "fd73:7761:726d::1"),
    ]
    named = local.create("3", spec("three", "10.7.0.0/24"), ())
    assert subnets(named) == ["10.7.0.0/24"]
    assert local.bridge(["172.17.0.0/16"]).pools[0].subnet == "172.17.0.0/16"


@pytest.mark.parametrize(
    ("asked", "used", "code"),
    [
        (spec("front"), ["10.0.0.0/8"], None),
        (spec("taken"), [], Code.EXISTS),
        (spec("bridge"), [], Code.INVALID),
        (spec("front", "172.17.0.0/24"), [], Code.REFUSED),
        (spec("front", "10.1.0.0/24"), ["10.0.0.0/8"], Code.REFUSED),
        (spec("front"), ["172.16.0.0/12", "192.168.0.0/16"], Code.EXHAUSTED),
        (spec("front", scope="swarm"), [], Code.INVALID),
        (spec("front", "10.1.0.1/24"), [], Code.INVALID),
    ],
)
def test_what_can_be_no_network(
    asked: specs_pb2.NetworkSpec, used: list[str], code: Code | None
) -> None:
    local = LocalNetworks()
    local.bridge(())
    local.create("t", spec("taken"), ())
    if code is None:
        local.create("f", asked, used)
    else:
        assert refusal(local.create, "f", asked, used).code is code
        assert set(local.networks) == {"bridge", "t"}


def test_addresses_are_given_and_taken_back() -> None:
    local = LocalNetworks()
    front = local.create("f", spec("front", "10.0.0.0/29", "10.0.1.0/29"), ())
    told = local.give(front, who("a"))
    network, endpoint = told
    assert isinstance(network, network_pb2.NodeNetwork)
    assert isinstance(endpoint, Endpoint)
    assert (network.name, network.driver, network.nameless) == ("front", "bridge", False)
    assert list(endpoint.addresses) == ["10.0.0.2/29"]
    local.give(front, who("b"), ["10.0.1.5"])
    assert list(local.endpoints["f", "b"].addresses) == ["10.0.1.5/29"]
    assert refusal(local.give, front, who("c"), ["10.0.1.5"]).code is Code.REFUSED
    assert refusal(local.give, front, who("c"), ["10.0.0.1"]).code is Code.REFUSED
    assert refusal(local.give, front, who("c"), ["10.9.0.1"]).code is Code.INVALID
    assert refusal(local.remove, "front").why == "by name of a, name of b"
    assert [key.kind for key in local.take_back("a")] == [ENDPOINT]
    assert [key.kind for key in local.take_back("b", "f")] == [ENDPOINT, NETWORK]
    assert local.take_back("b") == []
    assert local.remove("front") == front
    assert refusal(local.remove, "front").code is Code.NOT_FOUND


def test_a_network_that_is_full() -> None:
    local = LocalNetworks()
    front = local.create("f", spec("front", "10.0.0.0/30"), ())
    local.give(front, who("a"))
    assert refusal(local.give, front, who("b")).code is Code.EXHAUSTED
    local.take_back("a")
    local.give(front, who("b"))


def test_the_default_bridge_stays_and_has_no_names() -> None:
    local = LocalNetworks()
    bridge = local.bridge(())
    assert list(local.items()) == []
    network, _ = local.give(bridge, who("a"))
    assert isinstance(network, network_pb2.NodeNetwork)
    assert network.nameless
    assert len(list(local.items())) == 2
    assert refusal(local.remove, "bridge").code is Code.NOT_FOUND


def test_found_by_name_id_or_the_beginning_of_one() -> None:
    local = LocalNetworks()
    one = local.create("abc1", spec("one"), ())
    local.create("abd2", spec("two"), ())
    for key in ("one", "abc1", "abc"):
        assert local.find(key) == one
    assert local.find("ab") is local.find("") is local.find("x") is None


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.booleans()), max_size=30))
def test_nobody_has_anothers_address(steps: list[tuple[str, bool]]) -> None:
    local = LocalNetworks()
    front = local.create("f", spec("front", "10.0.0.0/28", ipv6=True), ())
    for owner, comes in steps:
        if not comes:
            local.take_back(owner)
        elif ("f", owner) not in local.endpoints:
            local.give(front, who(owner))
        held = [text for each in local.endpoints.values() for text in each.addresses]
        assert len(held) == len(set(held)) == 2 * len(local.endpoints)
        again = LocalNetworks(local.networks.values(), local.endpoints.values())
        assert list(again.items()) == list(local.items())


def test_who_is_in_a_network_that_is_not_there_is_left_out() -> None:
    before = LocalNetworks()
    before.give(before.bridge(()), who("here"))
    nowhere = Endpoint(network_id="none", task_id="here")
    local = LocalNetworks(before.networks.values(), [nowhere, *before.endpoints.values()])
    assert len(list(local.items())) == 2
    assert [key.kind for key in local.take_back("here")] == [ENDPOINT, NETWORK]
