"""How long a container is given to stop."""

from api.times import seconds_of
from api.v1 import specs_pb2

DEFAULT_GRACE = 10.0


def grace_of(spec: specs_pb2.TaskSpec) -> float:
    """Seconds between the stop signal and KILL."""
    container = spec.container
    if not container.HasField("stop_grace_period"):
        return DEFAULT_GRACE
    return seconds_of(container.stop_grace_period)
