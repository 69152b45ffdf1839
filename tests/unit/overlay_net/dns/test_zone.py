"""What a container is answered: all through `respond`, as it asks."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.errors import Code, SwarmError
from overlay_net.dns.directory import Directory
from overlay_net.dns.message import Query
from overlay_net.dns.responder import quick, respond
from overlay_net.dns.zone import Zone
from tests.support.dns_messages import AAAA, ANY, PTR, SOA, SRV, A, Message, question, read
from tests.support.dns_networks import endpoint, network, service

MX, HTTPS = 15, 65


@pytest.fixture
def directory() -> Directory:
    """Networks front and back; web is in both, cache and db are in back only."""
    made = Directory()
    made.put_network(network("front", "10.0.1.0/24"))
    made.put_network(network("back", "10.0.2.0/24"))
    made.put_network(network("six", "fd00:6::/64"))
    made.put_service(service("front", "web", ["10.0.1.2"], aliases=["www"], ports=[(8080, 80)]))
    made.put_service(service("back", "web", ["10.0.2.2"]))
    made.put_service(service("back", "cache", dnsrr=True, aliases=["kv"], ports=[(0, 6379)]))
    made.put_service(service("six", "dual", ["10.0.6.2", "fd00:6::2"]))
    for slot in (1, 2, 3):
        made.put_endpoint(
            endpoint(
                "front",
                f"web.{slot}.t{slot}",
                f"10.0.1.1{slot}/24",
                service="web",
                serving=slot < 3,
                hostname=f"host{slot}",
            )
        )
        made.put_endpoint(
            endpoint("back", f"cache.{slot}.c{slot}", f"10.0.2.2{slot}/24", service="cache")
        )
    made.put_endpoint(endpoint("back", "db", "10.0.2.9/24", aliases=["sql", "store"]))
    return made


def zone_of(directory: Directory, *names: str) -> Zone:
    return directory.zone([f"id-{name}" for name in names])


def ask(zone: Zone, name: str, type_: int = A) -> Message | None:
    """The answer, None for what is passed on. Asked twice, the second time may be the quick one."""
    outcome = respond(question(name, type_), zone)
    if isinstance(outcome, Query):
        return None
    assert outcome is not None
    first = read(outcome)
    again = quick(question(name, type_), zone.ready)
    if again is not None:
        second = read(again)
        assert (second.flags, second.name) == (first.flags, first.name)
        assert Counter(second.answers) == Counter(first.answers)
        assert second.authority == first.authority
    return first


def addresses(zone: Zone, name: str, type_: int = A) -> list[str] | None:
    found = ask(zone, name, type_)
    return None if found is None else sorted(found.addresses())


def targets(zone: Zone, name: str) -> list[str] | None:
    found = ask(zone, name, PTR)
    return None if found is None else sorted(found.targets())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("web", ["10.0.1.2"]),
        ("WEB", ["10.0.1.2"]),
        ("www", ["10.0.1.2"]),
        ("web.front", ["10.0.1.2"]),
        ("tasks.web", ["10.0.1.11", "10.0.1.12"]),  # the third does not serve
        ("Tasks.www.Front", ["10.0.1.11", "10.0.1.12"]),
        ("web.1.t1", ["10.0.1.11"]),
        ("web.3.t3", ["10.0.1.13"]),
        ("web.3.t3.front", ["10.0.1.13"]),
        ("host2", ["10.0.1.12"]),
        ("db", None),  # of another network
        ("web.back", None),
        ("cache", None),
        ("tasks.cache", None),
        ("front", None),
        ("tasks", None),
        ("example.com", None),
        ("eb", None),
    ],
)
def test_names_of_a_network(directory: Directory, name: str, expected: list[str] | None) -> None:
    assert addresses(zone_of(directory, "front"), name) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cache", ["10.0.2.21", "10.0.2.22", "10.0.2.23"]),
        ("kv", ["10.0.2.21", "10.0.2.22", "10.0.2.23"]),
        ("tasks.kv", ["10.0.2.21", "10.0.2.22", "10.0.2.23"]),
        ("db", ["10.0.2.9"]),
        ("sql", ["10.0.2.9"]),
        ("store.back", ["10.0.2.9"]),
        ("web", ["10.0.2.2"]),  # the first network's
        ("web.front", ["10.0.1.2"]),
        ("tasks.web", ["10.0.1.11", "10.0.1.12"]),  # the first that has an address
    ],
)
def test_names_of_two_networks(directory: Directory, name: str, expected: list[str]) -> None:
    assert addresses(zone_of(directory, "back", "front"), name) == expected


def test_both_families(directory: Directory) -> None:
    zone = zone_of(directory, "six")
    assert addresses(zone, "dual") == ["10.0.6.2"]
    assert addresses(zone, "dual", AAAA) == ["fd00:6::2"]
    assert addresses(zone, "dual", ANY) == ["10.0.6.2", "fd00:6::2"]


@pytest.mark.parametrize("type_", [AAAA, MX, HTTPS, SRV, PTR])
def test_a_known_name_has_nothing_of_another_type(directory: Directory, type_: int) -> None:
    found = ask(zone_of(directory, "front"), "web", type_)
    assert found is not None
    assert (found.rcode, found.answers) == (0, [])
    (soa,) = found.authority
    assert (soa.type, soa.owner, soa.ttl, soa.data[-4:]) == (SOA, "web", 1, b"\0\0\0\1")


@pytest.mark.parametrize(
    ("name", "targets"),
    [
        ("11.1.0.10.in-addr.arpa", ["web.1.t1.front"]),
        ("2.1.0.10.IN-ADDR.arpa", ["web.front"]),
        (
            "2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.0.0.0.0.0.d.f.ip6.arpa",
            ["dual.six"],
        ),
    ],
)
def test_addresses_have_names(directory: Directory, name: str, targets: list[str]) -> None:
    found = ask(zone_of(directory, "front", "six"), name, PTR)
    assert found is not None
    assert found.targets() == targets
    assert not found.answers[0].data.endswith(b"\xc0\x0c")


@pytest.mark.parametrize(
    ("name", "parent"),
    [
        ("77.1.0.10.in-addr.arpa", "1.0.10.in-addr.arpa"),
        ("_81._tcp.web", "_tcp.web"),
        ("_80._udp.web", "_udp.web"),
    ],
)
def test_what_could_only_be_ours_is_not_there(directory: Directory, name: str, parent: str) -> None:
    found = ask(zone_of(directory, "front"), name, SRV)
    assert found is not None
    assert (found.rcode, found.answers) == (3, [])
    (soa,) = found.authority
    assert (soa.owner, soa.ttl) == (parent, 1)


@pytest.mark.parametrize(
    "name", ["9.2.0.10.in-addr.arpa", "8.8.8.8.in-addr.arpa", "_80._tcp.nobody", "_x._y.web"]
)
def test_other_names_are_passed_on(directory: Directory, name: str) -> None:
    assert ask(zone_of(directory, "front"), name, PTR) is None


@pytest.mark.parametrize(
    ("name", "targets"),
    [
        ("_80._tcp.web", ["web:80"]),
        ("_8080._TCP.web", ["web:80"]),
        ("_80._tcp.web.front", ["web:80"]),
        ("_80._tcp.tasks.web", ["web.1.t1:80", "web.2.t2:80"]),
        ("_6379._tcp.kv", ["cache.1.c1:6379", "cache.2.c2:6379", "cache.3.c3:6379"]),
    ],
)
def test_ports_of_services(directory: Directory, name: str, targets: list[str]) -> None:
    found = ask(zone_of(directory, "front", "back"), name, SRV)
    assert found is not None
    assert found.targets() == targets


def test_answers_begin_at_another_one_each_time(directory: Directory) -> None:
    zone = zone_of(directory, "back")
    respond(question("cache"), zone)
    firsts = Counter[str]()
    for _ in range(30):
        data = quick(question("cache"), zone.ready)
        assert data is not None
        found = read(data).addresses()
        assert sorted(found) == ["10.0.2.21", "10.0.2.22", "10.0.2.23"]
        firsts[found[0]] += 1
    assert set(firsts.values()) == {10}


def test_times_to_live(directory: Directory) -> None:
    zone = zone_of(directory, "front")
    found = {name: ask(zone, name) for name in ("web", "tasks.web", "web.1.t1")}
    assert {n: m.answers[0].ttl for n, m in found.items() if m} == {
        "web": 5,
        "tasks.web": 1,
        "web.1.t1": 1,
    }


def test_a_task_that_stops_serving_is_out_at_once(directory: Directory) -> None:
    zone = zone_of(directory, "front")
    assert addresses(zone, "tasks.www") == ["10.0.1.11", "10.0.1.12"]
    directory.put_endpoint(
        endpoint("front", "web.1.t1", "10.0.1.11/24", service="web", serving=False)
    )
    assert addresses(zone, "tasks.www") == ["10.0.1.12"]
    assert addresses(zone, "web.1.t1") == ["10.0.1.11"]
    assert addresses(zone, "host1") is None
    directory.remove_endpoint("id-front", "id-web.2.t2")
    assert addresses(zone, "tasks.www") == []
    assert addresses(zone, "web.2.t2") is None


def test_a_new_service_is_found_at_once_and_a_removed_one_never(directory: Directory) -> None:
    zone = zone_of(directory, "front", "back")
    assert addresses(zone, "new") is None
    directory.put_endpoint(endpoint("back", "new.1.x", "10.0.2.77/24", service="new"))
    directory.put_service(service("back", "new", dnsrr=True))
    assert addresses(zone, "new") == addresses(zone, "new.back") == ["10.0.2.77"]
    directory.put_service(service("back", "new", ["10.0.2.3"]))
    assert addresses(zone, "new") == addresses(zone, "new.back") == ["10.0.2.3"]
    directory.remove_service("id-back", "id-new")
    assert addresses(zone, "new") is None
    assert addresses(zone, "new.back") is None


def test_a_host_name_takes_no_service_away(directory: Directory) -> None:
    zone = zone_of(directory, "front")
    directory.put_endpoint(endpoint("front", "thief", "10.0.1.66/24", hostname="web"))
    assert addresses(zone, "web") == ["10.0.1.2"]
    directory.remove_service("id-front", "id-web")
    assert addresses(zone, "web") == ["10.0.1.66"]


def test_containers_of_the_same_networks_share_a_zone(directory: Directory) -> None:
    zone = zone_of(directory, "front", "back")
    assert zone_of(directory, "front", "back") is zone
    assert zone_of(directory, "back", "front") is not zone


def test_the_ingress_network_has_no_names(directory: Directory) -> None:
    directory.put_network(network("ingress", "10.255.0.0/16", ingress=True))
    directory.put_service(service("ingress", "inner", ["10.255.0.2"]))
    zone = zone_of(directory, "ingress", "front")
    assert zone is zone_of(directory, "front")
    assert addresses(zone, "inner") is None


def test_a_removed_network_has_no_names(directory: Directory) -> None:
    zone = zone_of(directory, "front", "back")
    assert addresses(zone, "db") == ["10.0.2.9"]
    directory.remove_network("id-back")
    assert addresses(zone, "db") is None
    with pytest.raises(SwarmError):
        zone_of(directory, "back")
    directory.put_network(network("back", "10.0.2.0/24"))
    assert addresses(zone, "db") is None


def test_a_network_that_comes_back_is_part_of_the_zone_again(directory: Directory) -> None:
    zone = zone_of(directory, "front", "back")
    directory.remove_network("id-back")
    directory.put_network(network("back", "10.0.2.0/24"))
    directory.put_endpoint(endpoint("back", "db", "10.0.2.99/24"))
    assert addresses(zone, "db") == ["10.0.2.99"]
    assert zone_of(directory, "front", "back") is zone


def test_a_zone_that_lost_a_network_hears_of_the_others(directory: Directory) -> None:
    zone = zone_of(directory, "front", "back")
    assert addresses(zone, "web") == ["10.0.1.2"]
    directory.remove_network("id-back")
    directory.put_service(service("front", "web", ["10.0.1.3"]))
    assert addresses(zone, "web") == ["10.0.1.3"]


def test_a_network_may_get_another_range(directory: Directory) -> None:
    zone = zone_of(directory, "front")
    assert addresses(zone, "web.front") == ["10.0.1.2"]
    directory.put_network(network("front", "10.9.0.0/24"))
    assert ask(zone, "77.1.0.10.in-addr.arpa", PTR) is None
    assert addresses(zone, "web.front") == ["10.0.1.2"]


def test_an_unknown_network_is_refused(directory: Directory) -> None:
    with pytest.raises(SwarmError) as refused:
        directory.zone(["nowhere"])
    assert refused.value.code is Code.NOT_FOUND
    directory.remove_network("nowhere")
    directory.remove_endpoint("nowhere", "x")
    directory.remove_service("nowhere", "x")


@pytest.mark.parametrize(
    ("internal", "external"),
    [([], True), ([False], True), ([True], False), ([True, False], True), ([True, True], False)],
)
def test_a_container_with_internal_networks_only_stays_inside(
    internal: list[bool], external: bool
) -> None:
    directory = Directory()
    names = [f"n{i}" for i in range(len(internal))]
    for name, inner in zip(names, internal, strict=True):
        directory.put_network(network(name, internal=inner))
    assert zone_of(directory, *names).external is external


def test_names_that_no_question_can_ask_harm_nothing(directory: Directory) -> None:
    directory.put_endpoint(
        endpoint("front", "a..b", "10.0.1.90/24", aliases=["x" * 64, "fine"], hostname="y" * 300)
    )
    zone = zone_of(directory, "front")
    assert addresses(zone, "fine") == ["10.0.1.90"]
    found = ask(zone, "90.1.0.10.in-addr.arpa", PTR)
    assert found is not None
    assert found.rcode == 3
    directory.remove_endpoint("id-front", "id-a..b")
    assert addresses(zone, "fine") is None


ENDPOINTS = st.lists(
    st.builds(
        lambda of, slot, host, serving, named: endpoint(
            of, f"t{slot}", f"10.0.1.{slot}/24", service=named, serving=serving, hostname=host
        ),
        st.sampled_from(["a", "b"]),
        st.integers(1, 4),
        st.sampled_from(["", "h", "s", "t1"]),
        st.booleans(),
        st.sampled_from(["", "s"]),
    ),
    max_size=8,
    unique_by=lambda e: (e.network_id, e.task_id),
)
SERVICES = st.lists(
    st.builds(
        lambda of, name, dnsrr, aliases: service(
            of, name, ["10.0.1.200"], dnsrr=dnsrr, aliases=aliases
        ),
        st.sampled_from(["a", "b"]),
        st.sampled_from(["s", "t2"]),
        st.booleans(),
        st.sampled_from([[], ["h"], ["al"]]),
    ),
    max_size=4,
    unique_by=lambda s: (s.network_id, s.service_id),
)
ASKED = [
    f"{prefix}{name}{suffix}"
    for prefix in ("", "tasks.")
    for name in ("s", "h", "al", "t1", "t2", "t3", "t4")
    for suffix in ("", ".a", ".b")
]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(ENDPOINTS, SERVICES), min_size=1, max_size=4))
def test_changes_lead_where_a_fresh_start_would(
    steps: list[tuple[list[object], list[object]]],
) -> None:
    networks = [network("a"), network("b")]
    lasting = Directory()
    for each in networks:
        lasting.put_network(each)
    zone = zone_of(lasting, "a", "b")
    for endpoints, services in steps:
        lasting.sync(networks, endpoints, services)  # type: ignore[arg-type]
        fresh = Directory()
        fresh.sync(networks, endpoints, services)  # type: ignore[arg-type]
        new = zone_of(fresh, "a", "b")
        for name in ASKED:
            assert addresses(zone, name) == addresses(new, name), name
        for number in (1, 2, 3, 4, 200):
            name = f"{number}.1.0.10.in-addr.arpa"
            assert targets(zone, name) == targets(new, name), name
    lasting.sync([], [], [])
    assert all(addresses(zone, name) is None for name in ASKED)
