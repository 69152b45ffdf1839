"""The lists of a swarm's objects, which a manager sends in pieces."""

from collections.abc import Sequence

from api.v1 import control_pb2, objects_pb2
from swarmctl.cli.client import Client


def services(
    client: Client, request: control_pb2.ListServicesRequest
) -> control_pb2.ListServicesResponse:
    """Services with the counts of their tasks."""
    into = control_pb2.ListServicesResponse()
    return client.gather(client.control.ListServices, request, into, "listing services")


def tasks(client: Client, request: control_pb2.ListTasksRequest) -> Sequence[objects_pb2.Task]:
    """Tasks with their history."""
    into = control_pb2.ListTasksResponse()
    return client.gather(client.control.ListTasks, request, into, "listing tasks").tasks


def nodes(client: Client, request: control_pb2.ListNodesRequest) -> Sequence[objects_pb2.Node]:
    """Nodes."""
    into = control_pb2.ListNodesResponse()
    return client.gather(client.control.ListNodes, request, into, "listing nodes").nodes


def secrets(client: Client, request: control_pb2.ListFilesRequest) -> Sequence[objects_pb2.Secret]:
    """Secrets, without their data."""
    into = control_pb2.ListSecretsResponse()
    return client.gather(client.control.ListSecrets, request, into, "listing secrets").secrets


def configs(client: Client, request: control_pb2.ListFilesRequest) -> Sequence[objects_pb2.Config]:
    """Configs, without their data."""
    into = control_pb2.ListConfigsResponse()
    return client.gather(client.control.ListConfigs, request, into, "listing configs").configs


def networks(
    client: Client, request: control_pb2.ListNetworksRequest
) -> Sequence[objects_pb2.Network]:
    """Networks, with those that every node has by itself."""
    into = control_pb2.ListNetworksResponse()
    return client.gather(client.control.ListNetworks, request, into, "listing networks").networks


def volumes(
    client: Client, request: control_pb2.ListVolumesRequest
) -> Sequence[objects_pb2.Volume]:
    """Volumes of the swarm."""
    into = control_pb2.ListVolumesResponse()
    return client.gather(client.control.ListVolumes, request, into, "listing volumes").volumes


def hostnames(client: Client) -> dict[str, str]:
    """What people call the nodes, by id: their hostname, or the id where none is known."""
    found = nodes(client, control_pb2.ListNodesRequest())
    return {each.id: each.description.hostname or each.id for each in found}
