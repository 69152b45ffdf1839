"""What the dispatcher writes of nodes, and what it tells them of the cluster. Pure.

Only the last state that was found of a node is written; findings for nodes that are gone are
dropped.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from api.times import seconds_of, timestamp
from api.v1 import dispatcher_pb2, objects_pb2, types_pb2
from manager.ca.keys import came_with, shown_by
from manager.ca.roots import trusted
from manager.dispatcher.sessions import Finding
from manager.state.changes import Batch, Event, batch, copy, update
from manager.state.store import View

DEFAULT_HEARTBEAT_PERIOD = 2.0
MANAGER_WEIGHT = 1
"""Agents choose among managers by weight; all are worth the same."""

Node = objects_pb2.Node


@dataclass(frozen=True, slots=True)
class NodeReport:
    """The state that a node is in; after a registration also what its agent says of the host."""

    finding: Finding
    at: float
    description: objects_pb2.NodeDescription | None = None
    address: str = ""
    certificate: objects_pb2.NodeCertificate | None = None


class NodeReports:
    """Reports that are yet to be written, one per node. Fulfils Outbox."""

    def __init__(self) -> None:
        self._reports: dict[str, NodeReport] = {}

    def found(self, finding: Finding, at: float) -> None:
        """A node is in this state since `at`, wall seconds."""
        self._put(NodeReport(finding, at))

    def registered(
        self,
        node_id: str,
        description: objects_pb2.NodeDescription,
        address: str,
        at: float,
        certificate: objects_pb2.NodeCertificate | None = None,
    ) -> None:
        """A node's agent registered; `address`: where it came from, `certificate`: what is to be
        noted of the one that it showed; both if that is known.
        """
        ready = Finding(node_id, types_pb2.NODE_STATE_READY)
        self._put(NodeReport(ready, at, description, address, certificate))

    def due(self, now: float) -> float | None:
        """At once, if there is anything to write."""
        return now if self._reports else None

    def take(self, now: float) -> Mapping[str, NodeReport]:
        """Everything that is to be written, by node."""
        taken, self._reports = self._reports, {}
        return taken

    def restore(self, taken: Mapping[str, NodeReport]) -> None:
        """What was taken could not be written; newer reports stand."""
        newer, self._reports = self._reports, dict(taken)
        for report in newer.values():
            self._put(report)

    def batches(self, view: View, taken: Mapping[str, NodeReport]) -> Iterator[Batch]:
        """What is not in the store yet of the reports, one node each."""
        for node_id, report in taken.items():
            node = view.get(Node, node_id)
            changed = None if node is None else reported(node, report)
            if changed is not None:
                yield batch(update(changed))

    def _put(self, report: NodeReport) -> None:
        # What an agent said of its host outlives a later finding about its session.
        older = self._reports.get(report.finding.node_id)
        if older is not None and report.description is None:
            report = replace(
                report,
                description=older.description,
                address=older.address,
                certificate=older.certificate,
            )
        self._reports[report.finding.node_id] = report


def reported(node: Node, report: NodeReport) -> Node | None:
    """The node with the report in it; None if it says so already."""
    changed = copy(node)
    if report.description is not None:
        changed.description.CopyFrom(report.description)
        address = report.description.address or report.address
        changed.status.address = address or changed.status.address
    if report.certificate is not None:
        came_with(changed.certificate, report.certificate)
    finding = report.finding
    if node.status.state != finding.state or not node.status.HasField("since"):
        changed.status.since.CopyFrom(timestamp(report.at))
    changed.status.state = finding.state
    changed.status.message = finding.message
    return None if changed == node else changed


def may_act(node: Node) -> bool:
    """Whether the node may act on what it was told.

    One that is down is told everything anew before it serves again; one that never was up knows
    nothing.
    """
    return node.status.state != types_pb2.NODE_STATE_DOWN and node.HasField("description")


def heartbeat_period(view: View) -> float:
    """Seconds between heartbeats, as the cluster spec says."""
    for cluster in view.all(objects_pb2.Cluster):
        return seconds_of(cluster.spec.heartbeat_period) or DEFAULT_HEARTBEAT_PERIOD
    return DEFAULT_HEARTBEAT_PERIOD


def shown(view: View, certificate: bytes) -> objects_pb2.NodeCertificate | None:
    """What is to be noted of a certificate (PEM) that an agent showed; None if it showed none."""
    for cluster in view.all(objects_pb2.Cluster):
        return shown_by(cluster.root_ca, certificate) if certificate else None
    return None


def greeting(view: View, node: Node, session_id: str) -> dispatcher_pb2.SessionMessage:
    """What an agent is told when its session begins, and when any of it changes."""
    message = dispatcher_pb2.SessionMessage(session_id=session_id, node=node)
    for manager in view.all(Node):
        if manager.manager.address:
            message.managers.add(
                node_id=manager.id, address=manager.manager.address, weight=MANAGER_WEIGHT
            )
    for cluster in view.all(objects_pb2.Cluster):
        message.root_ca_pem = trusted(cluster.root_ca)
    return message


def is_old_news(
    last: dispatcher_pb2.SessionMessage | None, message: dispatcher_pb2.SessionMessage
) -> bool:
    """Whether an agent that was told `last` learns nothing from `message`.

    The node's state and description come from the agent itself, so they are no news to it.
    """
    return last is not None and _without_echo(last) == _without_echo(message)


def concerns_all_agents(event: Event) -> bool:
    """Whether the event may change what every agent is told: the managers or the root CA."""
    if isinstance(event.object, objects_pb2.Cluster):
        return True
    return _manager_address(event.old) != _manager_address(event.new)


def _manager_address(obj: object) -> str:
    return obj.manager.address if isinstance(obj, Node) else ""


def _without_echo(message: dispatcher_pb2.SessionMessage) -> dispatcher_pb2.SessionMessage:
    short = dispatcher_pb2.SessionMessage()
    short.CopyFrom(message)
    for name in ("meta", "status", "description", "certificate"):
        short.node.ClearField(name)
    return short
