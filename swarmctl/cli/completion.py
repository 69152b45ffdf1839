"""Names for shell completion. Asks the daemon, but never for long, and is silent when it fails: a
shell must not hang on the Tab key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import click

from api.errors import SwarmError

if TYPE_CHECKING:  # the whole program imports this module, and few runs of it complete a name
    from swarmctl.cli.client import Client

LIMIT = 0.3
"""Seconds that a completion may take: half to connect, half to ask."""

Complete = Callable[[click.Context, click.Parameter, str], list[str]]


def completes(noun: str, *, suffix: str = "") -> Complete:
    """A completion function for the names of what there is of a noun: services, nodes, secrets."""

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
        given = ctx.params.get(param.name or "") or ()
        names = (f"{name}{suffix}" for name in _ask(ctx, noun))
        return sorted(n for n in set(names) if n.startswith(incomplete) and n not in given)

    return complete


def context_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The completion function for contexts."""
    from swarmctl.cli import contexts  # noqa: PLC0415
    from swarmctl.cli.client import DEFAULT_CONTEXT  # noqa: PLC0415

    try:
        names = [DEFAULT_CONTEXT, *contexts.load_all()]
    except SwarmError:
        return []
    return [name for name in names if name.startswith(incomplete)]


def _ask(ctx: click.Context, noun: str) -> Iterable[str]:
    from swarmctl.cli.client import Client  # noqa: PLC0415

    settings = ctx.find_root().params
    client = Client(
        host=settings.get("host") or "",
        context=settings.get("context_name") or "",
        cert_path=settings.get("cert_path") or "",
        timeout=LIMIT / 2,
        retry=False,
    )
    try:
        return list(_NAMES[noun](client))
    except SwarmError:
        return []
    finally:
        client.close()


def _services(client: Client) -> Iterable[str]:
    from api.v1 import control_pb2  # noqa: PLC0415
    from swarmctl.cli import lists  # noqa: PLC0415

    found = lists.services(client, control_pb2.ListServicesRequest()).services
    return (each.spec.annotations.name for each in found)


def _nodes(client: Client) -> Iterable[str]:
    from api.v1 import control_pb2  # noqa: PLC0415
    from swarmctl.cli import lists  # noqa: PLC0415

    found = lists.nodes(client, control_pb2.ListNodesRequest())
    return (each.description.hostname for each in found)


def _images(client: Client) -> Iterable[str]:
    from api.v1 import host_pb2  # noqa: PLC0415

    request = host_pb2.ListImagesRequest()
    answer = client.call(client.host.ListImages, request, "listing images")
    return (name for each in answer.images for name in each.references)


def _secrets(client: Client) -> Iterable[str]:
    from api.v1 import control_pb2  # noqa: PLC0415
    from swarmctl.cli import lists  # noqa: PLC0415

    found = lists.secrets(client, control_pb2.ListFilesRequest())
    return (each.spec.annotations.name for each in found)


def _configs(client: Client) -> Iterable[str]:
    from api.v1 import control_pb2  # noqa: PLC0415
    from swarmctl.cli import lists  # noqa: PLC0415

    found = lists.configs(client, control_pb2.ListFilesRequest())
    return (each.spec.annotations.name for each in found)


def _networks(client: Client) -> Iterable[str]:
    from api.v1 import control_pb2  # noqa: PLC0415
    from swarmctl.cli import lists  # noqa: PLC0415

    found = lists.networks(client, control_pb2.ListNetworksRequest())
    return (each.spec.annotations.name for each in found)


def _volumes(client: Client) -> Iterable[str]:
    from api.v1 import control_pb2  # noqa: PLC0415
    from swarmctl.cli import lists  # noqa: PLC0415

    found = lists.volumes(client, control_pb2.ListVolumesRequest())
    return (each.spec.annotations.name for each in found)


_NAMES: dict[str, Callable[[Client], Iterable[str]]] = {
    "config": _configs,
    "image": _images,
    "network": _networks,
    "node": _nodes,
    "secret": _secrets,
    "service": _services,
    "volume": _volumes,
}
