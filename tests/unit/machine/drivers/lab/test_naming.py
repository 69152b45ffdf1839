from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from machine.drivers.lab import naming
from machine.drivers.lab.naming import HostPaths, LabPaths


@pytest.mark.parametrize("name", ["lab", "a", "x123", "abcdefghijkl"])
def test_lab_names(name: str) -> None:
    assert naming.check_lab(name) == name


@pytest.mark.parametrize(
    "name", ["", "Lab", "1lab", "a-b", "a_b", "..", "a/b", "abcdefghijklm", "lab\n", "läb"]
)
def test_what_no_lab_may_be_called(name: str) -> None:
    with pytest.raises(SwarmError) as refused:
        naming.check_lab(name)
    assert refused.value.code is Code.INVALID


@pytest.mark.parametrize("base", ["relative", "/tmp/x", "/run/labs", "/var/lib/" + "x" * 40])
def test_where_labs_cannot_be_kept(base: str) -> None:
    with pytest.raises(SwarmError, match="cannot be kept"):
        naming.check_base(Path(base))


@pytest.mark.parametrize(
    ("shape", "names"),
    [
        ((1, 0, False), ["m1"]),
        ((1, 2, True), ["m1", "w1", "w2", "registry"]),
        ((3, 1, False), ["m1", "m2", "m3", "w1"]),
    ],
)
def test_host_names(shape: tuple[int, int, bool], names: list[str]) -> None:
    assert naming.host_names(*shape) == names


@pytest.mark.parametrize("shape", [(0, 1), (40, 1), (1, -1), (1, 201)])
def test_shapes_that_are_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(SwarmError) as refused:
        naming.host_names(*shape, registry=False)
    assert refused.value.field in {"managers", "workers"}


def test_every_host_of_the_largest_lab_has_an_address_of_its_own() -> None:
    names = naming.host_names(naming.MAX_MANAGERS, naming.MAX_WORKERS, True)
    addresses = [naming.host_address(7, name) for name in names]
    assert len({*addresses, naming.bridge_address(7)}) == len(names) + 1
    assert all(0 < int(address.removeprefix("10.77.7.")) < 255 for address in addresses)


@pytest.mark.parametrize("name", ["m0", "m40", "w201", "w01", "x1", "", "m", "m1 ", "../m1"])
def test_names_that_no_host_has(name: str) -> None:
    with pytest.raises(SwarmError, match="no name for a host"):
        naming.host_address(0, name)


@pytest.mark.parametrize(
    ("name", "has_place"), [("m1", True), ("registry", True), ("m40", False), ("h1", False)]
)
def test_names_that_decide_about_an_address(name: str, has_place: bool) -> None:
    assert naming.has_place(name) == has_place


@pytest.mark.parametrize("name", ["", "H1", "web-1", "1h", "abcdefghijkl", "../h", "h1\n"])
def test_what_no_host_may_be_called(name: str) -> None:
    with pytest.raises(SwarmError, match="no name for a host"):
        naming.check_host(name)
    assert naming.check_host("abcdefghijk") == "abcdefghijk"


def test_other_hosts_are_numbered_from_above_until_all_are_taken() -> None:
    taken = {naming.host_address(7, name) for name in naming.host_names(39, 200, True)}
    found: list[str] = []
    for _ in range(13):
        found.append(naming.free_address(7, taken | set(found)))
    with pytest.raises(SwarmError) as refused:
        naming.free_address(7, taken | set(found))
    assert refused.value.code is Code.EXHAUSTED
    assert (found[0], found[-1]) == ("10.77.7.254", "10.77.7.3")
    assert not taken & set(found)


def test_hardware_addresses_differ_with_addresses() -> None:
    assert naming.hardware_address("10.77.3.11") == "02:77:0a:4d:03:0b"


@pytest.mark.parametrize(("taken", "free"), [([], 0), ([0, 1, 3], 2), ([1], 0), (range(255), 255)])
def test_free_subnet(taken: list[int], free: int) -> None:
    assert naming.free_subnet(taken) == free


def test_no_subnet_is_left() -> None:
    with pytest.raises(SwarmError) as refused:
        naming.free_subnet(range(256))
    assert refused.value.code is Code.EXHAUSTED


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("127.0.0.1:2377", ("127.0.0.1", 2377)),
        ("127.9.8.7:1", ("127.9.8.7", 1)),
        ("[::1]:80", ("::1", 80)),
    ],
)
def test_expose(text: str, found: tuple[str, int]) -> None:
    assert naming.check_expose(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "127.0.0.1",
        "0.0.0.0:80",
        "10.0.0.1:80",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "localhost:80",
        ":80",
    ],
)
def test_what_is_not_exposed(text: str) -> None:
    with pytest.raises(SwarmError, match="cannot expose"):
        naming.check_expose(text)


def test_no_two_hosts_of_any_two_labs_share_a_name_in_the_kernel() -> None:
    base = Path("/var/lib/swarm-lab")
    labs = ["lab", "labm", "labm1"]
    hosts = [HostPaths(base, lab, host) for lab in labs for host in ("m1", "m11", "w1")]
    namespaces = [host.namespace for host in hosts] + list(map(naming.bridge_namespace, labs))
    groups = [host.cgroup for host in hosts] + [LabPaths(base, lab).cgroup for lab in labs]
    assert len(set(namespaces)) == len(namespaces)
    assert len(set(groups)) == len(groups)


def test_sockets_have_short_paths() -> None:
    longest = HostPaths(naming.DEFAULT_BASE, "abcdefghijkl", "abcdefghijk")
    assert len(bytes(longest.swarm_socket)) < 60
