from itertools import islice

from api import states
from manager.orchestrator.scale import ClosingOrder, free_numbers
from manager.orchestrator.slots import Slot, slots_of
from tests.support.builders import task

R, P = states.RUNNING, states.PENDING


def slots(**where: str) -> list[Slot]:
    """Slots by name `s1`, each with one task: `n1` runs there, `n1?` does not run yet."""
    tasks = [
        task(name, slot=int(name[1:]), node_id=at.rstrip("?"), state=P if at.endswith("?") else R)
        for name, at in where.items()
    ]
    return list(slots_of(tasks).values())


def closed(count: int, **where: str) -> list[int]:
    order = ClosingOrder()
    for slot in slots(**where):
        order.add(slot)
    return [slot.number for slot in islice(order, count)]


def test_free_numbers_fill_gaps_first() -> None:
    tasks = [task("a", slot=1), task("b", slot=3), task("c", slot=4, desired=states.REMOVE)]
    assert list(islice(free_numbers(slots_of(tasks)), 3)) == [2, 4, 5]
    assert list(islice(free_numbers({}), 2)) == [1, 2]


def test_slots_that_do_not_run_go_first() -> None:
    assert closed(1, s1="n1", s2="n2?", s3="n1") == [2]
    assert closed(2, s1="?", s2="n2", s3="n1") == [1, 3]


def test_then_from_the_node_with_most_then_the_highest() -> None:
    assert closed(1, s1="n1", s2="n1", s3="n2") == [2]
    assert closed(3, s1="n1", s2="n1", s3="n2", s4="n1", s5="n2") == [4, 5, 2]
    assert closed(2, s1="n1", s2="n2", s3="n3") == [3, 2]


def test_all_of_them() -> None:
    assert sorted(closed(9, s1="n1", s2="n2")) == [1, 2]
