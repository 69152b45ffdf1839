"""Whether a spec makes sense by itself. Pure; knows no cluster and no host. What holds for every
message, whatever its fields mean, is api/wellformed.py's.

Every refusal names the field by its path in the request. Limits are SwarmKit's
(manager/controlapi/service.go) unless a comment says otherwise.
"""

import re
from collections.abc import Iterable, Mapping

from google.protobuf.duration_pb2 import Duration

from api import container, endpoints, files, networks, volumes, wellformed
from api.errors import invalid
from api.placeholders import specimen
from api.times import seconds_of
from api.v1 import specs_pb2, types_pb2

SERVICE_NAME_LENGTH = 63
MINIMUM_NANO_CPUS = 1_000_000
MINIMUM_MEMORY = 4 << 20
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
    path = "task.container"
    container.check(path, task.container)
    labels(f"{path}.labels", task.container.labels)
    _mounts(f"{path}.mounts", task.container.mounts)
    files.check(path, task.container)
    _resources("task.resources", task.resources)
    container.check_swap(task.container.memory_swap_bytes, task.resources.limits.memory_bytes)
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
        if mount.type == specs_pb2.Mount.TYPE_VOLUME and mount.source.startswith("/"):
            raise invalid(
                f"{here}.source",
                f"{mount.source!r} is a path, and no name of a volume",
                remedy="use type=bind for a folder of the host",
            )
        if mount.type == specs_pb2.Mount.TYPE_CLUSTER and not mount.source:
            raise invalid(f"{here}.source", "the name of a volume of the swarm, or group:NAME")
        if mount.type == specs_pb2.Mount.TYPE_TMPFS and mount.source:
            raise invalid(f"{here}.source", "a tmpfs mount has no source")
        if mount.type == specs_pb2.Mount.TYPE_IMAGE and not mount.source:
            raise invalid(f"{here}.source", "an image mount needs the name of an image")
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
