"""What a task is to have of networks, by what its node was told."""

import pytest

from api.errors import Code, SwarmError
from api.v1 import network_pb2, specs_pb2
from overlay_net.fabric.hardware import GATEWAY_BRIDGE
from worker import placing
from worker.executor import TemporaryError
from worker.network_book import Book
from worker.task_place import Place

Port = specs_pb2.PortConfig


def port(number: int, host_ip: str = "") -> Port:
    return Port(target_port=80, published_port=number, host_ip=host_ip)


def book() -> Book:
    made = Book()
    made.restore(
        [
            network_pb2.NodeNetwork(id="front", name="front"),
            network_pb2.NodeNetwork(id="vault", name="vault", internal=True),
            network_pb2.NodeNetwork(id="in", name="ingress", ingress=True),
            network_pb2.NetworkEndpoint(network_id="front", task_id="t", addresses=["10.0.1.5/24"]),
            network_pb2.NetworkEndpoint(network_id="vault", task_id="t", addresses=["10.0.2.5/24"]),
            network_pb2.NetworkEndpoint(network_id="in", task_id="t", addresses=["10.255.0.5/16"]),
            network_pb2.NetworkEndpoint(network_id="front", task_id="p", addresses=["10.0.1.6/24"]),
        ]
    )
    return made


def test_its_own_addresses_but_that_of_published_ports() -> None:
    own = placing.addresses(book(), Place("t", ("in", "front", "vault")))
    assert own == ("10.0.1.5", "10.0.2.5")
    lone = Place("c", ("front",), lone=True, attachments=(("front", "p"),))
    assert placing.addresses(book(), lone) == ("10.0.1.6",)


def test_its_addresses_by_network_as_far_as_they_are_known() -> None:
    known = placing.by_network(book(), Place("t", ("in", "front", "elsewhere")))
    assert known == {"in": ["10.255.0.5/16"], "front": ["10.0.1.5/24"]}
    for networks in (("back",), ("vault",)):
        with pytest.raises(TemporaryError, match="has not been told of"):
            placing.addresses(book(), Place("p", networks))


def test_who_has_a_way_out() -> None:
    out = (GATEWAY_BRIDGE,)
    assert placing.way_out(book(), Place("t", ("front",))) == out
    assert placing.way_out(book(), Place("t", ("vault",))) == ()
    assert placing.way_out(book(), Place("t", ("vault",), (port(80),))) == out
    assert placing.way_out(book(), Place("c", ("vault",), (port(80),), lone=True)) == ()


@pytest.mark.parametrize(
    ("asked", "has", "is_refused"),
    [
        (port(80), port(80), True),
        (port(80), port(81), False),
        (port(80, "10.0.0.1"), port(80), True),
        (port(80), port(80, "10.0.0.1"), True),
        (port(80, "10.0.0.1"), port(80, "10.0.0.2"), False),
        (port(80, "::"), port(80, "10.0.0.2"), True),
    ],
)
def test_a_port_of_a_container_is_not_taken_from_it(
    asked: Port, has: Port, is_refused: bool
) -> None:
    lone, task = Place("c", (), (has,), lone=True), Place("t", (), (asked,))
    placing.refuse_taken(task, [Place("other", (), (has,))])  # of tasks the scheduler knows
    if not is_refused:
        placing.refuse_taken(task, [lone])
        return
    other = Place("d", (), (asked,), lone=True)
    for one, rival in ((task, lone), (other, lone), (other, Place("t", (), (has,)))):
        with pytest.raises(SwarmError) as caught:
            placing.refuse_taken(one, [rival])
        assert caught.value.code is Code.REFUSED
    placing.refuse_taken(lone, [lone])  # it joins with more networks than before
