"""Which drivers have to make their volumes, as nodes come, change and go."""

from api.v1 import objects_pb2
from manager.scheduler.makers import Makers
from tests.support.builders import node


def host(*makers: str, others: tuple[str, ...] = ()) -> objects_pb2.Node:
    made = node("n")
    for each in makers:
        made.description.volume_drivers.add(name=each, creates=True)
    for each in others:
        made.description.volume_drivers.add(name=each)
    return made


def test_volumes_are_made_while_one_node_can() -> None:
    makers = Makers()
    assert not makers.put("n0", host(others=("a",)))
    assert "a" not in makers
    assert makers.put("n1", host("a"))
    assert not makers.put("n2", host("a"))
    assert not makers.put("n1", None)
    assert "a" in makers
    assert makers.put("n2", host(others=("a",)))
    assert "a" not in makers


def test_one_driver_may_take_the_place_of_another() -> None:
    makers = Makers()
    makers.put("n1", host("a"))
    assert makers.put("n1", host("b"))
    assert "a" not in makers
    assert "b" in makers
    assert not makers.put("n1", host("b"))
