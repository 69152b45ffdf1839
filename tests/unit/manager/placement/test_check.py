import pytest

from api.errors import Code, SwarmError
from api.v1.specs_pb2 import Placement, ResourceRequirements, TaskSpec
from api.v1.types_pb2 import GenericResource, Resources
from manager.placement.check import MAX_CONSTRAINTS, MAX_SPREAD, check_placement


def placed(**fields: object) -> TaskSpec:
    return TaskSpec(placement=Placement(**fields))  # type: ignore[arg-type]


def reserving(*generic: GenericResource) -> TaskSpec:
    return TaskSpec(resources=ResourceRequirements(reservations=Resources(generic=generic)))


def test_what_is_well_formed_passes() -> None:
    check_placement(TaskSpec())
    check_placement(
        placed(
            constraints=["node.role==worker", "node.labels.a==b|node.labels.a==c"],
            spread=["node.labels.rack", "engine.labels.disk"],
            max_replicas_per_node=3,
        )
    )
    check_placement(reserving(GenericResource(kind="gpu", count=2)))


BAD = [
    (placed(constraints=["node.role==worker", "rack=a"]), "task.placement.constraints[1]"),
    (placed(constraints=["node.id==x"] * (MAX_CONSTRAINTS + 1)), "task.placement.constraints"),
    (placed(spread=["node.id"]), "task.placement.spread[0]"),
    (placed(spread=["node.labels.a", "node.labels.a"]), "task.placement.spread[1]"),
    (placed(spread=[f"node.labels.l{n}" for n in range(MAX_SPREAD + 1)]), "task.placement.spread"),
    (
        reserving(GenericResource(kind="a b", count=1)),
        "task.resources.reservations.generic[0].kind",
    ),
    (reserving(GenericResource(kind="gpu")), "task.resources.reservations.generic[0].count"),
    (
        reserving(GenericResource(kind="gpu", count=-1)),
        "task.resources.reservations.generic[0].count",
    ),
    (
        reserving(GenericResource(kind="gpu", count=1, ids=["u1"])),
        "task.resources.reservations.generic[0].ids",
    ),
    (
        reserving(GenericResource(kind="gpu", count=1), GenericResource(kind="gpu", count=1)),
        "task.resources.reservations.generic[1].kind",
    ),
    (
        TaskSpec(
            resources=ResourceRequirements(
                limits=Resources(generic=[GenericResource(kind="gpu", count=1)])
            )
        ),
        "task.resources.limits.generic",
    ),
]


@pytest.mark.parametrize(("spec", "field"), BAD)
def test_what_is_not_is_refused_with_its_field(spec: TaskSpec, field: str) -> None:
    with pytest.raises(SwarmError) as refused:
        check_placement(spec)
    assert (refused.value.code, refused.value.field) == (Code.INVALID, field)
