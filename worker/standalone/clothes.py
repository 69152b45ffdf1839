"""A container that is no task in the clothes of one, so that the same executor runs it. Pure.

Who has to know sees it by `worker.task_place.is_lone`.
"""

from collections.abc import Sequence

from api.v1 import containers_pb2, objects_pb2, specs_pb2

Container = containers_pb2.Container

MODES = ("none", "host")
SHARED = "container:"
"""Before the name of the container whose network stack is shared."""


def mode_of(spec: containers_pb2.StandaloneSpec) -> str:
    """none, host, container:NAME; empty: it is in networks."""
    targets = [network.target for network in spec.networks]
    if len(targets) == 1 and (targets[0] in MODES or targets[0].startswith(SHARED)):
        return targets[0]
    return ""


def dressed(container: Container) -> objects_pb2.Task:
    """Its networks are those that it is connected to now."""
    task = objects_pb2.Task(id=container.id)
    task.spec.container.CopyFrom(container.spec.container)
    task.spec.resources.CopyFrom(container.spec.resources)
    task.spec.attachment.CopyFrom(identity(container))
    mode = mode_of(container.spec)
    if mode:
        task.spec.networks.add(target=mode)
        return task
    for each in container.networks:
        task.networks.add(
            network_id=each.network_id, aliases=each.aliases, attachment_id=each.attachment_id
        )
    task.host_ports.extend(container.ports)
    return task


def identity(container: Container) -> specs_pb2.ContainerAttachment:
    """How others call it."""
    return specs_pb2.ContainerAttachment(
        container_id=container.id,
        name=container.spec.annotations.name,
        hostname=container.spec.container.hostname,
    )


def shares(container: Container, others: Sequence[Container]) -> Container | None:
    """Whose network stack it shares, of these."""
    mode = mode_of(container.spec)
    if not mode.startswith(SHARED):
        return None
    return find(others, mode.removeprefix(SHARED))


def find(containers: Sequence[Container], key: str) -> Container | None:
    """By id, by name, or by the beginning of an id that no other has."""
    for each in containers:
        if key in (each.id, each.spec.annotations.name):
            return each
    found = [each for each in containers if key and each.id.startswith(key)]
    return found[0] if len(found) == 1 else None
