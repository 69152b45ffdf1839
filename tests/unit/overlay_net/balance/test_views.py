from api.v1 import network_pb2, specs_pb2
from overlay_net.balance import views
from overlay_net.balance.views import Service, View

Service_ = network_pb2.NetworkService
Endpoint = network_pb2.NetworkEndpoint


def service(name: str = "web", **more: object) -> Service_:
    made = Service_(service_id=name, name=name, virtual_ips=["10.0.1.2", "fd00::2"])
    for key, value in more.items():
        setattr(made, key, value)
    return made


def endpoint(number: int, *, serving: bool = True, node: str = "n1", of: str = "web") -> Endpoint:
    return Endpoint(
        service_id=of,
        addresses=[f"10.0.1.{number}/24", f"fd00::{number}/64"],
        serving=serving,
        node_id=node,
    )


def test_those_that_serve_get_connections_and_the_rest_is_alive() -> None:
    found = views.view([service()], [endpoint(12), endpoint(11), endpoint(13, serving=False)])
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
    found = views.view([service()], [endpoint(11), endpoint(12, node="n2")], lost={"n2"})
    assert found.services[0].serving == ("10.0.1.11", "fd00::11")
    assert found.living == {"10.0.1.11", "fd00::11"}


def test_dnsrr_and_services_without_an_address_have_no_rules() -> None:
    dnsrr = service("a", mode=specs_pb2.EndpointSpec.MODE_DNSRR)
    assert views.view([dnsrr, Service_(service_id="b", name="b")], []).services == ()


def test_both_families_lead_to_one_chain() -> None:
    content = views.content([views.view([service()], [endpoint(11)])], "t1")
    (name,) = content.chains
    assert name.startswith("s-web-")
    assert content.elements == {
        ("virtual4", "10.0.1.2"): f"goto {name}",
        ("virtual6", "fd00::2"): f"goto {name}",
    }


def test_containers_do_not_all_begin_with_the_same_task() -> None:
    view = views.view([service()], [endpoint(n) for n in range(10, 20)])
    rules = {str(views.content([view], f"task{n}").chains) for n in range(20)}
    assert len(rules) > 4
    sticky = View(
        tuple(Service(s.name, s.virtual_ips, s.serving, sticky=True) for s in view.services)
    )
    assert len({str(views.content([sticky], f"task{n}").chains) for n in range(20)}) == 1


def test_names_of_services_are_made_fit_for_chains() -> None:
    (name,) = views.content([views.view([service("a.b/ü" + "x" * 90)], [])], "t").chains
    assert name.startswith("s-a_b__xxx")
    assert len(name) < 64
