"""Names for shell completion. Asks the daemon, but never for long, and is silent when it fails: a
shell must not hang on the Tab key.
"""

from collections.abc import Callable, Iterator

import click
import grpc

from api.errors import SwarmError
from api.v1 import control_pb2, host_pb2
from swarmctl.cli.client import Client

LIMIT = 0.3
"""Seconds that a completion may take."""

Complete = Callable[[click.Context, click.Parameter, str], list[str]]


def completes(noun: str) -> Complete:
    """A completion function for the names of services, nodes or images."""

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
        root = ctx.find_root()
        client = root.obj or Client(
            host=root.params.get("host") or "",
            context=root.params.get("context_name") or "",
            cert_path=root.params.get("cert_path") or "",
        )
        try:
            names = list(_NAMES[noun](client))
        except (SwarmError, grpc.RpcError):
            return []
        return sorted(name for name in names if name.startswith(incomplete))

    return complete


def _services(client: Client) -> Iterator[str]:
    answer = client.control.ListServices(control_pb2.ListServicesRequest(), timeout=LIMIT)
    return (each.spec.annotations.name for each in answer.services)


def _nodes(client: Client) -> Iterator[str]:
    answer = client.control.ListNodes(control_pb2.ListNodesRequest(), timeout=LIMIT)
    return (each.description.hostname for each in answer.nodes)


def _images(client: Client) -> Iterator[str]:
    answer = client.host.ListImages(host_pb2.ListImagesRequest(), timeout=LIMIT)
    return (name for each in answer.images for name in each.references)


_NAMES: dict[str, Callable[[Client], Iterator[str]]] = {
    "image": _images,
    "node": _nodes,
    "service": _services,
}
