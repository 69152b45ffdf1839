import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlay_net.fabric import hardware


@pytest.mark.parametrize(
    ("addresses", "mac"),
    [
        (["10.0.1.5/24"], "02:42:0a:00:01:05"),
        (["10.0.1.5"], "02:42:0a:00:01:05"),
        (["fd00::5/64", "192.168.0.255/16"], "02:42:c0:a8:00:ff"),
        (["::5/64", "192.168.0.255/16"], "02:42:c0:a8:00:ff"),
    ],
)
def test_of_an_ipv4_address_as_docker_makes_it(addresses: list[str], mac: str) -> None:
    assert hardware.shown(hardware.hardware_address(addresses)) == mac


@given(st.lists(st.ip_addresses(v=6), min_size=2, max_size=5, unique=True))
def test_without_ipv4_it_follows_from_the_addresses_in_any_order(addresses: list[object]) -> None:
    given = [f"{address}/64" for address in addresses]
    mac = hardware.hardware_address(given)
    assert mac == hardware.hardware_address(reversed(given))
    assert mac.startswith(b"\x02\x42")
    assert len(mac) == 6


def test_nothing_has_no_address() -> None:
    with pytest.raises(ValueError, match="no hardware address"):
        hardware.hardware_address([])


@given(st.text(min_size=1, max_size=60), st.binary(min_size=6, max_size=6))
def test_names_of_devices_fit_the_kernel(text: str, mac: bytes) -> None:
    assert len(hardware.port_name(text, mac)) < 16
    assert len(hardware.bridge_name("n" * len(text))) < 16
    assert len(hardware.tunnel_name((1 << 24) - 1)) < 16
    assert len(hardware.GATEWAY_BRIDGE) < 16
