"""What a task is to have of networks, against what this node was told of them. Pure."""

from collections.abc import Iterable, Sequence

from api.errors import Code, SwarmError
from overlay_net.fabric.hardware import GATEWAY_BRIDGE
from overlay_net.ingress.ports import is_taken, key_of
from worker.executor import TemporaryError
from worker.network_book import Book
from worker.task_place import Place


def addresses(book: Book, place: Place) -> tuple[str, ...]:
    """The task's own, without prefix lengths; TemporaryError while they are not known."""
    found: list[str] = []
    for network_id in place.networks:
        endpoint = book.endpoints(network_id).get(place.endpoint(network_id))
        network = book.networks.get(network_id)
        if endpoint is None or network is None:
            raise untold(f"network {network_id}" if network is None else network.name)
        if not network.ingress:
            found += [address.partition("/")[0] for address in endpoint.addresses]
    return tuple(found)


def by_network(book: Book, place: Place) -> dict[str, Sequence[str]]:
    """The task's own, with prefix lengths, of each network of which they are known."""
    found: dict[str, Sequence[str]] = {}
    for network_id in place.networks:
        endpoint = book.endpoints(network_id).get(place.endpoint(network_id))
        if endpoint is not None:
            found[network_id] = endpoint.addresses
    return found


def is_tied(place: Place) -> bool:
    """Whether it needs a way out for its ports. What is no task has one by its networks, or none,
    as in Docker.
    """
    return bool(place.ports) and not place.lone


def way_out(book: Book, place: Place) -> tuple[str, ...]:
    """The gateway bridge, if the task has a way out."""
    networks = (book.networks.get(network_id) for network_id in place.networks)
    outward = is_tied(place) or any(each and not each.internal for each in networks)
    return (GATEWAY_BRIDGE,) if outward else ()


def refuse_taken(place: Place, others: Iterable[Place]) -> None:
    """REFUSED if a container that is no task has a port that the place is to have, or the place is
    such a container's and anybody has it: the scheduler knows of none of them.
    """
    rivals = [other for other in others if other.task_id != place.task_id]
    taken = [key_of(p) for other in rivals if other.lone or place.lone for p in other.ports]
    for port in place.ports:
        protocol, number, _ = key = key_of(port)
        if is_taken(key, taken):
            raise SwarmError(
                Code.REFUSED,
                f"port {number}/{protocol} of this node is taken",
                why="another container publishes it",
                remedy="stop that, or publish another port; or keep the service off this node",
            )


def untold(what: str) -> TemporaryError:
    """A manager has yet to tell."""
    return TemporaryError(
        Code.UNAVAILABLE, f"this node has not been told of {what} yet", why="a manager will do so"
    )
