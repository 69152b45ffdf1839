"""Ports and VNIs: what is chosen, and what stays."""

import pytest

from api.errors import Code, SwarmError
from api.v1 import specs_pb2
from manager.allocator.ports import DYNAMIC, settled
from manager.allocator.vni import FIRST, LAST, next_vni

Port = specs_pb2.PortConfig
UDP, HOST = Port.PROTOCOL_UDP, Port.PUBLISH_MODE_HOST


def published(made: list[Port]) -> list[int]:
    return [port.published_port for port in made]


def test_what_was_asked_for_stays_and_the_lowest_free_ones_are_chosen() -> None:
    asked = [
        Port(target_port=80, published_port=30000),
        Port(target_port=81),
        Port(target_port=82),
        Port(target_port=53, protocol=UDP),
        Port(target_port=9, mode=HOST),
    ]
    made = settled(asked, [], lambda key: key != (0, 30001))
    assert published(made) == [30000, 30002, 30003, 30000, 0]


def test_a_chosen_port_stays_with_its_target() -> None:
    before = settled([Port(target_port=80), Port(target_port=81)], [], lambda _: True)
    after = settled([Port(target_port=81), Port(target_port=90)], before, lambda _: True)
    assert published(after) == [30001, 30000]


def test_a_kept_port_that_is_asked_for_is_not_given_twice() -> None:
    before = settled([Port(target_port=80)], [], lambda _: True)
    asked = [Port(target_port=80), Port(target_port=81, published_port=30000)]
    assert published(settled(asked, before, lambda _: True)) == [30001, 30000]


def test_where_none_is_left() -> None:
    with pytest.raises(SwarmError) as refused:
        settled([Port(target_port=80)], [], lambda _: False)
    assert refused.value.code is Code.EXHAUSTED
    assert str(DYNAMIC.start) in str(refused.value)


@pytest.mark.parametrize(
    ("last", "used", "expected"),
    [
        (0, {0}, FIRST),
        (FIRST, {FIRST}, FIRST + 1),
        (FIRST + 4, set(), FIRST + 5),
        (FIRST, {FIRST + 1, FIRST + 2}, FIRST + 3),
        (LAST, {FIRST}, FIRST + 1),
        (LAST - 1, {LAST}, FIRST),
    ],
)
def test_a_vni_comes_again_only_after_all_others(last: int, used: set[int], expected: int) -> None:
    assert next_vni(last, used) == expected
