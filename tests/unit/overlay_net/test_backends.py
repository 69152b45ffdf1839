from api.v1 import network_pb2
from overlay_net.backends import Backends, backends

ENDPOINTS = [
    network_pb2.NetworkEndpoint(
        service_id="s", node_id=node, addresses=[f"10.0.1.{number}/24"], serving=serving
    )
    for node, number, serving in (("n2", 12, True), ("n1", 11, True), ("n1", 13, False))
]


def test_who_serves_and_who_is_there() -> None:
    assert backends(ENDPOINTS) == Backends(
        {"s": ("10.0.1.11", "10.0.1.12")}, frozenset({"10.0.1.11", "10.0.1.12", "10.0.1.13"})
    )
    assert backends(ENDPOINTS).of("other") == ()


def test_tasks_of_nodes_that_are_down_are_gone() -> None:
    found = backends(ENDPOINTS, {"n1"})
    assert found == Backends({"s": ("10.0.1.12",)}, frozenset({"10.0.1.12"}))
