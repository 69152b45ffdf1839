"""The inquiry says what the scheduler does, and its proposals make the scheduler place the task."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api import states
from api.v1 import objects_pb2, specs_pb2, types_pb2
from manager.scheduler.decide import SchedulerLoop
from manager.scheduler.filters.order import default_filters
from manager.scheduler.inquiry import MAX_TRIALS, Inquiry
from manager.scheduler.nodes import NodeInfo
from manager.scheduler.remedies import _BY_FILTER, obstacles
from manager.scheduler.remedy import About, Case, Remedy
from manager.scheduler.volumes import Volumes
from manager.state.changes import create, unwrap, wrap
from swarmctl.cli.units import parse_bytes, parse_nano_cpus
from tests.support.builders import (
    ACTIVE,
    CPU,
    DOWN,
    DRAIN,
    EPOCH,
    GIB,
    PAUSE,
    READY,
    UNKNOWN,
    node,
    task,
    task_spec,
)
from tests.support.loop_driver import LoopDriver
from tests.support.pieces import result_of
from tests.support.sealed_store import SealedStore

Node = objects_pb2.Node
Task = objects_pb2.Task
MANAGER = types_pb2.NODE_ROLE_MANAGER


def asked(objects: Sequence[Node | Task], task_id: str = "t", rows: int = 100) -> Inquiry:
    store = SealedStore()
    store.must(*map(create, map(copied, objects)), now=EPOCH)
    found = store.get(Task, task_id)
    assert found is not None
    inquiry = Inquiry(store, found, rows=rows)
    result_of(inquiry.go_on())
    return inquiry


def copied(obj: Node | Task) -> Node | Task:
    return unwrap(wrap(obj))  # type: ignore[return-value]


def is_placed(objects: Sequence[Node | Task], task_id: str = "t") -> bool:
    driver = LoopDriver(SchedulerLoop(), *map(copied, objects))
    driver.run()
    return driver.task(task_id).status.state == states.ASSIGNED


def waiting(spec: specs_pb2.TaskSpec, *, node_id: str = "", ports: Sequence[int] = ()) -> Task:
    slot = 0 if node_id else 1
    made = task("t", slot=slot, state=states.PENDING, node_id=node_id, spec=spec)
    for port in ports:
        made.host_ports.add(published_port=port, target_port=port)
    return made


KEYS = ("node.labels.zone", "node.labels.disk", "node.hostname", "node.role", "node.platform.arch")
VALUES = {"node.hostname": ("n0", "n1"), "node.role": ("worker", "manager")}


@st.composite
def constraints(draw: st.DrawFn) -> str:
    key = draw(st.sampled_from(KEYS))
    value = draw(st.sampled_from(VALUES.get(key, ("a", "B", "amd64"))))
    return f"{key}{draw(st.sampled_from(('==', '!=')))}{value}"


@st.composite
def nodes(draw: st.DrawFn, number: int) -> Node:
    made = node(
        f"n{number}",
        state=draw(st.sampled_from((READY, READY, READY, DOWN, UNKNOWN))),
        availability=draw(st.sampled_from((ACTIVE, ACTIVE, ACTIVE, PAUSE, DRAIN))),
        cpus=draw(st.sampled_from((1, 2.5, 4))),
        memory=draw(st.sampled_from((GIB, GIB + 5, 4 * GIB))),
        architecture=draw(st.sampled_from(("amd64", "amd64", "aarch64"))),
        missing=draw(st.sampled_from(((), (), ("memory",), ("cpu", "pids")))),
    )
    made.role = draw(st.sampled_from((types_pb2.NODE_ROLE_WORKER, MANAGER)))
    for label in ("zone", "disk"):
        if value := draw(st.sampled_from(("", "a", "b"))):
            made.spec.annotations.labels[label] = value
    if gpus := draw(st.integers(0, 2)):
        made.description.resources.generic.add(kind="gpu", count=gpus)
    made.description.wireguard_key = draw(st.sampled_from((b"", b"\1")))
    return made


@st.composite
def specs(draw: st.DrawFn) -> specs_pb2.TaskSpec:
    made = task_spec(
        cpus=draw(st.sampled_from((0, 0, 0.5, 3, 8))),
        memory=draw(st.sampled_from((0, 0, GIB // 2, 3 * GIB))),
    )
    made.placement.constraints.extend(draw(st.lists(constraints(), max_size=3, unique=True)))
    made.placement.max_replicas_per_node = draw(st.sampled_from((0, 0, 1, 2)))
    if draw(st.booleans()):
        made.resources.limits.memory_bytes = GIB
        made.resources.pids_limit = draw(st.sampled_from((0, 100)))
    if gpus := draw(st.integers(0, 3)):
        made.resources.reservations.generic.add(kind="gpu", count=gpus)
    if draw(st.integers(0, 3)) == 0:
        made.placement.platforms.add(os="linux", architecture="arm64")
    return made


@st.composite
def clusters(draw: st.DrawFn) -> list[Node | Task]:
    objects: list[Node | Task] = [draw(nodes(n)) for n in range(draw(st.integers(1, 4)))]
    names = [each.id for each in objects]
    for number in range(draw(st.integers(0, 6))):
        other = task(
            f"o{number}",
            draw(st.sampled_from(("web", "db"))),
            number + draw(st.integers(1, 2)),
            node_id=draw(st.sampled_from(names)),
            spec=task_spec(cpus=draw(st.sampled_from((0, 1))), memory=GIB // 2),
        )
        if draw(st.booleans()):
            other.host_ports.add(published_port=draw(st.sampled_from((80, 81))), target_port=80)
        objects.append(other)
    own = draw(st.sampled_from(("", "", "", *names)))
    ports = draw(st.sampled_from(((), (), (80,), (80, 81))))
    asked_for = waiting(draw(specs()), node_id=own, ports=ports)
    if draw(st.integers(0, 2)) == 0:
        asked_for.networks.add(network_id="front", encrypted=True)
    return [*objects, asked_for]


def without_other_nodes(objects: Sequence[Node | Task], node_id: str) -> list[Node | Task]:
    return [each for each in objects if not isinstance(each, Node) or each.id == node_id]


@settings(max_examples=80, deadline=None)
@given(clusters())
def test_a_node_fits_just_when_the_scheduler_would_take_it(objects: list[Node | Task]) -> None:
    inquiry = asked(objects)
    for row in inquiry.rows:
        assert row.fits is is_placed(without_other_nodes(objects, row.node.id))
    assert any(row.fits for row in inquiry.rows) is is_placed(objects)
    assert bool(inquiry.reason) is not is_placed(objects)


@settings(max_examples=120, deadline=None)
@given(clusters())
def test_what_is_proposed_makes_the_scheduler_place_the_task(objects: list[Node | Task]) -> None:
    inquiry = asked(objects)
    sizes = [(len(p.steps), sum(step.size for step in p.steps)) for p in inquiry.proposals]
    assert sizes == sorted(sizes)
    for proposal in inquiry.proposals:
        changed = [copied(each) for each in objects]
        for step in proposal.steps:
            carry_out(changed, step, proposal.node.id)
        assert is_placed(changed), [step.text for step in proposal.steps]


@settings(max_examples=40, deadline=None)
@given(clusters())
def test_fewer_rows_are_the_nearest(objects: list[Node | Task]) -> None:
    every = [row.node.id for row in asked(objects).rows]
    assert [row.node.id for row in asked(objects, rows=2).rows][:2] == every[:2]


def carry_out(objects: list[Node | Task], step: Remedy, node_id: str) -> None:
    """Does what the command of the remedy does, or without one what its text says."""
    (target,) = [each for each in objects if isinstance(each, Node) and each.id == node_id]
    (waits,) = [each for each in objects if isinstance(each, Task) and each.id == "t"]
    if not step.command:
        if step.on_node is not None:
            step.on_node(target)
        if step.on_task is not None:
            step.on_task(waits)
        return
    noun, verb, *flags = step.command
    if noun == "node":
        _on_node(target, verb, flags)
    elif step.about is About.NAMED:
        key, holder = flags[1], flags[2]
        assert key == f"node.id!={node_id}"  # as its hostname is the same
        gone = [e for e in objects if isinstance(e, Task) and e.id == step.ends]
        assert [each.service_name for each in gone] == [holder]
        objects.remove(gone[0])
    else:
        _on_service(waits, flags)


def _on_node(target: Node, verb: str, flags: list[str]) -> None:
    labels = target.spec.annotations.labels
    match verb, flags:
        case "update", ["--label-add", pair]:
            name, _, value = pair.partition("=")
            labels[name] = value
        case "update", ["--label-rm", name]:
            labels.pop(name)
        case "update", ["--availability", "active"]:
            target.spec.availability = ACTIVE
        case "promote", []:
            target.role = MANAGER
        case "demote", []:
            target.role = types_pb2.NODE_ROLE_WORKER
        case _:
            raise AssertionError((verb, flags))


def _on_service(waits: Task, flags: list[str]) -> None:
    spec = waits.spec
    reserved = spec.resources.reservations
    generic = {each.kind: each for each in reserved.generic}
    set_to: dict[str, Callable[[str], object]] = {
        "--constraint-rm": spec.placement.constraints.remove,
        "--reserve-cpu": lambda v: setattr(reserved, "nano_cpus", parse_nano_cpus(v)),
        "--reserve-memory": lambda v: setattr(reserved, "memory_bytes", parse_bytes(v)),
        "--limit-memory": lambda v: setattr(spec.resources.limits, "memory_bytes", int(v)),
        "--limit-cpu": lambda v: setattr(spec.resources.limits, "nano_cpus", int(v)),
        "--limit-pids": lambda v: setattr(spec.resources, "pids_limit", int(v)),
        "--replicas-max-per-node": lambda v: setattr(
            spec.placement, "max_replicas_per_node", int(v)
        ),
        "--generic-resource-rm": lambda v: reserved.generic.remove(generic[v]),
        "--generic-resource-add": lambda v: setattr(
            generic[v.partition("=")[0]], "count", int(v.partition("=")[2])
        ),
    }
    for flag, value in zip(flags[::2], flags[1::2], strict=True):
        set_to[flag](value)


def test_every_filter_has_its_remedies() -> None:
    assert {each.name for each in default_filters(Volumes())} == set(_BY_FILTER)


def placed(spec: specs_pb2.TaskSpec, *ports: int) -> Task:
    made = task("o", "db", node_id="n1", spec=spec)
    for port in ports:
        made.host_ports.add(published_port=port, target_port=port)
    return made


def constrained(*texts: str) -> specs_pb2.TaskSpec:
    made = task_spec()
    made.placement.constraints.extend(texts)
    return made


LIMITED = specs_pb2.TaskSpec(
    resources=specs_pb2.ResourceRequirements(limits=types_pb2.Resources(memory_bytes=GIB))
)
ARM = specs_pb2.TaskSpec(
    placement=specs_pb2.Placement(platforms=[types_pb2.Platform(os="linux", architecture="arm64")])
)
ONE_EACH = specs_pb2.TaskSpec(placement=specs_pb2.Placement(max_replicas_per_node=1))
GPUS = specs_pb2.TaskSpec(
    resources=specs_pb2.ResourceRequirements(
        reservations=types_pb2.Resources(generic=[types_pb2.GenericResource(kind="gpu", count=2)])
    )
)


@pytest.mark.parametrize(
    ("objects", "spec", "ports", "text", "command"),
    [
        (
            [node("n1")],
            constrained("node.labels.zone==A"),
            (),
            "give n1 the label zone=A",
            "node update --label-add zone=A",
        ),
        (
            [node("n1", availability=PAUSE)],
            task_spec(),
            (),
            "activate n1",
            "node update --availability active",
        ),
        ([node("n1", state=DOWN)], task_spec(), (), "bring n1 back", ""),
        (
            [node("n1"), placed(task_spec(cpus=2.5))],
            task_spec(cpus=4),
            (),
            "reserve 1.5 CPUs instead",
            "service update --reserve-cpu 1.5",
        ),
        (
            [node("n1", memory=GIB)],
            task_spec(memory=2 * GIB),
            (),
            "reserve 1024MiB instead",
            "service update --reserve-memory 1024m",
        ),
        (
            [node("n1"), placed(task_spec(cpus=4))],
            task_spec(cpus=1),
            (),
            "reserve none",
            "service update --reserve-cpu 0",
        ),
        (
            [node("n1")],
            constrained("node.hostname==n2"),
            (),
            "drop the constraint node.hostname==n2",
            "service update --constraint-rm node.hostname==n2",
        ),
        (
            [node("n1")],
            constrained("node.role==manager"),
            (),
            "drop the constraint node.role==manager",
            "service update --constraint-rm node.role==manager",
        ),
        ([node("n1")], ARM, (), "use an image that is also built for linux/amd64", ""),
        (
            [node("n1", missing=("memory",))],
            LIMITED,
            (),
            "enable the cgroup controller memory on n1's host",
            "",
        ),
        (
            [node("n1"), task("o", "web", 2, node_id="n1")],
            ONE_EACH,
            (),
            "allow 2 replicas per node",
            "service update --replicas-max-per-node 2",
        ),
        (
            [node("n1")],
            GPUS,
            (),
            "ask for no gpu",
            "service update --generic-resource-rm gpu",
        ),
        (
            [node("n1"), placed(task_spec(), 80)],
            task_spec(),
            (80,),
            "move db.1 away from n1: it holds host port 80/tcp",
            "service update --constraint-add node.id!=n1 db",
        ),
    ],
)
def test_the_smallest_change_for_each_obstacle(
    objects: list[Node | Task],
    spec: specs_pb2.TaskSpec,
    ports: tuple[int, ...],
    text: str,
    command: str,
) -> None:
    inquiry = asked([*objects, waiting(spec, ports=ports)])
    (step,) = inquiry.proposals[0].steps
    assert step.text.startswith(text)
    assert " ".join(step.command) == command


def test_a_node_that_cannot_encrypt_is_told_what_it_lacks() -> None:
    secret = waiting(task_spec())
    secret.networks.add(network_id="front", encrypted=True)
    lacks, can = node("n1"), node("n2", availability=DRAIN)
    lacks.description.encryption_missing = "wireguard-go is not installed"
    can.description.wireguard_key = b"\1"
    inquiry = asked([lacks, can, secret])
    rulings = {row.node.id: inquiry.rulings(row) for row in inquiry.rows}
    assert ("encryption", False, "none: wireguard-go is not installed") in rulings["n1"]
    steps = {each.node.id: [step.text for step in each.steps] for each in inquiry.proposals}
    assert steps == {
        "n1": ["install wireguard-go on n1, or give its kernel the module wireguard"],
        "n2": ["activate n2"],
    }


def test_the_nearest_node_comes_first_and_all_its_verdicts_are_told() -> None:
    far = node("n1", availability=DRAIN, cpus=1)
    spec = constrained("node.labels.zone==a")
    spec.resources.reservations.nano_cpus = 2 * CPU
    inquiry = asked([far, node("n2"), waiting(spec)])
    assert [(row.node.id, row.obstacles) for row in inquiry.rows] == [("n2", 1), ("n1", 3)]
    assert inquiry.rulings(inquiry.rows[1]) == [
        ("ready", True, "ready"),
        ("availability", False, "drain"),
        ("constraint", False, "not met: node.labels.zone==a"),
        ("cpu", False, "needs 2 CPUs; 1 of 1 free"),
    ]
    assert [proposal.node.id for proposal in inquiry.proposals] == ["n2", "n1"]


def test_constraints_that_contradict_each_other_are_not_both_met_by_labels() -> None:
    spec = constrained("node.labels.zone==a", "node.labels.zone==b")
    (proposal,) = asked([node("n1"), waiting(spec)]).proposals
    assert {step.command[2] for step in proposal.steps} == {"--label-add", "--constraint-rm"}


def test_of_very_many_nodes_only_the_nearest_are_kept() -> None:
    small = [node(f"s{n:03}", cpus=0.5 + n / 1000) for n in range(2 * MAX_TRIALS + 30)]
    inquiry = asked([*small, waiting(task_spec(cpus=1))], rows=10)
    assert inquiry.nodes == len(small)
    assert len(inquiry.rows) == MAX_TRIALS
    assert inquiry.rows[0].node.id == small[-1].id


def test_another_role_is_a_bigger_change_than_a_constraint_less() -> None:
    moved = waiting(constrained("node.role==manager"))
    case = Case(moved, info(node("n1")), "n1", [], False, Volumes())
    ((drop, promote),) = obstacles("constraint", case)
    assert promote.command == ("node", "promote")
    assert drop.size < promote.size


def info(described: Node) -> NodeInfo:
    made = NodeInfo(described.id)
    made.describe(described)
    return made


@pytest.mark.parametrize("own", ["", "n1"])
def test_two_hosts_of_one_name_are_called_by_their_ids(own: str) -> None:
    twins = [node("n1"), node("n2")]
    for each in twins:
        each.description.hostname = "same"
    inquiry = asked([*twins, waiting(constrained("node.labels.zone==a"), node_id=own)])
    assert inquiry.name(inquiry.rows[0].node) == "n1"
    assert inquiry.proposals[0].steps[0].text == "give n1 the label zone=a"
