"""Which objects a list request asks for. Pure; fields of a request are ANDed, their values ORed."""

from collections.abc import Iterable, Mapping
from typing import TypeVar

from api.modes import mode_name
from api.networks import driver_of, scope_of
from api.states import COMPLETE, REMOVE, RUNNING, is_live, task_name
from api.v1 import control_pb2, objects_pb2
from manager.control.resolve import resolve
from manager.state.networks import users_of
from manager.state.store import View

F = TypeVar("F", objects_pb2.Secret, objects_pb2.Config)


def services(view: View, request: control_pb2.ListServicesRequest) -> list[objects_pb2.Service]:
    """Services that match, oldest first."""
    return [
        service
        for service in view.all(objects_pb2.Service)
        if _starts(service.id, request.ids)
        and _starts(service.spec.annotations.name, request.names)
        and _labelled(service.spec.annotations.labels, request.labels)
        and (not request.modes or mode_name(service) in request.modes)
    ]


def tasks(view: View, request: control_pb2.ListTasksRequest) -> list[objects_pb2.Task]:
    """Tasks that match, oldest first; NOT_FOUND for a service or node that does not exist."""
    service_ids = [resolve(view, objects_pb2.Service, k).id for k in request.service_keys]
    node_ids = [resolve(view, objects_pb2.Node, k).id for k in request.node_keys]
    return [
        task
        for task in _candidates(view, service_ids, node_ids)
        if _starts(task.id, request.ids)
        and _starts(task_name(task), request.names)
        and _labelled(task.service_labels, request.labels)
        and (not request.desired_states or task.desired_state in request.desired_states)
    ]


def nodes(view: View, request: control_pb2.ListNodesRequest) -> list[objects_pb2.Node]:
    """Nodes that match, oldest first."""
    return [
        node
        for node in view.all(objects_pb2.Node)
        if _starts(node.id, request.ids)
        and _starts(node.description.hostname, request.names)
        and _labelled(node.description.engine.labels, request.engine_labels)
        and _labelled(node.spec.annotations.labels, request.node_labels)
        and (not request.roles or node.role in request.roles)
    ]


def files(view: View, kind: type[F], request: control_pb2.ListFilesRequest) -> list[F]:
    """Secrets, or configs, that match, oldest first."""
    return [
        file
        for file in view.all(kind)
        if _starts(file.id, request.ids)
        and _starts(file.spec.annotations.name, request.names)
        and _labelled(file.spec.annotations.labels, request.labels)
    ]


def networks(
    view: View,
    builtin: Iterable[objects_pb2.Network],
    request: control_pb2.ListNetworksRequest,
) -> list[objects_pb2.Network]:
    """Networks that match, those of every node (`builtin`) first, then oldest first."""
    own = {each.id for each in builtin}
    return [
        network
        for network in (*builtin, *view.all(objects_pb2.Network))
        if _starts(network.id, request.ids)
        and _starts(network.spec.annotations.name, request.names)
        and _labelled(network.spec.annotations.labels, request.labels)
        and (not request.drivers or driver_of(network.spec) in request.drivers)
        and (not request.scopes or scope_of(network.spec) in request.scopes)
        and (not request.types or ("builtin" if network.id in own else "custom") in request.types)
        and _dangles(view, network, request, is_builtin=network.id in own)
    ]


def _dangles(
    view: View,
    network: objects_pb2.Network,
    request: control_pb2.ListNetworksRequest,
    *,
    is_builtin: bool,
) -> bool:
    if not request.HasField("dangling"):
        return True
    needed = is_builtin or network.spec.ingress or bool(users_of(view, network))
    return request.dangling != needed


def counts(view: View, service: objects_pb2.Service) -> control_pb2.ServiceCounts:
    """How many tasks run, should run and have completed (SwarmKit, ListServiceStatuses).

    Of a job those of the present iteration count.
    """
    iteration = service.job_status.iteration
    present = [
        task
        for task in view.tasks_of_service(service.id)
        if task.desired_state < REMOVE and task.job_iteration == iteration
    ]
    mode = service.spec.WhichOneof("mode")
    if mode == "replicated":
        desired = service.spec.replicated.replicas
    else:
        desired = sum(is_live(task) for task in present)
    return control_pb2.ServiceCounts(
        running=sum(
            task.status.state == RUNNING and task.desired_state in (RUNNING, COMPLETE)
            for task in present
        ),
        desired=desired,
        completed=sum(task.status.state == COMPLETE for task in present),
    )


def _candidates(
    view: View, service_ids: Iterable[str], node_ids: Iterable[str]
) -> Iterable[objects_pb2.Task]:
    services_wanted, nodes_wanted = set(service_ids), set(node_ids)
    if services_wanted:
        found = [task for key in services_wanted for task in view.tasks_of_service(key)]
        return [task for task in found if not nodes_wanted or task.node_id in nodes_wanted]
    if nodes_wanted:
        return [task for key in nodes_wanted for task in view.tasks_of_node(key)]
    return view.all(objects_pb2.Task)


def _starts(value: str, prefixes: Iterable[str]) -> bool:
    wanted = tuple(prefixes)
    return not wanted or value.startswith(wanted)


def _labelled(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(key in labels and value in ("", labels[key]) for key, value in wanted.items())
