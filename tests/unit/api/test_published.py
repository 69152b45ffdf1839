import pytest

from api.published import address_of, chosen_ports, port_text, ports_of, share_an_address
from api.v1 import objects_pb2, specs_pb2

Port = specs_pb2.PortConfig


@pytest.mark.parametrize(
    ("given", "address", "text"),
    [
        ("", "", "80/udp"),
        ("0.0.0.0", "", "80/udp"),  # noqa: S104
        ("::", "", "80/udp"),
        ("10.0.0.5", "10.0.0.5", "10.0.0.5:80/udp"),
        ("FD00:0::5", "fd00::5", "[fd00::5]:80/udp"),
    ],
)
def test_where_a_port_answers(given: str, address: str, text: str) -> None:
    port = Port(published_port=80, protocol=Port.PROTOCOL_UDP, host_ip=given)
    assert address_of(port) == address
    assert port_text(port) == text


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [("", "", True), ("", "10.0.0.5", True), ("::1", "", True), ("::1", "10.0.0.5", False)],
)
def test_one_host_may_be_asked_for_both(one: str, other: str, expected: bool) -> None:
    assert share_an_address(one, other) is expected
    assert share_an_address(one, one)


def test_a_task_has_the_ports_that_its_node_says() -> None:
    task = objects_pb2.Task()
    task.host_ports.add(target_port=80)
    assert [port.published_port for port in ports_of(task)] == [0]
    task.status.container.ports.add(target_port=80, published_port=40000)
    assert [port.published_port for port in ports_of(task)] == [40000]


def test_a_node_chose_the_ports_that_nobody_named() -> None:
    task = objects_pb2.Task()
    for asked, has in ((0, 40000), (8080, 8080), (0, 40001)):
        task.host_ports.add(target_port=80, published_port=asked)
        assert chosen_ports(objects_pb2.Task(host_ports=task.host_ports)) == []
        task.status.container.ports.add(target_port=80, published_port=has)
    assert [port.published_port for port in chosen_ports(task)] == [40000, 40001]
