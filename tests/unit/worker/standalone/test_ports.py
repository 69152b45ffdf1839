"""Ports of the host: which a container gets, and whose they are."""

from typing import Any

import pytest

from api.errors import SwarmError
from api.v1 import specs_pb2
from worker.standalone.ports import check, settled

Port = specs_pb2.PortConfig
UDP, HOST = Port.PROTOCOL_UDP, Port.PUBLISH_MODE_HOST


def port(published: int = 0, **fields: Any) -> Port:
    return Port(target_port=80, published_port=published, mode=HOST, **fields)


def numbers(*ports: Port, used: Any = (), busy: Any = ()) -> list[int]:
    made = settled(ports, set(used), lambda key: key not in set(busy))
    return [each.published_port for each in made]


def test_named_ones_are_had_and_others_chosen() -> None:
    assert numbers(port(80), port(), port()) == [80, 32768, 32769]
    assert numbers(port(), used=[("tcp", 32768, "10.0.0.1")]) == [32769]
    assert numbers(port(), used=[("udp", 32768, "")]) == [32768]
    assert numbers(port(), busy=[("tcp", 32768, "")]) == [32769]
    assert numbers(port(protocol=UDP), port()) == [32768, 32768]
    assert numbers(port(80, host_ip="10.0.0.1"), port(80, host_ip="10.0.0.2")) == [80, 80]


@pytest.mark.parametrize(
    ("asked", "used", "busy"),
    [
        (port(80), [("tcp", 80, "")], []),
        (port(80), [("tcp", 80, "10.0.0.1")], []),
        (port(80, host_ip="10.0.0.1"), [("tcp", 80, "")], []),
        (port(80, host_ip="::"), [("tcp", 80, "10.0.0.1")], []),
        (port(80), [], [("tcp", 80, "")]),
    ],
)
def test_who_has_it_is_not_robbed(asked: Port, used: list[Any], busy: list[Any]) -> None:
    with pytest.raises(SwarmError, match="80/tcp of this host cannot be published"):
        numbers(asked, used=used, busy=busy)


def test_a_port_of_every_node_is_none_of_a_container() -> None:
    check([port(80)])
    with pytest.raises(SwarmError, match="its own host alone"):
        check([port(80), Port(target_port=80)])
