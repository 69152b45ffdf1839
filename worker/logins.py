"""Credentials of registries on a node: in memory while they may be needed, never on its disk.

A task that is read back from the disk is known to have had some, so that it is not pulled for
without: the managers send them again as soon as they are in touch.
"""

from api.errors import Code
from api.v1 import objects_pb2, specs_pb2
from runtime.image.auth import Credentials, parse_registry_auth
from worker.executor import TemporaryError

_FORGOTTEN = "forgotten"
"""Stands where credentials were; it is none itself, since those are JSON in base64."""


def for_the_disk(task: objects_pb2.Task) -> objects_pb2.Task:
    """The task without its credentials; itself if it has none."""
    if not task.spec.container.registry_auth:
        return task
    kept = objects_pb2.Task()
    kept.CopyFrom(task)
    kept.spec.container.registry_auth = _FORGOTTEN
    return kept


def login_of(spec: specs_pb2.ContainerSpec) -> Credentials | None:
    """Who pulls the image; None: anybody may. TemporaryError until they have come again."""
    if spec.registry_auth == _FORGOTTEN:
        raise TemporaryError(
            Code.UNAVAILABLE,
            f"the credentials for {spec.image} are gone, since the daemon was restarted",
            why="nodes keep them in memory only",
            remedy="they come again when this node reaches a manager",
        )
    return parse_registry_auth(spec.registry_auth)
