"""The modes of services: their words, and what they have in common."""

from api.v1 import objects_pb2


def mode_name(service: objects_pb2.Service) -> str:
    """The service's mode as users write it: replicated-job."""
    return (service.spec.WhichOneof("mode") or "").replace("_", "-")


def is_job(service: objects_pb2.Service) -> bool:
    """Whether the service's tasks are to end, rather than to run on."""
    return service.spec.WhichOneof("mode") in ("replicated_job", "global_job")


def is_everywhere(service: objects_pb2.Service) -> bool:
    """Whether the service wants a task on every node."""
    return service.spec.WhichOneof("mode") in ("global", "global_job")
