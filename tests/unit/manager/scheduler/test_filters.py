"""Each filter alone: which tasks it looks at, which nodes it refuses, and in what words."""

import pytest

from api.v1 import objects_pb2, specs_pb2
from api.v1.types_pb2 import Platform, Resources
from manager.scheduler.filters import (
    AvailabilityFilter,
    ControllerFilter,
    CpuFilter,
    Filter,
    MemoryFilter,
    PlatformFilter,
    ReadyFilter,
    default_filters,
)
from manager.scheduler.nodes import NodeInfo, NodeSet
from tests.support.builders import DOWN, DRAIN, GIB, PAUSE, UNKNOWN, node, task, task_spec

PLAIN = task("t")
LIMITED = task(
    "t",
    spec=specs_pb2.TaskSpec(
        resources=specs_pb2.ResourceRequirements(limits=Resources(memory_bytes=GIB))
    ),
)
ARM_ONLY = task(
    "t",
    spec=specs_pb2.TaskSpec(
        placement=specs_pb2.Placement(platforms=[Platform(os="linux", architecture="arm64")])
    ),
)
PINNED_ARM = task(
    "t",
    spec=specs_pb2.TaskSpec(
        container=specs_pb2.ContainerSpec(
            pinned_image=specs_pb2.PinnedImage(
                platforms=[Platform(os="linux", architecture="arm64")]
            )
        )
    ),
)
ONE_CPU = task("t", spec=task_spec(cpus=1))
ONE_GIB = task("t", spec=task_spec(memory=GIB))


def info(described: objects_pb2.Node, *held: objects_pb2.Task) -> NodeInfo:
    nodes = NodeSet()
    nodes.describe(described.id, described)
    for each in held:
        nodes.put(each)
    found = nodes.get(described.id)
    assert found is not None
    return found


def holding(cpus: float = 0, memory: int = 0) -> NodeInfo:
    held = task("held", node_id="n", spec=task_spec(cpus=cpus, memory=memory))
    return info(node("n", cpus=2, memory=2 * GIB), held)


@pytest.mark.parametrize(
    ("each", "asking", "target", "verdict"),
    [
        (ReadyFilter(), PLAIN, info(node("n")), True),
        (ReadyFilter(), PLAIN, info(node("n", state=DOWN)), False),
        (ReadyFilter(), PLAIN, info(node("n", state=UNKNOWN)), False),
        (AvailabilityFilter(), PLAIN, info(node("n")), True),
        (AvailabilityFilter(), PLAIN, info(node("n", availability=PAUSE)), False),
        (AvailabilityFilter(), PLAIN, info(node("n", availability=DRAIN)), False),
        (CpuFilter(), ONE_CPU, holding(cpus=1), True),
        (CpuFilter(), ONE_CPU, holding(cpus=1.000000001), False),
        (CpuFilter(), PLAIN, holding(cpus=2), None),
        (MemoryFilter(), ONE_GIB, holding(memory=GIB), True),
        (MemoryFilter(), ONE_GIB, holding(memory=GIB + 1), False),
        (MemoryFilter(), PLAIN, holding(memory=2 * GIB), None),
        (ControllerFilter(), PLAIN, info(node("n", missing=("memory",))), None),
        (ControllerFilter(), LIMITED, info(node("n", missing=("memory",))), False),
        (ControllerFilter(), LIMITED, info(node("n", missing=("cpu", "pids"))), True),
        (PlatformFilter(), PLAIN, info(node("n")), None),
        (PlatformFilter(), ARM_ONLY, info(node("n")), False),
        (PlatformFilter(), ARM_ONLY, info(node("n", architecture="aarch64")), True),
        (PlatformFilter(), PINNED_ARM, info(node("n")), False),
        (PlatformFilter(), PINNED_ARM, info(node("n", architecture="aarch64")), True),
    ],
)
def test_verdicts(
    each: Filter, asking: objects_pb2.Task, target: NodeInfo, verdict: bool | None
) -> None:
    assert (each.passes(target) if each.enabled(asking) else None) is verdict


@pytest.mark.parametrize(
    ("each", "asking", "one", "three"),
    [
        (ReadyFilter(), PLAIN, "1 node is not ready", "3 nodes are not ready"),
        (
            AvailabilityFilter(),
            PLAIN,
            "1 node not available for new tasks",
            "3 nodes not available for new tasks",
        ),
        (CpuFilter(), ONE_CPU, "insufficient CPU on 1 node", "insufficient CPU on 3 nodes"),
        (
            MemoryFilter(),
            ONE_GIB,
            "insufficient memory on 1 node",
            "insufficient memory on 3 nodes",
        ),
        (
            ControllerFilter(),
            LIMITED,
            "missing cgroup controller for the limits (memory) on 1 node",
            "missing cgroup controller for the limits (memory) on 3 nodes",
        ),
        (
            PlatformFilter(),
            ARM_ONLY,
            "unsupported platform on 1 node",
            "unsupported platform on 3 nodes",
        ),
    ],
)
def test_explanations(each: Filter, asking: objects_pb2.Task, one: str, three: str) -> None:
    assert each.enabled(asking)
    assert each.explain(1) == one
    assert each.explain(3) == three


def test_order() -> None:
    names = [each.name for each in default_filters()]
    assert names == ["ready", "availability", "cpu", "memory", "controller", "platform"]
