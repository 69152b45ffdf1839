import ipaddress
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.errors import Code, SwarmError
from overlay_net.fabric import gateway

SMALL = ipaddress.IPv4Network("10.5.0.0/28")  # room for 13
SANDBOXES = st.sets(st.sampled_from([f"/run/netns/{n}" for n in range(30)]), max_size=13)


@pytest.mark.parametrize(
    ("now", "routed", "networks", "subnet"),
    [
        pytest.param([], [], [], "172.18.0.0/16", id="nothing is taken"),
        pytest.param([], ["0.0.0.0/0", "::/0"], [], "172.18.0.0/16", id="a default is no matter"),
        pytest.param([], ["172.18.4.0/24"], ["172.19.0.0/16"], "172.20.0.0/16", id="both are"),
        pytest.param([], ["172.16.0.0/12"], [], "192.168.0.0/20", id="all of 172"),
        pytest.param([], ["172.16.0.0/12", "192.168.16.7/32"], [], "192.168.0.0/20", id="32"),
        pytest.param(["172.18.0.1/16"], ["172.18.0.0/16"], [], "172.18.0.0/16", id="its own route"),
        pytest.param(
            ["172.18.0.1/16"],
            ["172.18.0.0/16"],
            ["172.18.3.0/24"],
            "172.19.0.0/16",
            id="a network came to where it is",
        ),
        pytest.param([], [], ["", "fd00::/8"], "172.18.0.0/16", id="no pool, and IPv6"),
    ],
)
def test_where_the_bridge_is(
    now: Sequence[str], routed: Sequence[str], networks: Sequence[str], subnet: str
) -> None:
    assert str(gateway.subnet(now, routed, networks)) == subnet


def test_no_subnet_is_free() -> None:
    with pytest.raises(SwarmError) as refused:
        gateway.subnet([], ["172.16.0.0/12"], ["192.168.0.0/16"])
    assert refused.value.code is Code.EXHAUSTED


@given(SANDBOXES, SANDBOXES)
def test_addresses_are_distinct_and_kept(before: set[str], after: set[str]) -> None:
    first = gateway.assign(SMALL, before, {})
    second = gateway.assign(SMALL, after, first)
    for found, sandboxes in ((first, before), (second, after)):
        given = [ipaddress.ip_interface(address) for address in found.values()]
        assert found.keys() == sandboxes
        assert len(set(given)) == len(given)
        assert all(each.network == SMALL and each.ip in list(SMALL.hosts())[1:] for each in given)
    assert all(second[each] == first[each] for each in before & after)
    assert gateway.gateway(SMALL) == "10.5.0.1/28"


def test_what_is_held_of_another_subnet_or_twice_is_not_kept() -> None:
    held = {"a": "10.6.0.4/28", "b": "10.5.0.4/28", "c": "10.5.0.4/28", "d": "10.5.0.1/28"}
    found = gateway.assign(SMALL, "abcd", held)
    assert found["b"] == "10.5.0.4/28"
    assert len(set(found.values())) == 4
    assert "10.5.0.1/28" not in found.values()
    assert all(ipaddress.ip_interface(each).network == SMALL for each in found.values())


def test_more_sandboxes_than_addresses() -> None:
    with pytest.raises(SwarmError) as refused:
        gateway.assign(SMALL, (str(number) for number in range(14)), {})
    assert refused.value.code is Code.EXHAUSTED
