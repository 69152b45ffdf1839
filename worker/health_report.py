"""Health in the words of the runtime and of the API. Pure."""

from collections.abc import Iterable, Iterator

from api.states import HEALTHY, UNHEALTHY, UNPROVEN
from api.times import timestamp
from api.v1 import objects_pb2
from runtime import health
from runtime.health import ProbeResult, Verdict
from worker.executor import Health, HealthState

LOG_LIMIT = 4096
"""Characters of output in a report, all probes together: what managers keep of each task."""

_STATES: dict[health.Health, HealthState] = {
    "starting": UNPROVEN,
    "healthy": HEALTHY,
    "unhealthy": UNHEALTHY,
}
_NAMES = {state: name for name, state in _STATES.items()}


def known_as(state: HealthState) -> health.Health:
    """The runtime's word for the health of a task that has a check."""
    return _NAMES[state]


def report(verdict: Verdict) -> Health:
    """A change of health as managers are told of it."""
    log = tuple(reversed(list(_log(reversed(verdict.log)))))
    return Health(_STATES[verdict.health], verdict.reason, log)


def _log(newest_first: Iterable[ProbeResult]) -> Iterator[objects_pb2.HealthProbe]:
    left = LOG_LIMIT
    for probe in newest_first:
        output = probe.output[-left:] if left else ""
        left -= len(output)
        yield objects_pb2.HealthProbe(at=timestamp(probe.at), exit_code=probe.code, output=output)
