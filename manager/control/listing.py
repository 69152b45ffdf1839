"""Which objects a list request asks for, piece by piece. Pure; what its fields mean is said in
control.proto.

Every function takes what there is at the moment of its call, which costs little, and looks at it as
its pieces are asked for: many objects at once would hold up whoever leads. A piece may be empty.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Generic, NamedTuple, TypeVar

from api.labels import have_all
from api.modes import mode_name
from api.networks import driver_of, scope_of
from api.states import COMPLETE, REMOVE, RUNNING, is_live, task_name
from api.v1 import control_pb2, objects_pb2
from api.volumes import driver_of as volume_driver_of
from manager.control.resolve import resolve
from manager.state.changes import T
from manager.state.networks import users_of
from manager.state.store import View
from manager.state.volumes import nodes_of_volume
from manager.state.volumes import users_of as users_of_volume

ACCEPTED = control_pb2.NODE_MEMBERSHIP_ACCEPTED
LOOK = 250
"""Objects that are looked at for one piece: a matter of a few milliseconds."""
PIECE_BYTES = 1 << 20
"""A piece ends with the object that brings it to this size."""

F = TypeVar("F", objects_pb2.Secret, objects_pb2.Config)
P = TypeVar("P")


class Counted(NamedTuple):
    """A service and how its tasks stand."""

    service: objects_pb2.Service
    counts: control_pb2.ServiceCounts


def services(view: View, request: control_pb2.ListServicesRequest) -> Iterator[list[Counted]]:
    """Services that match, oldest first."""
    present = [(each, view.tasks_of_service(each.id)) for each in view.all(objects_pb2.Service)]

    def suits(service: objects_pb2.Service) -> bool:
        return (
            _starts(service.id, request.ids)
            and _starts(service.spec.annotations.name, request.names)
            and have_all(service.spec.annotations.labels, request.labels)
            and (not request.modes or mode_name(service) in request.modes)
        )

    return _counted(present, suits)


def tasks(view: View, request: control_pb2.ListTasksRequest) -> Iterator[list[objects_pb2.Task]]:
    """Tasks that match, oldest first; NOT_FOUND for a service or node that does not exist."""
    service_ids = {resolve(view, objects_pb2.Service, k).id for k in request.service_keys}
    node_ids = {resolve(view, objects_pb2.Node, k).id for k in request.node_keys}

    def suits(task: objects_pb2.Task) -> bool:
        return (
            # A container's place in a network is no work of the swarm, and Docker hides it too.
            not task.spec.HasField("attachment")
            and (not service_ids or task.service_id in service_ids)
            and (not node_ids or task.node_id in node_ids)
            and _starts(task.id, request.ids)
            and _starts(task_name(task), request.names)
            and have_all(task.service_labels, request.labels)
            and (not request.desired_states or task.desired_state in request.desired_states)
        )

    return _pieces(_candidates(view, service_ids, node_ids), suits)


def nodes(view: View, request: control_pb2.ListNodesRequest) -> Iterator[list[objects_pb2.Node]]:
    """Nodes that match, oldest first."""

    def suits(node: objects_pb2.Node) -> bool:
        return (
            _starts(node.id, request.ids)
            and _starts(node.description.hostname, request.names)
            and have_all(node.description.engine.labels, request.engine_labels)
            and have_all(node.spec.annotations.labels, request.node_labels)
            and (not request.roles or node.role in request.roles)
            and (not request.memberships or ACCEPTED in request.memberships)
        )

    return _pieces(list(view.all(objects_pb2.Node)), suits)


def files(view: View, kind: type[F], request: control_pb2.ListFilesRequest) -> Iterator[list[F]]:
    """Secrets, or configs, that match, oldest first."""

    def suits(file: F) -> bool:
        return (
            _starts(file.id, request.ids)
            and _starts(file.spec.annotations.name, request.names)
            and have_all(file.spec.annotations.labels, request.labels)
        )

    return _pieces(list(view.all(kind)), suits)


def networks(
    view: View,
    builtin: Iterable[objects_pb2.Network],
    request: control_pb2.ListNetworksRequest,
) -> Iterator[list[objects_pb2.Network]]:
    """Networks that match, those of every node (`builtin`) first, then oldest first."""
    own = {each.id: each for each in builtin}

    def suits(network: objects_pb2.Network) -> bool:
        return (
            _starts(network.id, request.ids)
            and _starts(network.spec.annotations.name, request.names)
            and have_all(network.spec.annotations.labels, request.labels)
            and (not request.drivers or driver_of(network.spec) in request.drivers)
            and (not request.scopes or scope_of(network.spec) in request.scopes)
            and (
                not request.types or ("builtin" if network.id in own else "custom") in request.types
            )
            and _dangles(view, network, request.dangling, is_builtin=network.id in own)
        )

    return _pieces([*own.values(), *view.all(objects_pb2.Network)], suits)


def volumes(
    view: View, request: control_pb2.ListVolumesRequest
) -> Iterator[list[objects_pb2.Volume]]:
    """Volumes that match, oldest first; NOT_FOUND for a node that does not exist."""
    node_ids = {resolve(view, objects_pb2.Node, k).id for k in request.node_keys}

    def suits(volume: objects_pb2.Volume) -> bool:
        spec = volume.spec
        return (
            _starts(volume.id, request.ids)
            and _starts(spec.annotations.name, request.names)
            and have_all(spec.annotations.labels, request.labels)
            and (not request.drivers or volume_driver_of(spec) in request.drivers)
            and (not request.groups or spec.group in request.groups)
            and (not node_ids or bool(node_ids & {volume.home, *nodes_of_volume(volume)}))
            and (not request.dangling or (not users_of_volume(view, volume)) in request.dangling)
        )

    return _pieces(list(view.all(objects_pb2.Volume)), suits)


def _dangles(
    view: View, network: objects_pb2.Network, asked: Collection[bool], *, is_builtin: bool
) -> bool:
    if not asked:
        return True
    needed = is_builtin or network.spec.ingress or bool(users_of(view, network))
    return (not needed) in asked


class _Cut(Generic[P]):
    """Gathers a piece, and says when it is done."""

    def __init__(self) -> None:
        self._piece: list[P] = []
        self._looked = self._bytes = 0

    def add(self, each: P, size: int) -> None:
        """Takes what matches, of so many bytes."""
        self._piece.append(each)
        self._bytes += size

    def looked(self, count: int) -> Iterator[list[P]]:
        """Notes the work of looking at so many objects; the piece, if it is done with that."""
        self._looked += count
        if self._looked >= LOOK or self._bytes >= PIECE_BYTES:
            yield self.rest()

    def rest(self) -> list[P]:
        """What there is of the piece; the next one begins."""
        piece, self._piece = self._piece, []
        self._looked = self._bytes = 0
        return piece


def _pieces(candidates: Sequence[T], suits: Callable[[T], bool]) -> Iterator[list[T]]:
    cut = _Cut[T]()
    for each in candidates:
        if suits(each):
            cut.add(each, each.ByteSize())
        yield from cut.looked(1)
    yield cut.rest()


def _counted(
    present: Sequence[tuple[objects_pb2.Service, Sequence[objects_pb2.Task]]],
    suits: Callable[[objects_pb2.Service], bool],
) -> Iterator[list[Counted]]:
    cut = _Cut[Counted]()
    for service, its_tasks in present:
        if suits(service):
            counts = control_pb2.ServiceCounts(desired=service.spec.replicated.replicas)
            for start in range(0, len(its_tasks), LOOK):
                some = its_tasks[start : start + LOOK]
                count(counts, service, some)
                yield from cut.looked(len(some))
            cut.add(Counted(service, counts), service.ByteSize())
        yield from cut.looked(1)
    yield cut.rest()


def count(
    counts: control_pb2.ServiceCounts,
    service: objects_pb2.Service,
    some: Iterable[objects_pb2.Task],
) -> None:
    """Adds tasks that run, should run and have completed (SwarmKit, ListServiceStatuses).

    Of a job those of the present iteration count.
    """
    iteration = service.job_status.iteration
    present = [
        task for task in some if task.desired_state < REMOVE and task.job_iteration == iteration
    ]
    counts.running += sum(
        task.status.state == RUNNING and task.desired_state in (RUNNING, COMPLETE)
        for task in present
    )
    counts.completed += sum(task.status.state == COMPLETE for task in present)
    if service.spec.WhichOneof("mode") != "replicated":
        counts.desired += sum(is_live(task) for task in present)


def _candidates(
    view: View, service_ids: Iterable[str], node_ids: Iterable[str]
) -> Sequence[objects_pb2.Task]:
    """What an index finds, and else every task."""
    if service_ids:
        return [task for key in service_ids for task in view.tasks_of_service(key)]
    if node_ids:
        return [task for key in node_ids for task in view.tasks_of_node(key)]
    return list(view.all(objects_pb2.Task))


def _starts(value: str, prefixes: Iterable[str]) -> bool:
    wanted = tuple(prefixes)
    return not wanted or value.startswith(wanted)
