"""How long a task on trial is given: to come to run, and then to go on running. Pure."""

from api import states
from api.times import seconds_of
from api.v1 import objects_pb2, specs_pb2
from manager.orchestrator.backoff import starts_at
from manager.state.swarm_clock import believed

DEFAULT_MONITOR = 5.0
"""Seconds for which a new task is watched after it began to run."""
STEP_DEADLINE = 300.0
"""Seconds that a task may take to be placed, and then to get from one state to the next."""


def monitor_of(config: specs_pb2.UpdateConfig) -> float:
    """Seconds for which a task that runs can still fail the rollout."""
    return seconds_of(config.monitor) if config.HasField("monitor") else DEFAULT_MONITOR


def step_deadline(trial: objects_pb2.Task, now: float, waited_since: float = 0.0) -> float:
    """When a task on trial that is not running yet counts as failed, by the leader's clock.

    Silence counts from `waited_since` on, see manager/state/swarm_clock.py: whose clock is ahead,
    or has leapt, has not waited for what that skipped. Before it may start nothing is held against
    it. Then a task that waits for a node has so long from its creation, or since it may start; one
    that an agent works on, from its last progress, and in addition as long as its health check may
    take. That the agent tells, since the check may be the image's.
    """
    start = max(starts_at(trial, now), waited_since)
    if trial.status.state < states.ASSIGNED:
        return max(start, believed(seconds_of(trial.meta.created_at), now)) + STEP_DEADLINE
    unproven = seconds_of(trial.status.container.unproven_at_most)
    return max(start, believed(seconds_of(trial.meta.updated_at), now)) + STEP_DEADLINE + unproven
