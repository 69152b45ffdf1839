"""Flags of `service create` and `service update` that set one value of a spec. A table: each row
is a flag, how its text is read, and where its value goes. A flag that is not given leaves the
spec alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click
from google.protobuf.duration_pb2 import Duration

from api.times import duration
from api.v1 import specs_pb2
from swarmctl.cli.options import BYTES, CPUS, DURATION, MAX_UINT32, Parsed, choice, whole
from swarmctl.cli.units import parse_bytes

Spec = specs_pb2.ServiceSpec
Setter = Callable[[Spec, Any], object]
Update = specs_pb2.UpdateConfig
Restart = specs_pb2.RestartPolicy


@dataclass(frozen=True)
class Scalar:
    """One flag. `kind`: a click type, or bool for a switch that needs no value."""

    flag: str
    kind: Any
    set: Setter
    help: str

    def option(self) -> Callable[[Any], Any]:
        """The click option; without a value it is None."""
        names = self.flag.split("/")
        if self.kind is bool:
            return click.option(*names, is_flag=True, default=None, help=self.help)
        return click.option(*names, type=self.kind, help=self.help)

    def apply(self, spec: Spec, value: Any) -> None:  # noqa: ANN401 - what click made of it
        """Sets the value; a usage error for one that its field cannot hold."""
        try:
            self.set(spec, value)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint=f"--{self.name}") from error

    @property
    def name(self) -> str:
        """The flag's word: limit-memory."""
        return self.flag.rpartition("/")[2].lstrip("-")

    @property
    def parameter(self) -> str:
        """The name under which click hands the value over."""
        return self.name.replace("-", "_")


def _swap(text: str) -> int:
    return -1 if text == "-1" else parse_bytes(text)


def _set_duration(field: Callable[[Spec], Duration]) -> Setter:
    return lambda spec, value: field(spec).CopyFrom(duration(value))


def _set(parent: Callable[[Spec], Any], field: str) -> Setter:
    return lambda spec, value: setattr(parent(spec), field, value)


def _container(spec: Spec) -> specs_pb2.ContainerSpec:
    return spec.task.container


def _health(spec: Spec) -> specs_pb2.HealthCheck:
    return spec.task.container.health


def _set_health(field: str) -> Setter:
    def set_value(spec: Spec, value: Any) -> None:  # noqa: ANN401
        # A check that was switched off is wanted again as soon as something is said of it.
        _health(spec).disabled = False
        if isinstance(value, float):
            getattr(_health(spec), field).CopyFrom(duration(value))
        else:
            setattr(_health(spec), field, value)

    return set_value


def _health_command(spec: Spec, command: str) -> None:
    _health(spec).disabled = False
    _health(spec).test[:] = ["CMD-SHELL", command] if command else []


def _no_health_check(spec: Spec, disabled: bool) -> None:
    spec.task.container.ClearField("health")
    if disabled:
        _health(spec).disabled = True


def _entrypoint(spec: Spec, text: str) -> None:
    _container(spec).command[:] = split_words(text)


def split_words(text: str) -> list[str]:
    """The words of one text, split as a shell would; ValueError if a quote is not closed."""
    import shlex  # noqa: PLC0415 - rarely used, and start-up time counts

    try:
        return shlex.split(text)
    except ValueError as error:
        raise ValueError(f"{text!r} cannot be split into words: {error}") from error


def _swappiness(spec: Spec, value: int) -> None:
    if value < 0:
        _container(spec).ClearField("memory_swappiness")
    else:
        _container(spec).memory_swappiness = value


def _log_driver(spec: Spec, name: str) -> None:
    # Options belong to a driver: those of another one go with it.
    if name != spec.task.log_driver.name:
        spec.task.ClearField("log_driver")
    spec.task.log_driver.name = name


def _ratio(text: str) -> float:
    try:
        ratio = float(text)
    except ValueError:
        ratio = -1.0
    if not 0 <= ratio <= 1:
        raise ValueError(f"{text!r} is no ratio; write a number from 0 to 1")
    return ratio


_ORDERS = {"stop-first": Update.ORDER_STOP_FIRST, "start-first": Update.ORDER_START_FIRST}
_ACTIONS = {
    "pause": Update.FAILURE_ACTION_PAUSE,
    "continue": Update.FAILURE_ACTION_CONTINUE,
    "rollback": Update.FAILURE_ACTION_ROLLBACK,
}
_CONDITIONS = {
    "none": Restart.CONDITION_NONE,
    "on-failure": Restart.CONDITION_ON_FAILURE,
    "any": Restart.CONDITION_ANY,
}
_ENDPOINT_MODES = {
    "vip": specs_pb2.EndpointSpec.MODE_VIP,
    "dnsrr": specs_pb2.EndpointSpec.MODE_DNSRR,
}
_STICKY = {
    "none": specs_pb2.EndpointSpec.STICKY_NONE,
    "source-ip": specs_pb2.EndpointSpec.STICKY_SOURCE_IP,
}
_COUNT = whole(0)


def _update_flags(word: str, config: Callable[[Spec], Update]) -> list[Scalar]:
    actions = {k: v for k, v in _ACTIONS.items() if word == "update" or k != "rollback"}
    return [
        Scalar(f"--{word}-parallelism", _COUNT, _set(config, "parallelism"), "Tasks at once [1]"),
        Scalar(
            f"--{word}-delay",
            DURATION,
            _set_duration(lambda s: config(s).delay),
            f"Pause between {word}s [0s]",
        ),
        Scalar(
            f"--{word}-monitor",
            DURATION,
            _set_duration(lambda s: config(s).monitor),
            "How long a task is watched for failure [5s]",
        ),
        Scalar(
            f"--{word}-failure-action",
            choice(actions),
            _set(config, "failure_action"),
            f"{', '.join(actions)} [pause]",
        ),
        Scalar(
            f"--{word}-max-failure-ratio",
            Parsed("ratio", _ratio),
            _set(config, "max_failure_ratio"),
            "Failures to tolerate, 0 to 1 [0]",
        ),
        Scalar(
            f"--{word}-order", choice(_ORDERS), _set(config, "order"), "stop-first, start-first"
        ),
    ]


PROCESS = [
    Scalar("--entrypoint", str, _entrypoint, "Replace the image's entrypoint"),
    Scalar("-u/--user", str, _set(_container, "user"), "User or uid, with :group"),
    Scalar("-w/--workdir", str, _set(_container, "dir"), "Working directory"),
    Scalar("--hostname", str, _set(_container, "hostname"), "Host name of the containers"),
    Scalar("-t/--tty", bool, _set(_container, "tty"), "Give it a terminal"),
    Scalar("--init", bool, _set(_container, "init"), "Run an init that reaps processes"),
    Scalar("--read-only", bool, _set(_container, "read_only"), "No writes to the root"),
    Scalar("--stop-signal", str, _set(_container, "stop_signal"), "Signal to stop with"),
    Scalar(
        "--stop-grace-period",
        DURATION,
        _set_duration(lambda s: _container(s).stop_grace_period),
        "Time to stop before it is killed [10s]",
    ),
    Scalar("--isolation", str, _set(_container, "isolation"), "Of Windows containers"),
    Scalar(
        "--credential-spec",
        str,
        _set(lambda s: _container(s).privileges, "credential_spec"),
        "Of Windows containers",
    ),
]
RESOURCES = [
    Scalar(
        "--limit-cpu", CPUS, _set(lambda s: s.task.resources.limits, "nano_cpus"), "CPUs at most"
    ),
    Scalar(
        "--limit-memory",
        BYTES,
        _set(lambda s: s.task.resources.limits, "memory_bytes"),
        "Memory at most",
    ),
    Scalar(
        "--limit-pids", _COUNT, _set(lambda s: s.task.resources, "pids_limit"), "Processes at most"
    ),
    Scalar(
        "--reserve-cpu",
        CPUS,
        _set(lambda s: s.task.resources.reservations, "nano_cpus"),
        "CPUs set aside",
    ),
    Scalar(
        "--reserve-memory",
        BYTES,
        _set(lambda s: s.task.resources.reservations, "memory_bytes"),
        "Memory set aside",
    ),
    Scalar(
        "--memory-swap",
        Parsed("bytes", _swap),
        _set(_container, "memory_swap_bytes"),
        "Memory and swap together; -1 is unlimited",
    ),
    Scalar(
        "--memory-swappiness",
        whole(-1, 100),
        _swappiness,
        "0 to 100; -1 is the kernel's own",
    ),
    Scalar(
        "--oom-score-adj", whole(-1000, 1000), _set(_container, "oom_score_adj"), "-1000 to 1000"
    ),
]
PLACEMENT = [
    Scalar(
        "--replicas-max-per-node",
        _COUNT,
        _set(lambda s: s.task.placement, "max_replicas_per_node"),
        "Tasks per node at most",
    ),
    Scalar(
        "--endpoint-mode", choice(_ENDPOINT_MODES), _set(lambda s: s.endpoint, "mode"), "vip, dnsrr"
    ),
    Scalar(
        "--sticky",
        choice(_STICKY),
        _set(lambda s: s.endpoint, "sticky"),
        "source-ip: a client's connections go to one task; none: tasks take turns",
    ),
    Scalar("--log-driver", str, _log_driver, "Log driver"),
]
RESTART = [
    Scalar(
        "--restart-condition",
        choice(_CONDITIONS),
        _set(lambda s: s.task.restart, "condition"),
        "none, on-failure, any",
    ),
    Scalar(
        "--restart-delay",
        DURATION,
        _set_duration(lambda s: s.task.restart.delay),
        "Pause before a restart [5s]",
    ),
    Scalar(
        "--restart-max-attempts",
        _COUNT,
        _set(lambda s: s.task.restart, "max_attempts"),
        "Restarts at most; 0 is no limit",
    ),
    Scalar(
        "--restart-window",
        DURATION,
        _set_duration(lambda s: s.task.restart.window),
        "Time in which attempts count",
    ),
]
HEALTH = [
    Scalar("--no-healthcheck", bool, _no_health_check, "No health check, whatever the image says"),
    Scalar("--health-cmd", str, _health_command, "Command that tells whether it is well"),
    Scalar(
        "--health-interval",
        DURATION,
        _set_health("interval"),
        "Between checks (default 30s)",
    ),
    Scalar("--health-timeout", DURATION, _set_health("timeout"), "Of a check (default 30s)"),
    Scalar(
        "--health-start-period",
        DURATION,
        _set_health("start_period"),
        "Time to start in, in which failures do not count",
    ),
    Scalar(
        "--health-start-interval",
        DURATION,
        _set_health("start_interval"),
        "Between checks in that time (default 5s)",
    ),
    Scalar(
        "--health-retries",
        whole(0, MAX_UINT32),
        _set_health("retries"),
        "Failures in a row that count (default 3)",
    ),
]
SCALARS: tuple[Scalar, ...] = (
    *PROCESS,
    *RESOURCES,
    *PLACEMENT,
    *RESTART,
    *HEALTH,
    *_update_flags("update", lambda s: s.update),
    *_update_flags("rollback", lambda s: s.rollback),
)
