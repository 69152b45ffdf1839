"""Each filter alone: which tasks it looks at, which nodes it refuses, and in what words."""

import pytest

from api.v1 import objects_pb2, specs_pb2
from api.v1.specs_pb2 import PortConfig
from api.v1.types_pb2 import GenericResource, Platform, Resources
from manager.scheduler.filters.base import Filter
from manager.scheduler.filters.node import (
    AvailabilityFilter,
    ControllerFilter,
    EncryptionFilter,
    NetworkFilter,
    PlatformFilter,
    ReadyFilter,
)
from manager.scheduler.filters.order import default_filters
from manager.scheduler.filters.placement import (
    ConstraintFilter,
    HostPortFilter,
    MaxReplicasFilter,
)
from manager.scheduler.filters.resources import CpuFilter, GenericFilter, MemoryFilter
from manager.scheduler.nodes import NodeInfo, NodeSet
from manager.scheduler.volumes import Volumes
from tests.support.builders import DOWN, DRAIN, GIB, PAUSE, UNKNOWN, node, task, task_spec

UDP, ANY = PortConfig.PROTOCOL_UDP, PortConfig.PROTOCOL_TCP

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


def choosy(**fields: object) -> objects_pb2.Task:
    placement = specs_pb2.Placement(**fields)  # type: ignore[arg-type]
    return task("t", spec=specs_pb2.TaskSpec(placement=placement))


def wanting(**counts: int) -> objects_pb2.Task:
    generic = [GenericResource(kind=kind, count=count) for kind, count in counts.items()]
    resources = specs_pb2.ResourceRequirements(reservations=Resources(generic=generic))
    return task("t", spec=specs_pb2.TaskSpec(resources=resources))


def publishing(*ports: tuple[int, int, str], task_id: str = "t") -> objects_pb2.Task:
    made = task(task_id, node_id="n")
    for port, protocol, address in ports:
        made.host_ports.add(
            published_port=port,
            target_port=80,
            protocol=PortConfig.Protocol.ValueType(protocol),
            mode=PortConfig.PUBLISH_MODE_HOST,
            host_ip=address,
        )
    return made


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


def with_gpus(*held: GenericResource) -> NodeInfo:
    described = node("n")
    described.description.resources.generic.add(kind="gpu", ids=["u1", "u2"])
    described.description.resources.generic.add(kind="apple", count=4)
    holder = task("held", node_id="n")
    holder.assigned_generic.extend(held)
    return info(described, holder)


def labelled(**labels: str) -> NodeInfo:
    described = node("n")
    described.spec.annotations.labels.update(labels)
    return info(described)


GPU_AND_PEAR = "needs 2 gpu, 1 free; needs 1 pear, 0 free"


def in_network(driver: str) -> objects_pb2.Task:
    made = task("t")
    made.networks.add(network_id="front", driver=driver)
    return made


def with_drivers(*drivers: str) -> NodeInfo:
    described = node("n")
    described.description.network_drivers.extend(drivers)
    return info(described)


def in_encrypted() -> objects_pb2.Task:
    made = in_network("overlay")
    made.networks[0].encrypted = True
    return made


def encrypting(key: bytes = b"\1", missing: str = "") -> NodeInfo:
    described = node("n")
    described.description.wireguard_key = key
    described.description.encrypted_by = "wireguard-go 1" if key else ""
    described.description.encryption_missing = missing
    return info(described)


SECRET = in_encrypted()
ONE_GPU = GenericResource(kind="gpu", ids=["u1"])
RACK_A = choosy(constraints=["node.labels.rack==a", "node.id!=x"])
AT_MOST_2 = choosy(max_replicas_per_node=2)
WEB_80 = publishing((80, ANY, ""))
WEB_ON_1 = publishing((80, ANY, "10.0.0.1"))


@pytest.mark.parametrize(
    ("each", "asking", "target", "verdict"),
    [
        (ReadyFilter(), PLAIN, info(node("n")), True),
        (ReadyFilter(), PLAIN, info(node("n", state=DOWN)), False),
        (ReadyFilter(), PLAIN, info(node("n", state=UNKNOWN)), False),
        (AvailabilityFilter(), PLAIN, info(node("n")), True),
        (AvailabilityFilter(), PLAIN, info(node("n", availability=PAUSE)), False),
        (AvailabilityFilter(), PLAIN, info(node("n", availability=DRAIN)), False),
        (CpuFilter(), PLAIN, holding(cpus=2), None),
        (CpuFilter(), ONE_CPU, holding(cpus=1), True),
        (CpuFilter(), ONE_CPU, holding(cpus=1.5), False),
        (MemoryFilter(), PLAIN, holding(memory=2 * GIB), None),
        (MemoryFilter(), ONE_GIB, holding(memory=GIB), True),
        (MemoryFilter(), ONE_GIB, holding(memory=GIB + 1), False),
        (ControllerFilter(), PLAIN, info(node("n", missing=("memory",))), None),
        (ControllerFilter(), LIMITED, info(node("n")), True),
        (ControllerFilter(), LIMITED, info(node("n", missing=("memory",))), False),
        (ControllerFilter(), LIMITED, info(node("n", missing=("cpu", "pids"))), True),
        (NetworkFilter(), PLAIN, with_drivers("bridge"), None),
        (NetworkFilter(), in_network("overlay"), with_drivers(), True),
        (NetworkFilter(), in_network("overlay"), with_drivers("bridge", "overlay"), True),
        (NetworkFilter(), in_network("overlay"), with_drivers("bridge"), False),
        (EncryptionFilter(), in_network("overlay"), with_drivers("overlay"), None),
        (EncryptionFilter(), SECRET, with_drivers("overlay"), False),
        (EncryptionFilter(), SECRET, encrypting(), True),
        (PlatformFilter(), PLAIN, info(node("n")), None),
        (PlatformFilter(), ARM_ONLY, info(node("n")), False),
        (PlatformFilter(), ARM_ONLY, info(node("n", architecture="aarch64")), True),
        (ConstraintFilter(), PLAIN, labelled(), None),
        (ConstraintFilter(), RACK_A, labelled(rack="a"), True),
        (ConstraintFilter(), RACK_A, labelled(rack="b"), False),
        (ConstraintFilter(), RACK_A, labelled(), False),
        (GenericFilter(), PLAIN, with_gpus(), None),
        (GenericFilter(), wanting(gpu=2, apple=4), with_gpus(), True),
        (GenericFilter(), wanting(gpu=3), with_gpus(), False),
        (
            GenericFilter(),
            wanting(gpu=2),
            with_gpus(GenericResource(kind="gpu", ids=["u2"])),
            False,
        ),
        (
            GenericFilter(),
            wanting(gpu=1, apple=2),
            with_gpus(GenericResource(kind="apple", count=3)),
            False,
        ),
        (GenericFilter(), wanting(pear=1), info(node("n")), False),
        (HostPortFilter(), PLAIN, info(node("n"), publishing((80, ANY, ""))), None),
        (HostPortFilter(), publishing((0, ANY, "")), info(node("n")), None),
        (HostPortFilter(), WEB_80, info(node("n")), True),
        (HostPortFilter(), WEB_80, info(node("n"), publishing((80, UDP, ""), (81, ANY, ""))), True),
        (HostPortFilter(), WEB_80, info(node("n"), publishing((80, ANY, ""))), False),
        (HostPortFilter(), WEB_80, info(node("n"), publishing((80, ANY, "10.0.0.1"))), False),
        (HostPortFilter(), WEB_ON_1, info(node("n"), publishing((80, ANY, ""))), False),
        (HostPortFilter(), WEB_ON_1, info(node("n"), publishing((80, ANY, "10.0.0.1"))), False),
        (HostPortFilter(), WEB_ON_1, info(node("n"), publishing((80, ANY, "10.0.0.2"))), True),
        (MaxReplicasFilter(), PLAIN, info(node("n")), None),
        (MaxReplicasFilter(), AT_MOST_2, info(node("n"), task("a", node_id="n")), True),
        (
            MaxReplicasFilter(),
            AT_MOST_2,
            info(node("n"), task("a", node_id="n"), task("b", node_id="n")),
            False,
        ),
        (
            MaxReplicasFilter(),
            AT_MOST_2,
            info(node("n"), task("a", node_id="n"), task("b", "db", node_id="n")),
            True,
        ),
        (PlatformFilter(), PINNED_ARM, info(node("n")), False),
        (PlatformFilter(), PINNED_ARM, info(node("n", architecture="aarch64")), True),
    ],
)
def test_verdicts(
    each: Filter, asking: objects_pb2.Task, target: NodeInfo, verdict: bool | None
) -> None:
    assert (each.passes(target) if each.enabled(asking) else None) is verdict


BARE = info(node("n", cpus=0.5, memory=GIB // 2, missing=("memory", "pids")))
BUSY = info(node("n", cpus=0.1, memory=0, missing=("memory",)), publishing((80, ANY, "")))


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
        (
            CpuFilter(),
            ONE_CPU,
            "insufficient CPU on 1 node: 1 needed, 0.1 free",
            "insufficient CPU on 3 nodes: 1 needed, at most 0.5 free",
        ),
        (
            MemoryFilter(),
            ONE_GIB,
            "insufficient memory on 1 node: 1GiB needed, 0B free",
            "insufficient memory on 3 nodes: 1GiB needed, at most 512MiB free",
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
            "unsupported platform on 1 node: built for linux/arm64",
            "unsupported platform on 3 nodes: built for linux/arm64",
        ),
        (
            ConstraintFilter(),
            RACK_A,
            "scheduling constraints not satisfied on 1 node: node.labels.rack==a",
            "scheduling constraints not satisfied on 3 nodes: node.labels.rack==a",
        ),
        (
            GenericFilter(),
            wanting(gpu=1),
            "insufficient gpu on 1 node: 1 needed, 0 free",
            "insufficient gpu on 3 nodes: 1 needed, at most 0 free",
        ),
        (HostPortFilter(), WEB_80, "host port 80/tcp in use on 1 node", "80/tcp in use on 3 nodes"),
        (
            MaxReplicasFilter(),
            AT_MOST_2,
            "max replicas per node (2) reached on 1 node",
            "max replicas per node (2) reached on 3 nodes",
        ),
    ],
)
def test_explanations(each: Filter, asking: objects_pb2.Task, one: str, three: str) -> None:
    assert each.enabled(asking)
    assert each.explain([BUSY]) == one
    assert each.explain([BARE, BUSY, BUSY]).endswith(three)


def test_what_keeps_nodes_from_encrypting() -> None:
    each = EncryptionFilter()
    each.enabled(SECRET)
    refused = [encrypting(b"", "no WireGuard"), encrypting(b"", "no WireGuard")]
    assert each.explain(refused) == "no encryption on 2 nodes: no WireGuard"


def test_each_constraint_says_how_many_nodes_it_keeps_away() -> None:
    each = ConstraintFilter()
    each.enabled(choosy(constraints=["node.labels.rack==a", "node.labels.disk==ssd"]))
    refused = [labelled(), labelled(disk="ssd"), labelled(rack="a")]
    assert each.explain(refused) == (
        "scheduling constraints not satisfied on 3 nodes: "
        "node.labels.rack==a on 2, node.labels.disk==ssd on 1"
    )


def test_each_kind_says_where_it_is_lacking() -> None:
    each = GenericFilter()
    each.enabled(wanting(gpu=2, apple=4))
    refused = [
        with_gpus(ONE_GPU),
        with_gpus(GenericResource(kind="apple", count=1)),
        info(node("n")),
    ]
    assert each.explain(refused) == (
        "insufficient gpu on 2 nodes: 2 needed, at most 1 free; "
        "insufficient apple on 1 node: 4 needed, 3 free"
    )


def test_order() -> None:
    names = [each.name for each in default_filters(Volumes())]
    assert names == [
        *("ready", "availability", "constraint", "platform", "controller"),
        *("network", "encryption", "volume", "cpu", "memory", "generic", "host port"),
        "max replicas",
    ]


@pytest.mark.parametrize(
    ("each", "asking", "target", "words"),
    [
        (ReadyFilter(), PLAIN, info(node("n")), "ready"),
        (ReadyFilter(), PLAIN, info(node("n", state=DOWN)), "down"),
        (AvailabilityFilter(), PLAIN, info(node("n")), "active"),
        (AvailabilityFilter(), PLAIN, info(node("n", availability=DRAIN)), "drain"),
        (CpuFilter(), ONE_CPU, holding(cpus=1.5), "needs 1 CPU; 0.5 of 2 free"),
        (MemoryFilter(), ONE_GIB, holding(memory=GIB), "needs 1GiB; 1GiB of 2GiB free"),
        (GenericFilter(), wanting(gpu=2, pear=1), with_gpus(ONE_GPU), GPU_AND_PEAR),
        (ControllerFilter(), LIMITED, info(node("n")), "needs memory"),
        (
            ControllerFilter(),
            LIMITED,
            info(node("n", missing=("memory", "cpu"))),
            "needs memory; memory missing",
        ),
        (PlatformFilter(), ARM_ONLY, info(node("n")), "built for linux/arm64; is linux/amd64"),
        (ConstraintFilter(), RACK_A, labelled(rack="a"), "met"),
        (ConstraintFilter(), RACK_A, labelled(rack="b"), "not met: node.labels.rack==a"),
        (HostPortFilter(), WEB_80, info(node("n")), "needs 80/tcp"),
        (
            HostPortFilter(),
            WEB_80,
            info(node("n"), publishing((80, ANY, ""), task_id="o")),
            "needs 80/tcp; 80/tcp in use",
        ),
        (MaxReplicasFilter(), AT_MOST_2, info(node("n")), "0 of at most 2"),
        (NetworkFilter(), in_network("macvlan"), info(node("n")), "needs macvlan"),
        (
            NetworkFilter(),
            in_network("macvlan"),
            with_drivers("overlay"),
            "needs macvlan; macvlan missing",
        ),
        (EncryptionFilter(), SECRET, encrypting(), "wireguard-go 1"),
        (EncryptionFilter(), SECRET, encrypting(b"", "no kernel has it"), "none: no kernel has it"),
        (EncryptionFilter(), SECRET, with_drivers(), "none: the node says nothing of it"),
    ],
)
def test_each_verdict_has_its_numbers(
    each: Filter, asking: objects_pb2.Task, target: NodeInfo, words: str
) -> None:
    assert each.enabled(asking)
    assert each.verdict(target) == words


def test_a_lost_node_says_what_is_known_of_it() -> None:
    lost = node("n", state=DOWN)
    lost.status.message = "heartbeat failure"
    assert ReadyFilter().verdict(info(lost)) == "down: heartbeat failure"
