from hypothesis import given
from hypothesis import strategies as st

from api.v1.types_pb2 import GenericResource
from manager.placement.generic import Stock, holdings

GPUS = GenericResource(kind="gpu", ids=["u1", "u2", "u3"])
APPLES = GenericResource(kind="apple", count=4)


def stock(*declared: GenericResource) -> Stock:
    made = Stock()
    made.declare(declared)
    return made


def test_names_are_given_in_their_order_and_once() -> None:
    has = stock(GPUS, APPLES)
    first = has.claim("gpu", 2)
    assert list(first.ids) == ["u1", "u2"]
    has.shift(holdings([first]), 1)
    assert has.free("gpu") == 1
    assert list(has.claim("gpu", 1).ids) == ["u3"]
    has.shift(holdings([first]), -1)
    assert has.free("gpu") == 3


def test_counts_are_counted() -> None:
    has = stock(GPUS, APPLES)
    given_ = has.claim("apple", 3)
    assert (given_.kind, given_.count, list(given_.ids)) == ("apple", 3, [])
    has.shift(holdings([given_]), 1)
    assert has.free("apple") == 1
    has.shift(holdings([given_]), -1)
    assert has.free("apple") == 4
    assert has.free("pear") == 0


def test_a_node_may_have_less_than_is_held() -> None:
    has = stock(GPUS, APPLES)
    has.shift(holdings([has.claim("gpu", 2), has.claim("apple", 4)]), 1)
    has.declare([GenericResource(kind="gpu", ids=["u2", "u9"]), GenericResource(kind="apple")])
    assert has.free("gpu") == 1
    assert has.free("apple") == -4
    has.declare([])
    assert has.free("gpu") == 0


def test_a_kind_may_become_counted() -> None:
    has = stock(GPUS)
    has.shift(holdings([has.claim("gpu", 2)]), 1)
    has.declare([GenericResource(kind="gpu", count=2)])
    assert has.free("gpu") == 2


@given(st.lists(st.integers(1, 3)))
def test_no_name_is_given_twice(counts: list[int]) -> None:
    has = stock(GenericResource(kind="gpu", ids=[f"u{n}" for n in range(7)]))
    held: list[str] = []
    for count in counts:
        if has.free("gpu") >= count:
            got = has.claim("gpu", count)
            has.shift(holdings([got]), 1)
            assert len(got.ids) == count
            held += got.ids
    assert len(set(held)) == len(held)
    assert has.free("gpu") == 7 - len(held)
