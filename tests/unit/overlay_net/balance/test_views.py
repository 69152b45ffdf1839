from collections.abc import Collection
from typing import Any

from api.v1 import network_pb2, specs_pb2
from overlay_net.balance import views
from overlay_net.balance.views import Service, View
from tests.support.backends import gathered

Service_ = network_pb2.NetworkService
Endpoint = network_pb2.NetworkEndpoint


def service(name: str = "web", **more: object) -> Service_:
    words: dict[str, Any] = {"virtual_ips": ["10.0.1.2", "fd00::2"]} | more
    return Service_(service_id=name, name=name, **words)


def endpoint(number: int, *, serving: bool = True, node: str = "n1", of: str = "web") -> Endpoint:
    return Endpoint(
        service_id=of,
        addresses=[f"10.0.1.{number}/24", f"fd00::{number}/64"],
        serving=serving,
        node_id=node,
    )


def viewed(services: list[Service_], endpoints: list[Endpoint], lost: Collection[str] = ()) -> View:
    return views.view(services, gathered(endpoints, lost).backends())


def test_those_that_serve_get_connections_and_the_rest_is_alive() -> None:
    found = viewed([service()], [endpoint(12), endpoint(11), endpoint(13, serving=False)])
    assert found.services == (
        Service(
            "web",
            ("10.0.1.2", "fd00::2"),
            ("10.0.1.11", "10.0.1.12", "fd00::11", "fd00::12"),
            sticky=False,
        ),
    )
    assert "10.0.1.13" in found.living


def test_tasks_of_a_lost_node_are_gone_whatever_is_said_of_them() -> None:
    found = viewed([service()], [endpoint(11), endpoint(12, node="n2")], lost={"n2"})
    assert found.services[0].serving == ("10.0.1.11", "fd00::11")
    assert found.living == {"10.0.1.11", "fd00::11"}


def test_dnsrr_and_services_without_an_address_have_no_rules() -> None:
    dnsrr = service("a", mode=specs_pb2.EndpointSpec.MODE_DNSRR)
    assert viewed([dnsrr, Service_(service_id="b", name="b")], []).services == ()


def test_both_families_lead_to_one_chain() -> None:
    content = views.content([viewed([service()], [endpoint(11)])], "t1")
    (name,) = content.chains
    assert name.startswith("s-web-")
    assert content.elements == {
        ("virtual4", "10.0.1.2"): f"goto {name}",
        ("virtual6", "fd00::2"): f"goto {name}",
    }


def test_containers_do_not_all_begin_with_the_same_task() -> None:
    view = viewed([service()], [endpoint(n) for n in range(10, 20)])
    rules = {str(views.content([view], f"task{n}").chains) for n in range(20)}
    assert len(rules) > 4
    sticky = View(
        tuple(Service(s.name, s.virtual_ips, s.serving, sticky=True) for s in view.services)
    )
    assert len({str(views.content([sticky], f"task{n}").chains) for n in range(20)}) == 1


def test_names_of_services_are_made_fit_for_chains() -> None:
    (name,) = views.content([viewed([service("a.b/ü" + "x" * 90)], [])], "t").chains
    assert name.startswith("s-a_b__xxx")
    assert len(name) < 64


def test_a_view_made_of_another_shares_what_has_not_changed() -> None:
    services = [service("web"), service("db", virtual_ips=["10.0.1.3"])]
    endpoints = [endpoint(11), endpoint(21, of="db")]
    before = viewed(services, endpoints)
    now = views.view(services, gathered([*endpoints, endpoint(22, of="db")]).backends(), before)
    assert now.services[0] is before.services[0]
    found = views.difference(before, now)
    assert (found.gone, found.fresh) == ((before.services[1],), (now.services[1],))
    assert views.difference(now, before).dead == {"10.0.1.22", "fd00::22"}


def test_no_two_services_share_a_chain() -> None:
    services = [service("web"), service("web", virtual_ips=["10.0.1.3"])]
    assert len(views.content([viewed(services, [])], "t").chains) == 2
