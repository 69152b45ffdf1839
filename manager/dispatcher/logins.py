"""The credentials that a task's image is pulled with, on their way to its node. Pure.

They are the service's and in no task, so that the next task gets the newest ones. A node is told
those of the image's own registry, together with a task that may yet have to be pulled for.
"""

from api.image_name import domain_of
from api.states import RUNNING
from api.v1 import objects_pb2
from manager.state.changes import copy
from manager.state.store import View


def with_login(view: View, task: objects_pb2.Task) -> objects_pb2.Task:
    """The task as its node is told it."""
    if task.status.state >= RUNNING or task.desired_state > RUNNING:
        return task
    service = view.get(objects_pb2.Service, task.service_id)
    if service is None or not service.registry_logins:
        return task
    login = service.registry_logins.get(domain_of(task.spec.container.image))
    if login is None:
        return task
    told = copy(task)
    told.spec.container.registry_auth = login
    return told
