"""Whether a spec makes sense by itself. Pure; knows no cluster and no host. What holds for every
message, whatever its fields mean, is api/wellformed.py's.

Every refusal names the field by its path in the request. Limits are SwarmKit's
(manager/controlapi/service.go) unless a comment says otherwise.
"""

import ipaddress
import re
import signal
from collections.abc import Callable, Iterable, Mapping, Sequence

from google.protobuf.duration_pb2 import Duration

from api import endpoints, files, networks, volumes, wellformed
from api.errors import invalid
from api.placeholders import specimen
from api.times import seconds_of
from api.v1 import specs_pb2, types_pb2

SERVICE_NAME_LENGTH = 63
MINIMUM_NANO_CPUS = 1_000_000
MINIMUM_MEMORY = 4 << 20
SHORTEST_PROBE = 0.001
"""Seconds of an interval or a timeout of a health check (moby, daemon/container.go)."""
LONGEST_HEARTBEAT = 3600
LONGEST_EXPIRY = 10 * 365 * 86400
"""Seconds. Ours: a node is missed after three heartbeats, and a certificate ends before its root.
"""
DATA_PATH_PORTS = range(1024, 49152)
"""Docker's limits."""
SECRET_BYTES = 512_000 - 1
CONFIG_BYTES = 1000 << 10
FILE_NAME_LENGTH = 64
MAXIMUM_REPLICAS = 100_000
"""Ours: a slip of the finger must not fill the store."""

_NAME = re.compile(r"[a-zA-Z0-9](?:[-_a-zA-Z0-9]*[a-zA-Z0-9])?")
_FILE_NAME = re.compile(r"[a-zA-Z0-9](?:[-_.a-zA-Z0-9]*[a-zA-Z0-9])?")
_CAPABILITY = re.compile(r"(?:CAP_)?[A-Z_]+|ALL", re.IGNORECASE)
_SYSCTL = re.compile(r"[a-z0-9_]+(?:[./][A-Za-z0-9_*-]+)+")
_HOST_NAME = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9.-]{0,61}[a-zA-Z0-9])?")
_ULIMITS = (
    *("core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc"),
    *("rss", "rtprio", "rttime", "sigpending", "stack"),
)
_REAL_TIME = re.compile(r"RTMIN\+\d{1,2}|RTMAX-\d{1,2}")
_SIGNALS = frozenset(name.removeprefix("SIG") for name in signal.Signals.__members__)
_LAST_SIGNAL = 64


def service_spec(spec: specs_pb2.ServiceSpec) -> None:
    """Refuses a service spec that no cluster could run, or not with its placeholders filled in."""
    wellformed.check(spec)
    filled = specimen(spec)
    if filled is not spec:
        wellformed.check(filled)
        spec = filled
    annotations(spec.annotations)
    _mode(spec)
    _task(spec.task)
    for path, given in (("update", spec.update), ("rollback", spec.rollback)):
        if not 0 <= given.max_failure_ratio <= 1:
            raise invalid(f"{path}.max_failure_ratio", "must be between 0 and 1")
    if spec.rollback.failure_action == specs_pb2.UpdateConfig.FAILURE_ACTION_ROLLBACK:
        raise invalid(
            "rollback.failure_action",
            "a rollback is not rolled back",
            remedy="choose --rollback-failure-action pause or continue",
        )
    endpoints.check(spec.endpoint, [each.target for each in spec.task.networks])


def _mode(spec: specs_pb2.ServiceSpec) -> None:
    mode = spec.WhichOneof("mode")
    if mode is None:
        raise invalid(
            "mode", "a mode is needed", remedy="choose --mode replicated or --mode global"
        )
    for path, count, what in (
        ("replicated.replicas", spec.replicated.replicas, "replicas"),
        ("replicated_job.total_completions", spec.replicated_job.total_completions, "completions"),
    ):
        if count > MAXIMUM_REPLICAS:
            raise invalid(
                path,
                f"{count} {what} are too many",
                remedy=f"ask for {MAXIMUM_REPLICAS} at most",
            )
    if mode.endswith("_job"):
        for path, given in (("update", spec.update), ("rollback", spec.rollback)):
            if given.ByteSize():
                raise invalid(
                    path,
                    f"a job has no {path} settings",
                    why="an update does not replace its tasks by and by: it runs the job anew",
                    remedy=f"leave out --{path}-*",
                )
    if mode.startswith("global") and spec.task.placement.max_replicas_per_node:
        raise invalid(
            "task.placement.max_replicas_per_node",
            "a global service has one task on each node",
            remedy="leave out --replicas-max-per-node, or use --mode replicated",
        )


def annotations(given: types_pb2.Annotations) -> None:
    """Refuses names that could not be a host name in DNS, and empty label keys."""
    field = "annotations.name"
    if not given.name:
        raise invalid(field, "a name is needed")
    if len(given.name) > SERVICE_NAME_LENGTH:
        raise invalid(field, f"the name is longer than {SERVICE_NAME_LENGTH} characters")
    if not _NAME.fullmatch(given.name):
        raise invalid(
            field,
            f"{given.name!r} is no valid name",
            remedy="use letters, digits, - and _, with a letter or digit at both ends",
        )
    labels("annotations.labels", given.labels)


def labels(field: str, given: Mapping[str, str]) -> None:
    """Refuses empty label keys and keys with white space or control characters."""
    for key in given:
        if not key or key != key.strip() or not key.isprintable():
            raise invalid(field, f"{key!r} is no valid label key")


def secret_spec(spec: specs_pb2.SecretSpec) -> None:
    """Refuses a secret without a proper name, or with too much or no data."""
    _file_spec(spec, SECRET_BYTES)


def config_spec(spec: specs_pb2.ConfigSpec) -> None:
    """Refuses a config without a proper name, or with too much or no data."""
    _file_spec(spec, CONFIG_BYTES)


def network_spec(spec: specs_pb2.NetworkSpec) -> None:
    """Refuses a network spec that no node could build."""
    networks.check(spec)
    labels("annotations.labels", spec.annotations.labels)


def volume_spec(spec: specs_pb2.VolumeSpec) -> None:
    """Refuses a volume spec that no driver could make, or no lease could hold."""
    volumes.check(spec)
    labels("annotations.labels", spec.annotations.labels)


def _file_spec(spec: specs_pb2.SecretSpec | specs_pb2.ConfigSpec, limit: int) -> None:
    if not 0 < len(spec.data) <= limit:
        size = f"{len(spec.data)} bytes are too many" if spec.data else "there is no data"
        raise invalid("data", size, remedy=f"give 1 to {limit} bytes")
    wellformed.check(specs_pb2.ConfigSpec(annotations=spec.annotations))
    name = spec.annotations.name
    if len(name) > FILE_NAME_LENGTH or not _FILE_NAME.fullmatch(name):
        raise invalid(
            "annotations.name",
            f"{name!r} is no valid name",
            remedy=f"use up to {FILE_NAME_LENGTH} letters, digits, -, _ and ., with a letter or "
            "digit at both ends",
        )
    labels("annotations.labels", spec.annotations.labels)


def node_spec(spec: specs_pb2.NodeSpec) -> None:
    """Refuses a node spec with bad labels, or numbers that mean nothing."""
    wellformed.check(spec)
    labels("annotations.labels", spec.annotations.labels)


def availability(field: str, given: int) -> None:
    """Refuses a number that is no availability of a node."""
    if given not in types_pb2.NodeAvailability.values():
        raise invalid(field, f"{given} is no availability")


def cluster_spec(spec: specs_pb2.ClusterSpec) -> None:
    """Refuses a cluster spec with impossible periods."""
    wellformed.check(spec)
    labels("annotations.labels", spec.annotations.labels)
    networks.address_pools(spec.address_pools, spec.subnet_size)
    if spec.data_path_port and spec.data_path_port not in DATA_PATH_PORTS:
        remedy = f"use {DATA_PATH_PORTS.start} to {DATA_PATH_PORTS.stop - 1}"
        raise invalid("data_path_port", f"{spec.data_path_port} cannot be used", remedy=remedy)
    if spec.HasField("heartbeat_period"):
        _between("heartbeat_period", spec.heartbeat_period, 0.1, LONGEST_HEARTBEAT)
    if spec.HasField("node_cert_expiry"):
        _between("node_cert_expiry", spec.node_cert_expiry, 3600, LONGEST_EXPIRY)


def _between(field: str, given: Duration, least: float, most: float) -> None:
    if not least <= seconds_of(given) <= most:
        raise invalid(
            field,
            f"{seconds_of(given):g} s are too {'few' if seconds_of(given) < least else 'many'}",
            remedy=f"use {least:g} to {most:g} s",
        )


def _task(task: specs_pb2.TaskSpec) -> None:
    container = "task.container"
    _container(container, task.container)
    _resources("task.resources", task.resources)
    _swap(task.container.memory_swap_bytes, task.resources.limits.memory_bytes)
    if task.HasField("attachment"):
        raise invalid("task.attachment", "that is only for containers that are no tasks")
    targets = [network.target for network in task.networks]
    for index, target in enumerate(targets):
        if not target:
            raise invalid(f"task.networks[{index}].target", "a network's name is needed")
        if target in targets[:index]:
            raise invalid(f"task.networks[{index}].target", f"{target!r} is given twice")
        if task.networks[index].addresses:
            raise invalid(f"task.networks[{index}].addresses", "tasks are given their addresses")
    if len(targets) > 1 and {"none", "host"} & set(targets):
        raise invalid(
            "task.networks",
            "networks none and host cannot be combined with another",
            remedy="give one --network only",
        )


def _container(path: str, spec: specs_pb2.ContainerSpec) -> None:
    if not spec.image or any(c.isspace() for c in spec.image):
        raise invalid(f"{path}.image", "an image is needed" if not spec.image else "bad image name")
    _each(f"{path}.env", spec.env, _environment)
    _each(f"{path}.cap_add", spec.cap_add, _capability)
    _each(f"{path}.cap_drop", spec.cap_drop, _capability)
    _each(f"{path}.hosts", spec.hosts, _host_line)
    _each(f"{path}.dns.nameservers", spec.dns.nameservers, _address)
    _each(f"{path}.sysctls", spec.sysctls, _sysctl)
    for index, ulimit in enumerate(spec.ulimits):
        _ulimit(f"{path}.ulimits[{index}]", ulimit)
    if spec.hostname and not _HOST_NAME.fullmatch(spec.hostname):
        raise invalid(f"{path}.hostname", f"{spec.hostname!r} is no valid host name")
    if spec.dir and not spec.dir.startswith("/"):
        raise invalid(f"{path}.dir", f"{spec.dir!r} is not an absolute path")
    if spec.stop_signal and not _is_signal(spec.stop_signal.upper()):
        raise invalid(
            f"{path}.stop_signal", f"{spec.stop_signal!r} is no signal", remedy="see signal(7)"
        )
    labels(f"{path}.labels", spec.labels)
    _mounts(f"{path}.mounts", spec.mounts)
    files.check(path, spec)
    _health(f"{path}.health", spec.health)
    _memory_behaviour(path, spec)


def _health(path: str, given: specs_pb2.HealthCheck) -> None:
    if given.disabled and given != specs_pb2.HealthCheck(disabled=True):
        raise invalid(
            f"{path}.disabled",
            "a health check that is disabled has no settings",
            remedy="give --no-healthcheck, or the other --health flags",
        )
    if given.test and not _is_test(list(given.test)):
        raise invalid(
            f"{path}.test",
            f"{list(given.test)} is no test",
            remedy="give CMD and a command with its arguments, CMD-SHELL and a line, or NONE",
        )
    for name in ("interval", "timeout", "start_period", "start_interval"):
        if 0 < seconds_of(getattr(given, name)) < SHORTEST_PROBE:
            raise invalid(f"{path}.{name}", "must be 0, for the default, or at least 1 ms")


def _is_test(words: Sequence[str]) -> bool:
    if words[0] == "NONE":
        return len(words) == 1
    return words[0] in ("CMD", "CMD-SHELL") and len(words) > 1 and bool(words[1])


def _is_signal(text: str) -> bool:
    if text.isascii() and text.isdecimal() and len(text) <= len(str(_LAST_SIGNAL)):
        return 1 <= int(text) <= _LAST_SIGNAL
    name = text.removeprefix("SIG")
    return name in _SIGNALS or _REAL_TIME.fullmatch(name) is not None


def _swap(together: int, memory: int) -> None:
    """Docker's rules; nodes would reject the tasks."""
    path = "task.container.memory_swap_bytes"
    if together > 0 and not memory:
        raise invalid(
            path, "swap is limited but memory is not", remedy="give --limit-memory as well"
        )
    if 0 < together < memory:
        raise invalid(
            path,
            "memory and swap together are less than the memory alone",
            remedy="give --memory-swap the sum of both, or -1 for as much swap as there is",
        )


def _memory_behaviour(path: str, spec: specs_pb2.ContainerSpec) -> None:
    if spec.memory_swap_bytes < -1:
        raise invalid(f"{path}.memory_swap_bytes", "must be -1 (unlimited), 0 or a size")
    if spec.HasField("memory_swappiness") and not 0 <= spec.memory_swappiness <= 100:  # noqa: PLR2004
        raise invalid(f"{path}.memory_swappiness", "must be between 0 and 100")
    if not -1000 <= spec.oom_score_adj <= 1000:  # noqa: PLR2004 - the kernel's own bounds
        raise invalid(f"{path}.oom_score_adj", "must be between -1000 and 1000")


def _each(path: str, values: Iterable[str], check: Callable[[str], str]) -> None:
    for index, value in enumerate(values):
        if complaint := check(value):
            raise invalid(f"{path}[{index}]", f"{value!r} {complaint}")


def _environment(value: str) -> str:
    return "" if value.partition("=")[0] else "has no name"


def _capability(value: str) -> str:
    return "" if _CAPABILITY.fullmatch(value) else "is no capability"


def _sysctl(value: str) -> str:
    return "" if _SYSCTL.fullmatch(value) else "is no sysctl"


def _host_line(value: str) -> str:
    parts = value.split()
    if len(parts) < 2:  # noqa: PLR2004 - an address and a name
        return 'is not of the form "address name"'
    return _address(parts[0])


def _address(value: str) -> str:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return "is no IP address"
    return ""


def _ulimit(path: str, ulimit: specs_pb2.Ulimit) -> None:
    if ulimit.name not in _ULIMITS:
        raise invalid(path, f"{ulimit.name!r} is no ulimit", remedy=f"use {', '.join(_ULIMITS)}")
    if ulimit.hard >= 0 and (ulimit.soft > ulimit.hard or ulimit.soft < 0):
        raise invalid(path, f"the soft limit of {ulimit.name} is above the hard limit")


def _mounts(path: str, mounts: Iterable[specs_pb2.Mount]) -> None:
    targets: set[str] = set()
    for index, mount in enumerate(mounts):
        here = f"{path}[{index}]"
        if not mount.target.startswith("/") or ".." in mount.target.split("/"):
            raise invalid(f"{here}.target", f"{mount.target!r} is not an absolute path")
        if mount.target.rstrip("/") in targets or not mount.target.strip("/"):
            raise invalid(f"{here}.target", f"{mount.target!r} is mounted upon already")
        targets.add(mount.target.rstrip("/"))
        if mount.type == specs_pb2.Mount.TYPE_BIND and not mount.source.startswith("/"):
            raise invalid(f"{here}.source", "a bind mount needs an absolute path as its source")
        if mount.type == specs_pb2.Mount.TYPE_CLUSTER and not mount.source:
            raise invalid(f"{here}.source", "the name of a volume of the swarm, or group:NAME")
        if mount.type == specs_pb2.Mount.TYPE_TMPFS and mount.source:
            raise invalid(f"{here}.source", "a tmpfs mount has no source")
        _recursion(here, mount)
        if mount.tmpfs_size_bytes < 0:
            raise invalid(f"{here}.tmpfs_size_bytes", "must not be negative")


def _recursion(here: str, mount: specs_pb2.Mount) -> None:
    """Docker's rules of bind-recursive (docker/cli, opts/mount.go)."""
    said = mount.bind_recursive
    if said in ("writable", "readonly") and not mount.read_only:
        raise invalid(f"{here}.bind_recursive", f"{said} is for mounts that are readonly")
    if said == "readonly" and mount.bind_propagation not in ("", "rprivate"):
        raise invalid(f"{here}.bind_recursive", "readonly needs bind-propagation=rprivate")


def _resources(path: str, given: specs_pb2.ResourceRequirements) -> None:
    for name, resources in (("reservations", given.reservations), ("limits", given.limits)):
        if resources.nano_cpus and resources.nano_cpus < MINIMUM_NANO_CPUS:
            raise invalid(f"{path}.{name}.nano_cpus", "must be at least 0.001 cpus")
        if resources.memory_bytes and resources.memory_bytes < MINIMUM_MEMORY:
            raise invalid(f"{path}.{name}.memory_bytes", "must be at least 4 MiB")
    for name in ("nano_cpus", "memory_bytes"):
        limit, reservation = getattr(given.limits, name), getattr(given.reservations, name)
        if limit and reservation > limit:
            raise invalid(f"{path}.reservations.{name}", "is more than the limit")
    if given.pids_limit < 0:
        raise invalid(f"{path}.pids_limit", "must not be negative")
