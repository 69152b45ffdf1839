"""What is refused of containers that are no tasks, in words for people. Pure."""

from api.errors import Code, SwarmError
from api.v1 import containers_pb2

Container = containers_pb2.Container


def unknown(key: str) -> SwarmError:
    """There is none of this name."""
    return SwarmError(
        Code.NOT_FOUND,
        f"there is no container {key!r} on this host",
        why="tasks are none of them: they are in the networks of their service",
        remedy="for a task: swarmctl service update --network-add, or --network-rm",
    )


def name_taken(name: str) -> SwarmError:
    """There is one of this name."""
    return SwarmError(Code.EXISTS, f"this host has a container {name} already")


def runs(container: Container) -> SwarmError:
    """It would have to be ended."""
    return SwarmError(
        Code.REFUSED,
        f"container {container.spec.annotations.name} cannot be removed",
        why="it runs",
        remedy="stop it first, or use force",
    )


def runs_not(owner: Container) -> SwarmError:
    """Its network stack is wanted, and it has none."""
    return SwarmError(
        Code.REFUSED,
        f"the network stack of container {owner.spec.annotations.name} cannot be shared",
        why="it does not run",
        remedy="start it first",
    )


def not_connected(container: Container, network: str) -> SwarmError:
    """It is not in the network that it should leave."""
    name = container.spec.annotations.name
    return SwarmError(Code.NOT_FOUND, f"container {name} is not connected to network {network!r}")
