"""Small objects for tests: what a test does not name is unremarkable."""

from typing import Any

from api import states
from api.times import duration, timestamp
from api.v1 import objects_pb2, specs_pb2, types_pb2

GIB = 1 << 30
CPU = 1_000_000_000
EPOCH = 1_000_000.0
"""A moment well after zero, so that an unset time is never mistaken for one."""

READY = types_pb2.NODE_STATE_READY
DOWN = types_pb2.NODE_STATE_DOWN
UNKNOWN = types_pb2.NODE_STATE_UNKNOWN
ACTIVE = types_pb2.NODE_AVAILABILITY_ACTIVE
PAUSE = types_pb2.NODE_AVAILABILITY_PAUSE
DRAIN = types_pb2.NODE_AVAILABILITY_DRAIN


def node(
    node_id: str,
    *,
    state: types_pb2.NodeState.ValueType = READY,
    availability: types_pb2.NodeAvailability.ValueType = ACTIVE,
    cpus: float = 4,
    memory: int = 8 * GIB,
    architecture: str = "amd64",
    missing: tuple[str, ...] = (),
) -> objects_pb2.Node:
    """A node of `cpus` processors and `memory` bytes."""
    made = objects_pb2.Node(id=node_id)
    made.spec.annotations.name = node_id
    made.spec.availability = availability
    made.status.state = state
    made.description.hostname = node_id
    made.description.platform.os = "linux"
    made.description.platform.architecture = architecture
    made.description.resources.nano_cpus = round(cpus * CPU)
    made.description.resources.memory_bytes = memory
    made.description.missing_controllers.extend(missing)
    return made


def task_spec(
    image: str = "app:1",
    *,
    cpus: float = 0,
    memory: int = 0,
    condition: specs_pb2.RestartPolicy.Condition.ValueType = (
        specs_pb2.RestartPolicy.CONDITION_ANY
    ),
    delay: float | None = None,
    max_attempts: int = 0,
    window: float | None = None,
    checked: bool = False,
) -> specs_pb2.TaskSpec:
    """A task spec that reserves so much, with this restart policy."""
    spec = specs_pb2.TaskSpec()
    spec.container.image = image
    if cpus or memory:
        spec.resources.reservations.nano_cpus = round(cpus * CPU)
        spec.resources.reservations.memory_bytes = memory
    spec.restart.condition = condition
    spec.restart.max_attempts = max_attempts
    if delay is not None:
        spec.restart.delay.CopyFrom(duration(delay))
    if window is not None:
        spec.restart.window.CopyFrom(duration(window))
    if checked:
        spec.container.health.test.extend(("CMD", "true"))
    return spec


def service(
    service_id: str = "web",
    replicas: int = 1,
    *,
    spec: specs_pb2.TaskSpec | None = None,
    version: int = 1,
    update: specs_pb2.UpdateConfig | None = None,
    mode: str = "replicated",
    at_once: int = 0,
) -> objects_pb2.Service:
    """A service, named by its id; `mode`: of another than replicated, `replicas` as it counts."""
    made = objects_pb2.Service(id=service_id, spec_version=version)
    made.spec.annotations.name = service_id
    made.spec.task.CopyFrom(task_spec() if spec is None else spec)
    getattr(made.spec, mode).SetInParent()
    if mode == "replicated":
        made.spec.replicated.replicas = replicas
    elif mode == "replicated_job":
        made.spec.replicated_job.total_completions = replicas
        made.spec.replicated_job.max_concurrent = at_once
    if update is not None:
        made.spec.update.CopyFrom(update)
    return made


def update_config(
    parallelism: int | None = None,
    *,
    delay: float = 0,
    monitor: float | None = None,
    start_first: bool = False,
    goes_on: bool = False,
    goes_back: bool = False,
    ratio: float = 0,
) -> specs_pb2.UpdateConfig:
    """How to roll out; `goes_on` is failure action continue, `goes_back` is rollback."""
    config = specs_pb2.UpdateConfig(max_failure_ratio=ratio)
    if parallelism is not None:
        config.parallelism = parallelism
    if delay:
        config.delay.CopyFrom(duration(delay))
    if monitor is not None:
        config.monitor.CopyFrom(duration(monitor))
    if start_first:
        config.order = specs_pb2.UpdateConfig.ORDER_START_FIRST
    if goes_on:
        config.failure_action = specs_pb2.UpdateConfig.FAILURE_ACTION_CONTINUE
    if goes_back:
        config.failure_action = specs_pb2.UpdateConfig.FAILURE_ACTION_ROLLBACK
    return config


def task(
    task_id: str,
    service_id: str = "web",
    slot: int = 1,
    *,
    state: types_pb2.TaskState.ValueType = states.RUNNING,
    desired: types_pb2.TaskState.ValueType = states.RUNNING,
    node_id: str = "",
    spec: specs_pb2.TaskSpec | None = None,
    version: int = 1,
    at: float = EPOCH,
    start_after: float | None = None,
    iteration: int = 0,
    **status: Any,
) -> objects_pb2.Task:
    """A task as it was created and last changed at `at`."""
    made = objects_pb2.Task(
        id=task_id,
        service_id=service_id,
        service_name=service_id,
        slot=slot,
        node_id=node_id,
        spec=task_spec() if spec is None else spec,
        spec_version=version,
        desired_state=desired,
        job_iteration=iteration,
        status=objects_pb2.TaskStatus(state=state, at=timestamp(at), **status),
    )
    made.meta.created_at.CopyFrom(timestamp(at))
    made.meta.updated_at.CopyFrom(timestamp(at))
    if start_after is not None:
        made.start_after.CopyFrom(timestamp(start_after))
    return made


def network(
    network_id: str,
    *subnets: str,
    driver: str = "",
    ingress: bool = False,
    ipv6: bool = False,
) -> objects_pb2.Network:
    """A network, named by its id, before anything was chosen for it."""
    made = objects_pb2.Network(id=network_id)
    made.spec.annotations.name = network_id
    made.spec.driver, made.spec.ingress, made.spec.ipv6 = driver, ingress, ipv6
    made.spec.pools.extend(specs_pb2.IpamConfig(subnet=text) for text in subnets)
    return made


def volume(
    volume_id: str,
    *holders: tuple[str, int],
    driver: str = "shared",
    access: specs_pb2.VolumeSpec.Access.ValueType = specs_pb2.VolumeSpec.ACCESS_SINGLE_WRITER,
    releasing: bool = False,
    term: float | None = None,
    group: str = "",
    home: str = "",
) -> objects_pb2.Volume:
    """A volume, named by its id, that these nodes hold under these epochs."""
    made = objects_pb2.Volume(id=volume_id, home=home)
    made.spec.annotations.name = volume_id
    made.spec.driver, made.spec.access, made.spec.group = driver, access, group
    if term is not None:
        made.spec.lease_term.CopyFrom(duration(term))
    state = objects_pb2.VolumeHolder.STATE_RELEASING if releasing else None
    for node_id, epoch in holders:
        made.holders.add(node_id=node_id, epoch=epoch, state=state)
        made.epoch = max(made.epoch, epoch)
    return made


def mount(spec: specs_pb2.TaskSpec, source: str, volume_id: str = "") -> specs_pb2.TaskSpec:
    """Mounts a volume of the swarm into the tasks of a spec."""
    spec.container.mounts.add(
        type=specs_pb2.Mount.TYPE_CLUSTER,
        source=source,
        target=f"/{len(spec.container.mounts)}",
        volume_id=volume_id,
    )
    return spec


def given(task: objects_pb2.Task, volume_id: str, epoch: int) -> objects_pb2.Task:
    """The task, with a volume that it was given."""
    task.volumes.add(volume_id=volume_id, source=volume_id, epoch=epoch)
    return task


def join(spec: specs_pb2.ServiceSpec, *networks: str) -> None:
    """Puts the tasks of a service into networks."""
    for network_id in networks:
        spec.task.networks.add(target=network_id, id=network_id)


def publish(spec: specs_pb2.ServiceSpec, target: int, published: int = 0) -> None:
    """Publishes a port of a service on every node."""
    spec.endpoint.ports.add(target_port=target, published_port=published)


def choose_port(task: objects_pb2.Task, published: int) -> None:
    """A port of its node's own, whose number nobody named: the node chose it."""
    mode = specs_pb2.PortConfig.PUBLISH_MODE_HOST
    task.host_ports.add(target_port=80, mode=mode)
    task.status.container.ports.add(target_port=80, published_port=published, mode=mode)


def cluster(history_limit: int | None = None) -> objects_pb2.Cluster:
    """A cluster; without a limit its spec says nothing of the history."""
    made = objects_pb2.Cluster(id="cluster")
    if history_limit is not None:
        made.spec.task_history_limit = history_limit
    return made
