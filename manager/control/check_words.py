"""What managers themselves tell of networks and nodes that are checked. Pure."""

from collections.abc import Collection, Iterator, Mapping

from api.v1 import check_pb2, objects_pb2, types_pb2
from manager.state.store import View

Finding = check_pb2.NetworkFinding
Network = objects_pb2.Network
Node = objects_pb2.Node
Report = check_pb2.NetworkCheckReport

UNDERLAY = ""
"""In the place of a network's id: the other nodes."""


def of_networks(view: View, chosen: Collection[str]) -> Iterator[Finding]:
    """What is wrong with networks before any node is asked; no ids: with all."""
    for network in view.all(Network):
        if chosen and network.id not in chosen:
            continue
        name = network.spec.annotations.name
        if network.pending:
            yield Finding(
                network_id=network.id,
                network=name,
                what=f"network {name} cannot be used yet",
                why=network.pending,
                remedy="see: swarmctl network ls",
            )
        if network.warning:
            yield Finding(
                network_id=network.id,
                network=name,
                what=f"network {name} is nearly full",
                why=network.warning,
                remedy="add a subnet while everything runs on",
                command=f"swarmctl network update --add-subnet CIDR {name}",
                note=True,
            )


def of_a_node(node: Node | None) -> Finding | None:
    """Why a node is not asked; None: it is."""
    if node is None:
        return Finding(what="the node was removed meanwhile", note=True)
    if node.status.state == types_pb2.NODE_STATE_DOWN:
        return Finding(
            what="the node is down: it was not looked at",
            found=node.status.message,
            why="its daemon does not answer the managers: the host is off or cut off, or swarmd "
            "does not run there",
            remedy="look at the host; nothing is sent to its tasks meanwhile",
            command="systemctl status swarmd",
        )
    return None


def silent(limit: float) -> Finding:
    """A node that is up, and does not answer."""
    return Finding(
        what=f"the node has not answered within {limit:g} s",
        why="it is cut off and not declared down yet, its daemon is too busy, or it is older than "
        "this check",
        remedy="look whether swarmd runs there and reaches a manager, then check again",
        command="journalctl -u swarmd",
    )


def failed(why: str) -> Finding:
    """A node that could not look."""
    return Finding(
        what="the node could not look at its networks", why=why, remedy="see the log of swarmd"
    )


def differing(told: Mapping[str, bytes], known: Mapping[str, bytes]) -> list[str]:
    """Networks of which a node knows something else than it was to be told, by id."""
    return sorted(each for each in told.keys() | known.keys() if told.get(each) != known.get(each))


def lagging(view: View, networks: Collection[str]) -> Iterator[Finding]:
    """What is told of these."""
    for network_id in networks:
        network = view.get(Network, network_id)
        name = "" if network is None else network.spec.annotations.name
        what = f"network {name or network_id}" if network_id != UNDERLAY else "the other nodes"
        yield Finding(
            network_id=network_id,
            network=name,
            what=f"the node knows otherwise of {what} than the managers",
            expected="what the managers have told since",
            found="something else, for seconds",
            why="it is overloaded, or a message was lost",
            remedy="it is told everything anew by --fix, and when its daemon restarts",
            command="swarmctl network check --fix",
        )


def can_be_mended(node: Node | None, report: Report) -> bool:
    """Whether something is broken on a node that could be told to mend it, or may break."""
    return of_a_node(node) is None and any(each.mends or not each.note for each in report.findings)
