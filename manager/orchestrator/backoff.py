"""How long to wait before a task that failed is followed: longer each time it fails in a row.

SwarmKit restarts a crash loop every five seconds for ever (swarmkit#2187). How often in a row a
slot has failed is written in each new task (`Task.restarts`), since its history may be short; and
is forgotten once a task has run for ten times as long as it was waited for. Pure.
"""

from api import states
from api.times import seconds_of
from api.v1 import objects_pb2, specs_pb2
from manager.state.swarm_clock import believed

DEFAULT_DELAY = 5.0
"""Seconds between the end of a task and the start of the next."""
LONGEST_DELAY = 300.0
"""Seconds up to which the delay doubles. A policy that asks for more keeps its own."""
LEAST_DOUBLED = 1.0
"""Seconds before the second restart in a row, where the policy asks for none or nearly none."""
LEAST_RUN = 60.0
RUN_FACTOR = 10
"""Seconds at least, and times its delay, for which a task runs until it counts as well."""

_FAILURES = (states.FAILED, states.REJECTED)


def restart_delay(policy: specs_pb2.RestartPolicy, failures: int = 1) -> float:
    """Seconds to wait before a restart, after so many failures in a row."""
    delay = seconds_of(policy.delay) if policy.HasField("delay") else DEFAULT_DELAY
    if failures <= 1 or delay >= LONGEST_DELAY:
        return delay
    second = max(2 * delay, LEAST_DOUBLED)
    # The exponent is bounded, since so are floats.
    return float(min(LONGEST_DELAY, second * 2 ** min(failures - 2, 20)))


def failures_in_a_row(task: objects_pb2.Task) -> int:
    """How often in a row its slot has failed, the end of the task included.

    One that was told to end, or was lost, changes nothing; one that completed ends the row.
    """
    if task.status.state == states.COMPLETE:
        return 0
    return task.restarts + (task.status.state in _FAILURES)


def starts_at(task: objects_pb2.Task, now: float) -> float:
    """When a task that waits may start, by the leader's clock."""
    longest = restart_delay(task.spec.restart, task.restarts)
    return believed(seconds_of(task.start_after), now, ahead=longest)


def well_at(task: objects_pb2.Task, now: float) -> float:
    """When the failures before a task that runs now are forgotten, by the leader's clock."""
    waited = restart_delay(task.spec.restart, task.restarts)
    return believed(seconds_of(task.meta.updated_at), now) + max(LEAST_RUN, RUN_FACTOR * waited)
