"""Which address is advertised, and when the choice is the operator's."""

import pytest

from api.errors import Code, SwarmError
from swarmctl.addresses import choose, data_path, host_addresses

ANY = "0.0.0.0:2377"
ONE = [("eth0", "10.0.0.1")]
TWO = [("eth0", "10.0.0.1"), ("eth1", "10.1.0.1")]
TWICE = [("eth0", "10.0.0.1"), ("eth0", "10.0.0.2")]


@pytest.mark.parametrize(
    ("text", "listen", "own", "found"),
    [
        ("", ANY, ONE, "10.0.0.1:2377"),
        ("", "0.0.0.0:4000", ONE, "10.0.0.1:4000"),
        ("", "10.1.0.1:4000", TWO, "10.1.0.1:4000"),
        ("", "manager.example:4000", TWO, "manager.example:4000"),
        ("10.9.9.9", ANY, TWO, "10.9.9.9:2377"),
        ("10.9.9.9:5000", ANY, TWO, "10.9.9.9:5000"),
        ("eth1", ANY, TWO, "10.1.0.1:2377"),
        ("eth1:5000", ANY, TWO, "10.1.0.1:5000"),
        ("", ANY, [("eth0", "fd00::1")], "[fd00::1]:2377"),
        ("", "[::]:2377", ONE, "10.0.0.1:2377"),
    ],
)
def test_the_address_that_others_are_told(
    text: str, listen: str, own: list[tuple[str, str]], found: str
) -> None:
    assert choose(text, listen, own) == found


@pytest.mark.parametrize(
    ("text", "listen", "own", "field", "words"),
    [
        ("", ANY, TWO, "advertise_address", "10.0.0.1, 10.1.0.1"),
        ("", ANY, [], "advertise_address", "no address"),
        ("eth0", ANY, TWICE, "advertise_address", "several"),
        ("10.0.0.1:0", ANY, ONE, "advertise_address", "no address"),
        ("", "nowhere:x", ONE, "listen_address", "no address"),
    ],
)
def test_no_guess_is_made(
    text: str, listen: str, own: list[tuple[str, str]], field: str, words: str
) -> None:
    with pytest.raises(SwarmError, match=words) as refused:
        choose(text, listen, own)
    assert (refused.value.code, refused.value.field) == (Code.INVALID, field)


def test_this_hosts_own_addresses_are_no_loopback() -> None:
    assert not [address for _, address in host_addresses() if address.startswith("127.")]


OWN_PATHS = [("eth0", "192.0.2.7"), ("eth1", "192.0.2.8"), ("eth1", "192.0.2.9")]


@pytest.mark.parametrize(
    ("text", "found"),
    [("", ""), ("eth0", "192.0.2.7"), ("198.51.100.1", "198.51.100.1"), ("fd00::1", "fd00::1")],
)
def test_where_tunnels_end(text: str, found: str) -> None:
    assert data_path(text, OWN_PATHS) == found


@pytest.mark.parametrize(
    ("text", "words"), [("eth1", "--data-path-addr"), ("eth9", "neither"), ("1.2.3.4:5", "neither")]
)
def test_where_tunnels_cannot_end(text: str, words: str) -> None:
    with pytest.raises(SwarmError, match=words) as refused:
        data_path(text, OWN_PATHS)
    assert refused.value.field == "data_path_address"
