import pytest

from api import states
from api.v1.specs_pb2 import ContainerSpec, ResourceRequirements, TaskSpec
from api.v1.types_pb2 import Resources, TaskState
from manager.placement.resources import holds_resources, needed_controllers, reservation
from tests.support.builders import CPU, GIB, task, task_spec


@pytest.mark.parametrize(
    ("requirements", "needed"),
    [
        (ResourceRequirements(), set()),
        (ResourceRequirements(reservations=Resources(nano_cpus=1, memory_bytes=1)), set()),
        (ResourceRequirements(limits=Resources(memory_bytes=1)), {"memory"}),
        (ResourceRequirements(limits=Resources(nano_cpus=1)), {"cpu"}),
        (ResourceRequirements(pids_limit=10), {"pids"}),
        (
            ResourceRequirements(limits=Resources(nano_cpus=1, memory_bytes=1), pids_limit=1),
            {"cpu", "memory", "pids"},
        ),
    ],
)
def test_only_limits_need_controllers(requirements: ResourceRequirements, needed: set[str]) -> None:
    assert needed_controllers(TaskSpec(resources=requirements)) == needed


@pytest.mark.parametrize(("together", "needed"), [(0, set()), (-1, set()), (1, {"swap"})])
def test_only_a_limit_of_swap_needs_its_accounting(together: int, needed: set[str]) -> None:
    spec = TaskSpec(container=ContainerSpec(memory_swap_bytes=together))
    assert needed_controllers(spec) == needed


def test_reservation_is_what_the_spec_reserves() -> None:
    assert reservation(task("t", spec=task_spec(cpus=0.5, memory=GIB))) == (CPU // 2, GIB)
    assert reservation(task("t")) == (0, 0)


@pytest.mark.parametrize(
    ("state", "desired", "node_id", "holds"),
    [
        (states.PENDING, states.RUNNING, "", False),
        (states.ASSIGNED, states.RUNNING, "n1", True),
        (states.RUNNING, states.RUNNING, "n1", True),
        (states.RUNNING, states.SHUTDOWN, "n1", True),
        (states.RUNNING, states.REMOVE, "n1", True),
        (states.COMPLETE, states.RUNNING, "n1", False),
        (states.ORPHANED, states.SHUTDOWN, "n1", False),
    ],
)
def test_a_task_holds_its_reservation_until_it_has_ended(
    state: TaskState.ValueType,
    desired: TaskState.ValueType,
    node_id: str,
    holds: bool,
) -> None:
    assert holds_resources(task("t", state=state, desired=desired, node_id=node_id)) is holds
