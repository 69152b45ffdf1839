"""Networks of one host alone, beside those of the swarm: asked of that host, on its own socket."""

from collections.abc import Iterable, Sequence

from api.errors import Code, SwarmError
from api.labels import have_all
from api.networks import BRIDGE, BUILTIN, SWARM, driver_of, scope_of
from api.v1 import containers_pb2, control_pb2, objects_pb2, specs_pb2
from swarmctl.cli import lists
from swarmctl.cli.client import Client

Network = objects_pb2.Network


def is_local(spec: specs_pb2.NetworkSpec) -> bool:
    """Whether a network that is asked for is of one host: a bridge, if not said otherwise."""
    return driver_of(spec) == BRIDGE and spec.scope != SWARM


def create(client: Client, spec: specs_pb2.NetworkSpec) -> Network:
    """A new network of the host whose daemon is asked."""
    name = spec.annotations.name
    if not client.serves_host():
        raise SwarmError(
            Code.UNSUPPORTED,
            f"network {name} cannot be made from elsewhere",
            why="a bridge is a network of one host, and made there",
            remedy="use its own socket; or --scope swarm for a bridge of that name on every node",
        )
    request = containers_pb2.CreateLocalNetworkRequest(spec=spec)
    method = client.containers.CreateLocalNetwork
    return client.call(method, request, f"creating network {name}", once=True)


def every(client: Client) -> Sequence[Network]:
    """Those of this host; none where the daemon is elsewhere."""
    if not client.serves_host():
        return ()
    request = containers_pb2.ListLocalNetworksRequest()
    method = client.containers.ListLocalNetworks
    return client.call(method, request, "listing networks of this host").networks


def find(client: Client, key: str) -> Network | None:
    """One of this host by its name or id."""
    known = every(client)
    return next((each for each in known if key in (each.id, each.spec.annotations.name)), None)


def users(client: Client, network: Network) -> list[object]:
    """The containers of this host that are in it, tasks apart, as `inspect` shows them."""
    return [
        {"ID": each.id, "Name": each.spec.annotations.name, "Addresses": list(place.addresses)}
        for each in _containers(client)
        for place in each.networks
        if place.network_id == network.id
    ]


def remove(client: Client, network: Network) -> None:
    """Takes it off this host."""
    request = containers_pb2.RemoveLocalNetworkRequest(key=network.id)
    doing = f"removing network {network.spec.annotations.name}"
    client.call(client.containers.RemoveLocalNetwork, request, doing, once=True)


def listed(client: Client, request: control_pb2.ListNetworksRequest) -> list[Network]:
    """All that a list shows: the swarm's, and this host's own as far as they suit the request.

    A host that is in no swarm shows its own, if it has any.
    """
    known = every(client)
    suiting = [each for each in known if _suits(each, request)]
    if suiting and request.dangling:
        needed = {place.network_id for each in _containers(client) for place in each.networks}
        needed.update(BUILTIN)
        suiting = [each for each in suiting if (each.id not in needed) in request.dangling]
    own = {each.id for each in suiting}
    try:
        of_swarm = lists.networks(client, request)
    except SwarmError as error:
        if error.code is not Code.REFUSED or not known:
            raise
        of_swarm = ()
    return [*(each for each in of_swarm if each.id not in own), *suiting]


def _containers(client: Client) -> Sequence[containers_pb2.Container]:
    request = containers_pb2.ListContainersRequest()
    method = client.containers.ListContainers
    return client.call(method, request, "listing containers of this host").containers


def _suits(network: Network, request: control_pb2.ListNetworksRequest) -> bool:
    kind = "builtin" if network.id in BUILTIN else "custom"
    return (
        _begins(network.id, request.ids)
        and _begins(network.spec.annotations.name, request.names)
        and (not request.drivers or driver_of(network.spec) in request.drivers)
        and (not request.scopes or scope_of(network.spec) in request.scopes)
        and (not request.types or kind in request.types)
        and have_all(network.spec.annotations.labels, request.labels)
    )


def _begins(text: str, beginnings: Iterable[str]) -> bool:
    wanted = tuple(beginnings)
    return not wanted or text.startswith(wanted)
