"""What a task is to have of networks. Pure."""

from dataclasses import dataclass

from api.published import ports_of
from api.v1 import objects_pb2, specs_pb2

Task = objects_pb2.Task

BRIDGE = "bridge"
"""The id and the name of the network that every host has by itself."""
_HOST = "host"


@dataclass(frozen=True, slots=True)
class Place:
    """A task's place in networks: their ids in the order of its interfaces, and the ports of the
    node that are its own; those without a number have yet to get one.

    `lone`: it is a container that is no task, and stays when the node leaves its swarm; of it,
    `attachments` names by network the task that holds its endpoint there.
    """

    task_id: str
    networks: tuple[str, ...]
    ports: tuple[specs_pb2.PortConfig, ...] = ()
    name_servers: tuple[str, ...] = ()
    lone: bool = False
    attachments: tuple[tuple[str, str], ...] = ()

    def endpoint(self, network_id: str) -> str:
        """Under whose id its endpoint in a network is told."""
        return dict(self.attachments).get(network_id, self.task_id)


def place_of(task: Task) -> Place | None:
    """None: the task has no network stack of this node's making.

    A task whose one network is the host's publishes by listening there.
    """
    if any(network.target == _HOST for network in task.spec.networks):
        return None
    networks = tuple(each.network_id for each in task.networks)
    if is_on_bridge(task):
        networks += (BRIDGE,)
    ports = tuple(ports_of(task))
    # A container that runs may leave its last network, and keeps its stack.
    keeps = is_lone(task) and not task.spec.networks
    if not (networks or ports or keeps):
        return None
    return Place(
        task.id,
        networks,
        ports,
        tuple(task.spec.container.dns.nameservers),
        is_lone(task),
        tuple((e.network_id, e.attachment_id) for e in task.networks if e.attachment_id),
    )


def is_on_bridge(task: Task) -> bool:
    """Whether it asks for its node's default bridge, of which no manager knows."""
    return any(network.target == BRIDGE for network in task.spec.networks)


def is_lone(task: Task) -> bool:
    """Whether it is a container that is no task, as worker.standalone dresses it."""
    return bool(task.id) and task.spec.attachment.container_id == task.id


def holds_place(task: Task) -> bool:
    """Whether all it does is to hold a place in a network for such a container."""
    return task.spec.HasField("attachment") and not is_lone(task)
