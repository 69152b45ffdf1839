"""What a service should come to, by its mode, with nothing in its way and all nodes taking part."""

from collections.abc import Iterable

from api import states
from api.modes import is_everywhere, is_job
from api.v1 import objects_pb2
from manager.orchestrator.rollback import COMPLETED, ROLLBACK_COMPLETED
from manager.orchestrator.tasks import is_as_made
from manager.state.indexes import slot_key
from manager.state.store import View

Service = objects_pb2.Service
Task = objects_pb2.Task


def shortfall(view: View, service: Service) -> str:
    """What is not as the service asks for it; "" if all is."""
    tasks = view.tasks_of_service(service.id)
    live = [task for task in tasks if states.is_live(task)]
    nodes = {node.id for node in view.all(objects_pb2.Node)}
    if is_job(service):
        problem = _unfinished(service, tasks, nodes) or (f"{_ids(live)} go on" if live else "")
    else:
        problem = _missing(service, live, nodes) or _unfit(service, live)
    return f"{service.spec.annotations.name}: {problem}" if problem else ""


def _unfinished(service: Service, tasks: Iterable[Task], nodes: set[str]) -> str:
    done = [
        slot_key(task)
        for task in tasks
        if task.status.state == states.COMPLETE
        and task.job_iteration == service.job_status.iteration
    ]
    if is_everywhere(service):
        return "" if set(done) == nodes else f"it completed on {done} of {sorted(nodes)}"
    wanted = service.spec.replicated_job.total_completions
    return "" if len(set(done)) >= wanted else f"{len(set(done))} of {wanted} completed"


def _missing(service: Service, live: list[Task], nodes: set[str]) -> str:
    slots = [slot_key(task) for task in live]
    if is_everywhere(service):
        return "" if sorted(map(str, slots)) == sorted(nodes) else f"{slots}, not {sorted(nodes)}"
    replicas = service.spec.replicated.replicas
    right = len(slots) == len(set(slots)) == replicas
    return "" if right else f"{len(live)} of {replicas} tasks are there: slots {slots}"


def _unfit(service: Service, live: Iterable[Task]) -> str:
    if idle := [task for task in live if task.status.state != states.RUNNING]:
        return f"{_ids(idle)} do not run"
    if not all(is_as_made(task, service.spec) for task in live):
        return "old specs run"
    if service.update_status.state not in (0, COMPLETED, ROLLBACK_COMPLETED):
        return str(service.update_status)
    return ""


def _ids(tasks: Iterable[Task]) -> str:
    return ", ".join(task.id for task in tasks)
