import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.v1 import objects_pb2
from api.v1.types_pb2 import GenericResource, Resources
from manager.orchestrator.overcommit import too_many
from tests.support.builders import CPU, GIB, task, task_spec


def tasks(*memory: int, cpus: float = 0) -> list[objects_pb2.Task]:
    """Newest first, named by their age: t0 is the newest."""
    return [
        task(f"t{n}", node_id="n", spec=task_spec(cpus=cpus, memory=gib * GIB))
        for n, gib in enumerate(memory)
    ]


def ids(has: Resources, held: list[objects_pb2.Task]) -> list[str]:
    return [each.id for each, _ in too_many(has, held)]


@pytest.mark.parametrize(
    ("memory", "room", "leave"),
    [
        ([1, 1, 1], 3, []),
        ([1, 1, 1], 2, ["t0"]),
        ([1, 1, 1], 0, ["t0", "t1", "t2"]),
        ([1, 8, 1], 8, ["t1"]),  # the newest leaves in vain: the next has to go in any case
        ([2, 1, 1], 3, ["t0"]),
        ([0, 4, 0], 3, ["t1"]),  # what reserves nothing never has to go
        ([], 0, []),
    ],
)
def test_the_newest_leave_and_no_more_than_it_takes(
    memory: list[int], room: int, leave: list[str]
) -> None:
    assert ids(Resources(memory_bytes=room * GIB), tasks(*memory)) == leave


def test_each_is_told_what_there_is_too_little_of() -> None:
    held = [*tasks(1), task("c", node_id="n", spec=task_spec(cpus=2))]
    has = Resources(nano_cpus=CPU, memory_bytes=GIB // 2)
    assert [(each.id, what) for each, what in too_many(has, held)] == [
        ("t0", "memory"),
        ("c", "CPU"),
    ]


def test_who_was_given_what_is_gone_leaves() -> None:
    held = [task(name, node_id="n") for name in ("a", "b", "c")]
    held[0].assigned_generic.add(kind="gpu", ids=["u1"])
    held[1].assigned_generic.add(kind="gpu", ids=["u2"])
    held[2].assigned_generic.add(kind="memory", count=3)
    has = Resources(
        generic=[
            GenericResource(kind="gpu", ids=["u1"]),
            GenericResource(kind="memory", count=2),
        ]
    )
    assert [(each.id, what) for each, what in too_many(has, held)] == [
        ("b", "gpu"),
        ("c", "memory"),
    ]


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4))), st.integers(0, 9))
def test_the_rest_fits_and_nobody_left_in_vain(wants: list[tuple[int, int]], room: int) -> None:
    held = [
        task(f"t{n}", node_id="n", spec=task_spec(cpus=cpus, memory=memory))
        for n, (cpus, memory) in enumerate(wants)
    ]
    has = Resources(nano_cpus=room * CPU, memory_bytes=room)
    left = set(ids(has, held))

    def fits(gone: set[str]) -> bool:
        stay = [want for want, each in zip(wants, held, strict=True) if each.id not in gone]
        return all(sum(column) <= room for column in zip(*stay, strict=True))

    assert fits(left)
    assert not any(fits(left - {each}) for each in left)
