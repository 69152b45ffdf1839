"""Who holds what in networks, and what the store refuses therefore. Pure.

A network that is removed while a service comes to refer to it, two services that publish one port,
two networks with one subnet: whoever proposes either has looked before; only where the order is
settled can both be known. So the store refuses the later one of the two.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from api import states
from api.errors import Code, SwarmError
from api.modes import is_job
from api.networks import overlap
from api.published import address_of, chosen_ports, port_text, share_an_address
from api.v1 import objects_pb2, specs_pb2
from manager.state.changes import Action, Change
from manager.state.files import UNDER_WAY
from manager.state.users import named

if TYPE_CHECKING:
    from manager.state.store import View

Network = objects_pb2.Network
Service = objects_pb2.Service
Task = objects_pb2.Task
PortKey: TypeAlias = tuple[int, int]
"""Protocol and published port."""

_HOST = specs_pb2.PortConfig.PUBLISH_MODE_HOST

_OVER = frozenset(
    {
        objects_pb2.UpdateStatus.STATE_COMPLETED,
        objects_pb2.UpdateStatus.STATE_ROLLBACK_COMPLETED,
    }
)


def named_by(spec: specs_pb2.TaskSpec) -> list[str]:
    """The ids of the networks that a task of this spec joins, in its order."""
    return [each.id for each in spec.networks if each.id]


def networks_of_service(service: Service) -> frozenset[str]:
    """Networks that the service names, may go back to, or has a virtual address in."""
    named = [*named_by(service.spec.task), *named_by(service.previous_spec.task)]
    return frozenset([*named, *(each.network_id for each in service.endpoint.virtual_ips)])


def networks_of_task(task: Task) -> frozenset[str]:
    """Networks in which the task holds an address."""
    if not task.networks:  # as of most, and each change of each task is asked
        return frozenset()
    return frozenset(each.network_id for each in held(task.networks))


def held(
    attachments: Iterable[objects_pb2.NetworkAttachment],
) -> Iterator[objects_pb2.NetworkAttachment]:
    """Those whose addresses are not given back yet."""
    return (each for each in attachments if not each.released)


def holds(task: Task) -> bool:
    """Whether the task has addresses that it has not given back."""
    return any(True for _ in held(task.networks))


class Claim(NamedTuple):
    """What a service may say of a port: that it answers on an address, or on all (""), of every
    node, or of those alone that run its tasks.
    """

    key: PortKey
    address: str
    everywhere: bool

    def excludes(self, other: "Claim") -> bool:
        """Whether no two services can have both."""
        return (
            self.key == other.key
            and (self.everywhere or other.everywhere)
            and share_an_address(self.address, other.address)
        )


def claims_of(service: Service) -> frozenset[Claim]:
    """The published ports that the service has, asks for, or may go back to."""
    return frozenset(
        Claim(_key(port), address_of(port), is_ingress(port))
        for port in _ports(service)
        if port.published_port
    )


def ports_of_service(service: Service) -> frozenset[PortKey]:
    """The same, whatever their addresses."""
    return frozenset(claim.key for claim in claims_of(service))


def chosen_by_node(task: Task) -> frozenset[PortKey]:
    """The ports that its node chose for the task, as long as the task may hold them."""
    if not task.host_ports or states.is_terminal(task):
        return frozenset()
    return frozenset(map(_key, chosen_ports(task)))


def _ports(service: Service) -> Iterator[specs_pb2.PortConfig]:
    yield from service.spec.endpoint.ports
    yield from service.endpoint.ports
    if _may_go_back(service):
        # Nobody gets them meanwhile: a rollback by itself could not be refused.
        yield from service.previous_spec.endpoint.ports


def _may_go_back(service: Service) -> bool:
    """Whether a rollout, under way, paused or yet to begin, could end in the previous spec."""
    if is_job(service) or service.update_status.state in _OVER:
        return False
    return not make_alike(service.previous_spec, service.spec)


def _key(port: specs_pb2.PortConfig) -> PortKey:
    return port.protocol, port.published_port


def is_ingress(port: specs_pb2.PortConfig) -> bool:
    """Whether the port is published on every node."""
    return port.mode != _HOST


def publishes(spec: specs_pb2.ServiceSpec) -> bool:
    """Whether tasks are reached through ports of every node."""
    return any(map(is_ingress, spec.endpoint.ports))


def host_ports(spec: specs_pb2.ServiceSpec) -> list[specs_pb2.PortConfig]:
    """The ports that each task has on its own node."""
    return [port for port in spec.endpoint.ports if not is_ingress(port)]


def make_alike(one: specs_pb2.ServiceSpec, other: specs_pb2.ServiceSpec) -> bool:
    """Whether tasks of both specs would be made like each other: then nothing is rolled out."""
    return (
        one.task == other.task
        and publishes(one) == publishes(other)
        and host_ports(one) == host_ports(other)
    )


def port_taken(view: "View", service: Service, claims: Iterable[Claim]) -> SwarmError | None:
    """Why the service cannot publish one of its ports so, or None.

    On a node one may be published by many, if each of them publishes it on its own node alone, or
    on another address. What a node chose is that task's, wherever else it is free.
    """
    for claim in sorted(claims):
        for other in view.services_of_port(claim.key):
            taken = other.id != service.id and next(filter(claim.excludes, claims_of(other)), None)
            if taken:
                name = other.spec.annotations.name
                return SwarmError(
                    Code.REFUSED,
                    f"port {_text(claim)} is published already",
                    why=f"service {name} has {_text(taken) if taken.address else 'it'}",
                    remedy="publish another port, or take it from there: swarmctl service update "
                    f"--publish-rm published={claim.key[1]},target=... {name}",
                )
        for task in view.tasks_of_port(claim.key):
            if _robs(claim, task):
                node = view.get(objects_pb2.Node, task.node_id)
                where = task.node_id if node is None else node.description.hostname or node.id
                return SwarmError(
                    Code.REFUSED,
                    f"port {_text(claim)} is published already",
                    why=f"node {where} chose it for task {states.task_name(task)}",
                    remedy="publish another port, or have another one chosen: swarmctl service "
                    f"update --force {task.service_name}",
                )
    return None


def robber_of(view: "View", task: Task) -> str:
    """Why the task cannot keep a port that its node chose: the node did so before it heard that a
    service publishes it on every node. Empty if there is nothing.
    """
    for key in sorted(chosen_by_node(task)):
        for service in view.services_of_port(key):
            claim = next((c for c in claims_of(service) if _robs(c, task)), None)
            if claim is not None:
                name = service.spec.annotations.name
                return f"service {name} publishes port {_text(claim)}, which the node chose"
    return ""


def _robs(claim: Claim, task: Task) -> bool:
    chosen = (Claim(_key(port), address_of(port), False) for port in chosen_ports(task))
    return any(map(claim.excludes, chosen))


def _text(claim: Claim) -> str:
    protocol = specs_pb2.PortConfig.Protocol.ValueType(claim.key[0])
    return port_text(
        specs_pb2.PortConfig(protocol=protocol, published_port=claim.key[1], host_ip=claim.address)
    )


def users_of(view: "View", network: Network) -> list[str]:
    """In words who would miss the network: services, then tasks that are to run on in it."""
    services = [s for s in view.services_of_network(network.id) if _needs(s, network.id)]
    if network.spec.ingress:
        services = [s for s in view.all(Service) if publishes(s.spec)]
    found = [f"service {each.spec.annotations.name}" for each in services]
    known = {each.id for each in services}
    for task in view.tasks_of_network(network.id):
        if task.service_id not in known and states.is_live(task):
            kind = "container" if task.spec.HasField("attachment") else "task"
            found.append(f"{kind} {states.task_name(task)}")
    return found


def in_use(network: Network, users: list[str]) -> SwarmError:
    """The refusal to remove a network that these use."""
    name = network.spec.annotations.name
    option, what = f"--network-rm {name}", "the network"
    if network.spec.ingress:
        option, what = "--publish-rm TARGET_PORT", "their published ports"
    return SwarmError(
        Code.REFUSED,
        f"network {name} is in use",
        why=f"by {named(users)}",
        remedy=f"remove them, or take {what} from them: swarmctl service update {option} SERVICE",
    )


def give_up(network: Network, index: int) -> None:
    """Notes with addresses that have come to rest which version it was that gave them up."""
    for each in network.resting:
        each.since = each.since or index


def refusal_of_networks(view: "View", change: Change) -> SwarmError | None:
    """Why the change does not go together with what is there, or None."""
    obj = change.object
    if isinstance(obj, Service) and change.action is not Action.DELETE:
        return _refuse_service(view, obj)
    if isinstance(obj, Network):
        if change.action is Action.DELETE:
            stored = view.get(Network, obj.id)
            users = users_of(view, stored) if stored is not None else []
            return in_use(obj if stored is None else stored, users) if users else None
        return _refuse_network(view, obj)
    return None


def _refuse_service(view: "View", service: Service) -> SwarmError | None:
    before = view.get(Service, service.id)
    # What it had already was looked at then: an orchestrator's write must not fail for it.
    had = frozenset[Claim]() if before is None else claims_of(before)
    taken = port_taken(view, service, claims_of(service) - had)
    if taken is not None:
        return taken
    known = frozenset[str]() if before is None else networks_of_service(before)
    for network_id in named_by(service.spec.task):
        if network_id not in known and view.get(Network, network_id) is None:
            return SwarmError(
                Code.CONFLICT,
                f"network {network_id} was removed meanwhile",
                remedy="create it again, then repeat the change",
            )
    return None


def _refuse_network(view: "View", network: Network) -> SwarmError | None:
    before = view.get(Network, network.id)
    had = set() if before is None else _subnets(before)
    fresh = _subnets(network) - had
    changed = before is None or network.vni != before.vni or network.spec != before.spec
    if not fresh and not changed:
        return None
    for other in view.all(Network):
        if other.id != network.id:
            refusal = _clash(network, fresh, other)
            if refusal is not None:
                return refusal
    return None


def _clash(network: Network, fresh: set[str], other: Network) -> SwarmError | None:
    name = other.spec.annotations.name
    if network.spec.ingress and other.spec.ingress:
        return SwarmError(
            Code.REFUSED,
            "there is an ingress network already",
            why=f"it is {name}",
            remedy=f"remove it first: swarmctl network rm {name}",
        )
    if network.vni and network.vni == other.vni:
        return SwarmError(Code.CONFLICT, f"VNI {network.vni} is that of network {name}")
    for subnet in sorted(fresh):
        for taken in sorted(_subnets(other)):
            if overlap(subnet, taken):
                return SwarmError(
                    Code.REFUSED,
                    f"subnet {subnet} overlaps with {taken}",
                    why=f"network {name} has it",
                    remedy="choose another one, or leave out --subnet",
                    field="pools",
                )
    return None


def _subnets(network: Network) -> set[str]:
    return {pool.subnet for pool in (*network.spec.pools, *network.pools)}


def _needs(service: Service, network_id: str) -> bool:
    if network_id in named_by(service.spec.task):
        return True
    going_back = service.update_status.state in UNDER_WAY
    return going_back and network_id in named_by(service.previous_spec.task)
