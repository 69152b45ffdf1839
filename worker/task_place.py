"""What a task is to have of networks. Pure."""

from dataclasses import dataclass

from api.published import ports_of
from api.v1 import objects_pb2, specs_pb2

Task = objects_pb2.Task

_HOST = "host"


@dataclass(frozen=True, slots=True)
class Place:
    """A task's place in networks: their ids in the order of its interfaces, and the ports of the
    node that are its own; those without a number have yet to get one.
    """

    task_id: str
    networks: tuple[str, ...]
    ports: tuple[specs_pb2.PortConfig, ...] = ()
    name_servers: tuple[str, ...] = ()


def place_of(task: Task) -> Place | None:
    """None: the task has no network stack of this node's making.

    A task whose one network is the host's publishes by listening there.
    """
    if any(network.target == _HOST for network in task.spec.networks):
        return None
    networks = tuple(each.network_id for each in task.networks)
    ports = tuple(ports_of(task))
    if not networks and not ports:
        return None
    return Place(task.id, networks, ports, tuple(task.spec.container.dns.nameservers))
