"""What name servers ought to answer, worked out apart from them, and what is told of others."""

from api.v1 import network_pb2, specs_pb2
from overlay_net.check.names import Told, expected, findings

Endpoint = network_pb2.NetworkEndpoint
Service = network_pb2.NetworkService
DNSRR = specs_pb2.EndpointSpec.MODE_DNSRR


def network(name: str, *services: Service, tasks: int = 2, ingress: bool = False) -> Told:
    endpoints = [
        Endpoint(service_id="s", addresses=[f"10.0.1.{n}/24", f"fd00::{n}/64"], serving=n != 9)
        for n in (*range(5, 5 + tasks), 9)
    ]
    return Told(network_pb2.NodeNetwork(id=name, name=name, ingress=ingress), services, endpoints)


WEB = Service(service_id="s", name="web", virtual_ips=["10.0.1.2", "fd00::2"], aliases=["shop"])


def test_services_their_aliases_and_their_tasks() -> None:
    virtual, tasks = frozenset({"10.0.1.2"}), frozenset({"10.0.1.5", "10.0.1.6"})
    assert expected([network("front", WEB)], 10) == {
        "web": virtual,
        "shop": virtual,
        "tasks.web": tasks,
        "tasks.shop": tasks,
    }


def test_a_service_without_a_virtual_address_is_its_tasks() -> None:
    found = expected([network("front", Service(service_id="s", name="web", mode=DNSRR))], 10)
    assert found["web"] == found["tasks.web"]


def test_the_first_network_that_has_an_address_has_the_name() -> None:
    other = Service(service_id="x", name="web", virtual_ips=["10.9.0.2"])
    nothing = Service(service_id="x", name="web")
    assert expected([network("a", WEB), network("b", other)], 9)["web"] == {"10.0.1.2"}
    assert expected([network("a", nothing), network("b", WEB)], 9)["web"] == {"10.0.1.2"}


def test_what_is_not_asked() -> None:
    assert expected([network("in", WEB, ingress=True)], 10) == {}
    assert len(expected([network("front", WEB)], 3)) == 3
    assert "tasks.web" not in expected([network("front", WEB, tasks=30)], 10)


def test_what_is_told_of_answers() -> None:
    wished = {"web": frozenset({"10.0.1.2"}), "db": frozenset({"10.0.1.3"})}
    assert findings("task a", "", wished, wished) == []
    (silent,) = findings("task a", "", wished, {"db": wished["db"]})
    assert silent.what == "the name server of task a does not answer"
    assert silent.found == "none for web"
    (wrong,) = findings("task a", "", wished, {**wished, "web": frozenset({"10.0.1.9"})})
    assert wrong.expected == "web: 10.0.1.2"
    assert wrong.found == "web: 10.0.1.9"
    (gone,) = findings("task a", "", wished, {**wished, "web": frozenset()})
    assert gone.found == "web: no address"
