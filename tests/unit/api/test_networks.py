"""Which networks nobody could build."""

from collections.abc import Callable

import pytest

from api.errors import SwarmError
from api.networks import address_pools, driver_of, is_encrypted, is_internal, mtu_of, scope_of
from api.v1 import specs_pb2
from api.validate import network_spec

Spec = specs_pb2.NetworkSpec
Edit = Callable[[Spec], object]


def spec(edit: Edit = lambda _: None) -> Spec:
    made = Spec()
    made.annotations.name = "front"
    made.pools.add(subnet="10.0.1.0/24", gateway="10.0.1.1", ip_range="10.0.1.128/25")
    made.pools[0].aux_addresses["router"] = "10.0.1.2"
    edit(made)
    return made


def pool(subnet: str = "", gateway: str = "", ip_range: str = "") -> Edit:
    given = specs_pb2.IpamConfig(subnet=subnet, gateway=gateway, ip_range=ip_range)
    return lambda s: s.pools[0].MergeFrom(given)


def test_a_network_with_everything_passes() -> None:
    made = spec(lambda s: s.driver_options.update({"encrypted": "", "mtu": "1400"}))
    network_spec(made)
    assert (driver_of(made), scope_of(made)) == ("overlay", "swarm")
    assert is_encrypted(made)
    assert mtu_of(made) == 1400
    assert scope_of(Spec(driver="bridge")) == "local"
    assert scope_of(Spec(driver="macvlan")) == "swarm"
    assert not is_internal(made)
    assert is_internal(Spec(internal=True))
    assert is_internal(Spec(driver="macvlan")), "it stands on nothing that leads out"
    assert not is_internal(Spec(driver="macvlan", driver_options={"parent": "eth0"}))
    assert not is_encrypted(spec(lambda s: s.driver_options.update({"encrypted": "false"})))


@pytest.mark.parametrize(
    ("edit", "field", "words"),
    [
        (lambda s: setattr(s.annotations, "name", "a b"), "annotations.name", "no valid name"),
        (lambda s: setattr(s.annotations, "name", "host"), "annotations.name", "by itself"),
        (lambda s: setattr(s, "driver", "host"), "driver", "one network host"),
        (lambda s: setattr(s, "driver", "weave"), "driver", "overlay, bridge, macvlan"),
        (lambda s: setattr(s, "scope", "local"), "scope", "span the swarm"),
        (lambda s: s.MergeFrom(Spec(driver="macvlan", scope="local")), "scope", "span the swarm"),
        (
            lambda s: s.MergeFrom(Spec(driver="macvlan", driver_options={"macvlan_mode": "vepa"})),
            "driver_options[macvlan_mode]",
            "not supported",
        ),
        (lambda s: setattr(s, "scope", "moon"), "scope", "no scope"),
        (lambda s: s.MergeFrom(Spec(ingress=True, internal=True)), "ingress", "internal"),
        (lambda s: s.driver_options.update({"x": "1"}), "driver_options[x]", "no such option"),
        (lambda s: s.driver_options.update({"mtu": "9"}), "driver_options[mtu]", "no MTU"),
        (lambda s: s.pools[0].Clear(), "pools[0].subnet", "needed"),
        (pool(subnet="10.0.1.0/33"), "pools[0].subnet", "no subnet"),
        (pool(subnet="10.0.1.7/24"), "pools[0].subnet", "10.0.1.0/24"),
        (pool(subnet="8.0.0.0/7"), "pools[0].subnet", "too large"),
        (pool(subnet="10.0.1.0/31"), "pools[0].subnet", "too small"),
        (pool(subnet="224.0.0.0/24"), "pools[0].subnet", "not for hosts"),
        (lambda s: s.pools.add(subnet="fd00::/64"), "pools[1].subnet", "--ipv6"),
        (pool(ip_range="10.0.2.0/25"), "pools[0].ip_range", "no part"),
        (pool(ip_range="fd00::/64"), "pools[0].ip_range", "no part"),
        (pool(gateway="10.0.2.1"), "pools[0].gateway", "no host's address"),
        (pool(gateway="10.0.1.0"), "pools[0].gateway", "no host's address"),
        (pool(gateway="10.0.1.255"), "pools[0].gateway", "no host's address"),
        (pool(gateway="fd00::1"), "pools[0].gateway", "no host's address"),
        (pool(gateway="x"), "pools[0].gateway", "no IP address"),
        (pool(gateway="10.0.1.2"), "pools[0].aux_addresses[router]", "the gateway already"),
        (
            lambda s: s.pools[0].aux_addresses.update({"other": "10.0.3.1"}),
            "pools[0].aux_addresses[other]",
            "no host's address",
        ),
        (lambda s: s.pools.add(subnet="10.0.0.0/16"), "pools[1].subnet", "overlaps"),
    ],
)
def test_what_cannot_be_is_refused_with_its_field(edit: Edit, field: str, words: str) -> None:
    with pytest.raises(SwarmError) as refused:
        network_spec(spec(edit))
    assert refused.value.field == field
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("pools", "size", "field"),
    [
        (["10.0.0.0/8"], 0, ""),
        (["10.20.0.0/16", "10.30.0.0/16"], 26, ""),
        ([], 20, ""),
        (["10.20.0.0/16", "10.20.1.0/24"], 26, "address_pools[1]"),
        (["10.20.0.0/16"], 8, "subnet_size"),
        (["10.20.0.0/16"], 30, "subnet_size"),
        ([], 30, "subnet_size"),
        (["fd00::/48"], 64, "address_pools[0]"),
        (["ten"], 24, "address_pools[0]"),
    ],
)
def test_pools_have_to_have_room_for_subnets(pools: list[str], size: int, field: str) -> None:
    if not field:
        address_pools(pools, size)
        return
    with pytest.raises(SwarmError) as refused:
        address_pools(pools, size)
    assert refused.value.field == field
