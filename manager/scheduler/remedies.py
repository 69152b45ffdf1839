"""What would make a node pass a filter that refuses it: single changes, each with how big it is.

Whether a change really helps is not said here: whoever proposes it asks the pipeline again with the
change made. Pure.
"""

from collections.abc import Callable, Iterable, Iterator

from api import states
from api.published import port_text, ports_of
from api.v1 import objects_pb2, specs_pb2, types_pb2
from manager.placement.constraint import NODE_LABEL, Clause, all_unmet, parsed
from manager.placement.platform import platforms_for
from manager.placement.resources import holds_resources, needed_controllers, reservation
from manager.scheduler.filters.node import network_drivers
from manager.scheduler.nodes import NodeInfo, held_port
from manager.scheduler.remedy import About, Case, Obstacle, Remedy, Size
from manager.scheduler.volume_remedies import volume_obstacles

Node = objects_pb2.Node
Task = objects_pb2.Task


def obstacles(filter_name: str, case: Case) -> list[Obstacle]:
    """What is in the way of this filter; an obstacle without remedies cannot be overcome."""
    find = _BY_FILTER.get(filter_name)
    return [[]] if find is None else list(find(case))


def _ready(case: Case) -> Iterator[Obstacle]:
    def come_back(node: Node) -> None:
        node.status.state = types_pb2.NODE_STATE_READY

    text = f"bring {case.name} back: see whether its host and its swarmd run"
    yield [Remedy(text, Size.COME_BACK, about=About.NODE, on_node=come_back)]


def _availability(case: Case) -> Iterator[Obstacle]:
    def activate(node: Node) -> None:
        node.spec.availability = types_pb2.NODE_AVAILABILITY_ACTIVE

    paused = case.node.node.spec.availability == types_pb2.NODE_AVAILABILITY_PAUSE
    command = ("node", "update", "--availability", "active")
    size = Size.UNPAUSE if paused else Size.ACTIVATE
    yield [Remedy(f"activate {case.name}", size, command, About.NODE, on_node=activate)]


def _constraints(case: Case) -> Iterator[Obstacle]:
    for text in all_unmet(case.task.spec.placement.constraints, case.node.node):
        ways = [way for clause in parsed(text) for way in _meet(clause, case)]
        yield sorted((*ways, _without_constraint(text)), key=lambda each: each.size)


def _without_constraint(text: str) -> Remedy:
    def drop(task: Task) -> None:
        task.spec.placement.constraints.remove(text)

    command = ("service", "update", "--constraint-rm", text)
    return Remedy(f"drop the constraint {text}", Size.NO_CONSTRAINT, command, on_task=drop)


def _meet(clause: Clause, case: Case) -> Iterator[Remedy]:
    """How the node could be made to meet the clause."""
    if clause.key[: len(NODE_LABEL)].lower() == NODE_LABEL:
        yield _label(clause, case)
    elif clause.key == "node.role":
        yield _role(case)


def _label(clause: Clause, case: Case) -> Remedy:
    label = clause.key[len(NODE_LABEL) :]
    if clause.equal:
        command = ("node", "update", "--label-add", f"{label}={clause.given}")
        former = clause.read(case.node.node)
        instead = f" instead of {former}" if former else ""
        text = f"give {case.name} the label {label}={clause.given}{instead}"
    else:
        command = ("node", "update", "--label-rm", label)
        text = f"take the label {label} from {case.name}"

    def change(node: Node) -> None:
        labels = node.spec.annotations.labels
        if clause.equal:
            labels[label] = clause.given
        else:
            labels.pop(label, None)

    return Remedy(text, Size.LABEL, command, About.NODE, on_node=change)


def _role(case: Case) -> Remedy:
    is_manager = case.node.node.role == types_pb2.NODE_ROLE_MANAGER
    other = types_pb2.NODE_ROLE_WORKER if is_manager else types_pb2.NODE_ROLE_MANAGER
    verb = "demote" if is_manager else "promote"

    def change(node: Node) -> None:
        node.role = other

    command = ("node", verb)
    return Remedy(f"{verb} {case.name}", Size.ROLE, command, About.NODE, on_node=change)


def _platform(case: Case) -> Iterator[Obstacle]:
    offered = case.node.node.description.platform

    def build(task: Task) -> None:
        wanted = [*platforms_for(task.spec), offered]
        task.spec.placement.ClearField("platforms")
        task.spec.placement.platforms.extend(wanted)

    text = f"use an image that is also built for {offered.os}/{offered.architecture}"
    yield [Remedy(text, Size.OTHER_IMAGE, on_task=build)]


def _networks(case: Case) -> Iterator[Obstacle]:
    has = case.node.node.description.network_drivers
    missing = sorted(network_drivers(case.task) - set(has)) if has else []

    def provide(node: Node) -> None:
        node.description.network_drivers.extend(missing)

    if missing:
        text = f"give the kernel of {case.name} what networks of driver {missing[0]} need"
        yield [Remedy(text, Size.DRIVER, on_node=provide)]


def _encryption(case: Case) -> Iterator[Obstacle]:
    def provide(node: Node) -> None:
        node.description.wireguard_key = b"\1"

    text = f"install wireguard-go on {case.name}, or give its kernel the module wireguard"
    yield [Remedy(text, Size.DRIVER, on_node=provide)]


def _controllers(case: Case) -> Iterator[Obstacle]:
    needed = needed_controllers(case.task.spec)
    lacking = sorted(needed & case.node.missing_controllers)

    def enable(node: Node) -> None:
        kept = [each for each in node.description.missing_controllers if each not in lacking]
        node.description.ClearField("missing_controllers")
        node.description.missing_controllers.extend(kept)

    def unlimit(task: Task) -> None:
        resources = task.spec.resources
        if "cpu" in lacking:
            resources.limits.nano_cpus = 0
        if "memory" in lacking:
            resources.limits.memory_bytes = 0
        if "pids" in lacking:
            resources.pids_limit = 0

    names = " and ".join(lacking)
    words = [word for each in lacking for word in (f"--limit-{each}", "0")]
    yield [
        Remedy(
            f"enable the cgroup controller {names} on {case.name}'s host",
            Size.CONTROLLER,
            about=About.NODE,
            on_node=enable,
        ),
        Remedy(
            f"drop the limit of {names}",
            Size.NO_LIMIT,
            ("service", "update", *words),
            on_task=unlimit,
        ),
    ]


_CPU_STEP = 1_000_000
_MEMORY_STEP = 1 << 20
"""Reservations are lowered to a whole number of these: a thousandth of a CPU, a MiB."""


def _cpus(case: Case) -> Iterator[Obstacle]:
    free = max(0, case.node.free_nano_cpus) // _CPU_STEP * _CPU_STEP

    def lower(task: Task) -> None:
        task.spec.resources.reservations.nano_cpus = free

    amount = f"{free / 1e9:g}"
    words = f"{amount} {'CPU' if amount == '1' else 'CPUs'}"
    yield [_less("--reserve-cpu", amount, words, free, reservation(case.task)[0], lower)]


def _memory(case: Case) -> Iterator[Obstacle]:
    free = max(0, case.node.free_memory_bytes) // _MEMORY_STEP

    def lower(task: Task) -> None:
        task.spec.resources.reservations.memory_bytes = free * _MEMORY_STEP

    wanted = reservation(case.task)[1]
    has = free * _MEMORY_STEP
    yield [_less("--reserve-memory", f"{free}m" if free else "0", f"{free}MiB", has, wanted, lower)]


def _less(
    flag: str, amount: str, words: str, has: int, wanted: int, change: Callable[[Task], None]
) -> Remedy:
    text = f"reserve {words} instead" if has else "reserve none"
    size = Size.RESERVE_LESS + _share(has, wanted)
    return Remedy(text, size, ("service", "update", flag, amount), on_task=change)


def _share(has: int, wanted: int) -> float:
    """How much of what is wanted has to be given up: below 1."""
    return (wanted - has) / (wanted + 1)


def _generic(case: Case) -> Iterator[Obstacle]:
    for each in case.task.spec.resources.reservations.generic:
        free = max(0, case.node.free_generic(each.kind))
        if free < each.count:
            yield [_less_generic(each.kind, free, each.count)]


def _less_generic(kind: str, free: int, wanted: int) -> Remedy:
    def lower(task: Task) -> None:
        generic = task.spec.resources.reservations.generic
        for index, each in enumerate(generic):
            if each.kind == kind and free:
                each.count = free
            elif each.kind == kind:
                del generic[index]
                return

    change = (
        ("--generic-resource-add", f"{kind}={free}") if free else ("--generic-resource-rm", kind)
    )
    text = f"ask for {free} {kind} instead" if free else f"ask for no {kind}"
    size = Size.GENERIC_LESS + _share(free, wanted)
    return Remedy(text, size, ("service", "update", *change), on_task=lower)


def _host_ports(case: Case) -> Iterator[Obstacle]:
    for port in case.task.host_ports:
        if not port.published_port or not case.node.holds_port(port):
            continue
        word = port_text(port)
        for holder in case.there:
            if holds_resources(holder) and _holds(holder, port):
                yield [_moved(holder, word, case)]


def _holds(holder: Task, port: specs_pb2.PortConfig) -> bool:
    alone = NodeInfo(holder.node_id)
    for each in ports_of(holder):
        if each.published_port:
            alone.hold_port(held_port(each), 1)
    return alone.holds_port(port)


def _moved(holder: Task, port: str, case: Case) -> Remedy:
    key = "node.id" if case.name == case.node.id else "node.hostname"
    words = ("service", "update", "--constraint-add", f"{key}!={case.name}", holder.service_name)
    text = f"move {states.task_name(holder)} away from {case.name}: it holds host port {port}"
    return Remedy(text, Size.MOVE_HOLDER, words, About.NAMED, ends=holder.id)


def _per_node(case: Case) -> Iterator[Obstacle]:
    count = case.node.of_service.get(case.task.service_id, 0) - case.succeeds + 1

    def allow(task: Task) -> None:
        task.spec.placement.max_replicas_per_node = count

    more = count - case.task.spec.placement.max_replicas_per_node
    command = ("service", "update", "--replicas-max-per-node", str(count))
    size = Size.PER_NODE + _share(0, more)
    yield [Remedy(f"allow {count} replicas per node", size, command, on_task=allow)]


_BY_FILTER: dict[str, Callable[[Case], Iterable[Obstacle]]] = {
    "ready": _ready,
    "availability": _availability,
    "constraint": _constraints,
    "platform": _platform,
    "controller": _controllers,
    "network": _networks,
    "encryption": _encryption,
    "volume": volume_obstacles,
    "cpu": _cpus,
    "memory": _memory,
    "generic": _generic,
    "host port": _host_ports,
    "max replicas": _per_node,
}
