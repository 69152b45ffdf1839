"""Where a host listens, which address is advertised, and when the choice is the operator's."""

import ipaddress

import pytest

from api.errors import Code, SwarmError
from swarmctl.addresses import Own, choose, data_path, host_addresses

ANY = "0.0.0.0:2377"
LO = {"lo": ["127.0.0.1", "::1"]}
ONE = LO | {"eth0": ["10.0.0.1"]}
TWO = ONE | {"eth1": ["10.1.0.1"]}
TWICE = LO | {"eth0": ["10.0.0.2", "10.0.0.1"]}
SIX = LO | {"eth0": ["fd00::1"]}
BRIDGED = ONE | {"swb-gateway": ["172.18.0.1"], "swb-0123456789a": ["172.17.0.1", "fd01::1"]}
BOTH = LO | {"eth0": ["10.0.0.1", "fd00::1"]}
SIXES = LO | {"eth0": ["10.0.0.1", "fd00::1", "fd00::2"], "tun0": []}


@pytest.mark.parametrize(
    ("advertise", "listen", "own", "told", "listening"),
    [
        ("", ANY, ONE, "10.0.0.1:2377", ANY),
        ("", "[::]", ONE, "10.0.0.1:2377", "[::]:2377"),
        ("", "0.0.0.0:4000", ONE, "10.0.0.1:4000", "0.0.0.0:4000"),
        ("", "10.1.0.1:4000", TWO, "10.1.0.1:4000", "10.1.0.1:4000"),
        ("", "manager.example:4000", TWO, "manager.example:4000", "manager.example:4000"),
        ("10.9.9.9", ANY, TWO, "10.9.9.9:2377", ANY),
        ("10.9.9.9:5000", ANY, TWO, "10.9.9.9:5000", ANY),
        ("eth1", ANY, TWO, "10.1.0.1:2377", ANY),
        ("eth1:5000", ANY, TWO, "10.1.0.1:5000", ANY),
        ("eth1", "eth0", TWO, "10.1.0.1:2377", "10.0.0.1:2377"),
        ("", "eth1:4000", TWO, "10.1.0.1:4000", "10.1.0.1:4000"),
        ("", "lo:4000", LO | {"lo": ["127.0.0.1"]}, "127.0.0.1:4000", "127.0.0.1:4000"),
        ("", ANY, SIX, "[fd00::1]:2377", ANY),
        ("", "eth0", SIX, "[fd00::1]:2377", "[fd00::1]:2377"),
        ("", "eth0:2377", BOTH, "10.0.0.1:2377", "10.0.0.1:2377"),
        ("", "[::]:2377", ONE, "10.0.0.1:2377", "[::]:2377"),
        ("eth9", ANY, ONE, "eth9:2377", ANY),
        ("", ANY, BRIDGED, "10.0.0.1:2377", ANY),
        ("swb-gateway", ANY, BRIDGED, "172.18.0.1:2377", ANY),
    ],
)
def test_addresses(advertise: str, listen: str, own: Own, told: str, listening: str) -> None:
    assert choose(advertise, listen, own) == (told, listening)


@pytest.mark.parametrize(
    ("advertise", "listen", "own", "field", "words"),
    [
        ("", ANY, TWO, "advertise_address", "10.0.0.1, 10.1.0.1"),
        ("", ANY, LO, "advertise_address", "no address"),
        ("eth0", ANY, TWICE, "advertise_address", r"eth0 has several.*10\.0\.0\.1, 10\.0\.0\.2"),
        ("", "eth0:2377", TWICE, "listen_address", "several.*Choose one with --listen-addr"),
        ("", "eth0", SIXES, "listen_address", "10.0.0.1, fd00::1, fd00::2"),
        ("", "tun0", SIXES, "listen_address", "tun0 has no address"),
        ("10.0.0.1:0", ANY, ONE, "advertise_address", "no address"),
        (ANY, ANY, ONE, "advertise_address", "--advertise-addr"),
        ("[::]", ANY, ONE, "advertise_address", "stands for every address"),
        ("", "nowhere:x", ONE, "listen_address", "no address"),
    ],
)
def test_no_guess_is_made(advertise: str, listen: str, own: Own, field: str, words: str) -> None:
    with pytest.raises(SwarmError, match=words) as refused:
        choose(advertise, listen, own)
    assert (refused.value.code, refused.value.field) == (Code.INVALID, field)


@pytest.mark.root
def test_this_hosts_own_addresses() -> None:
    own = host_addresses()
    assert "127.0.0.1" in own["lo"]
    found = [ipaddress.ip_address(each) for every in own.values() for each in every]
    assert not [each for each in found if each.is_link_local]


OWN_PATHS = {"eth0": ["192.0.2.7"], "eth1": ["192.0.2.8", "192.0.2.9"]}


@pytest.mark.parametrize(
    ("text", "found"),
    [("", ""), ("eth0", "192.0.2.7"), ("198.51.100.1", "198.51.100.1"), ("fd00::1", "fd00::1")],
)
def test_where_tunnels_end(text: str, found: str) -> None:
    assert data_path(text, OWN_PATHS) == found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("eth1", "--data-path-addr"),
        ("eth9", "neither"),
        ("1.2.3.4:5", "neither"),
        ("::", "cannot reach this one at ::"),
    ],
)
def test_where_tunnels_cannot_end(text: str, words: str) -> None:
    with pytest.raises(SwarmError, match=words) as refused:
        data_path(text, OWN_PATHS)
    assert refused.value.field == "data_path_address"
