"""Specs that make no sense are refused with the path of the field to blame."""

from collections.abc import Callable

import pytest

from api import validate
from api.errors import Code, SwarmError
from api.times import duration
from api.v1 import specs_pb2, types_pb2

Spec = specs_pb2.ServiceSpec
Mount = specs_pb2.Mount
Container = specs_pb2.ContainerSpec
Resources = specs_pb2.ResourceRequirements


def good() -> Spec:
    spec = Spec()
    spec.annotations.name = "web"
    spec.replicated.replicas = 3
    spec.task.container.image = "nginx"
    return spec


def container(spec: Spec, **fields: object) -> None:
    spec.task.container.MergeFrom(Container(**fields))  # type: ignore[arg-type]


def swap(spec: Spec, memory: int, together: int) -> None:
    reserve(spec, "limits", memory=memory)
    container(spec, memory_swap_bytes=together)


def health(spec: Spec, **fields: object) -> None:
    container(spec, health=specs_pb2.HealthCheck(**fields))  # type: ignore[arg-type]


def mount(spec: Spec, **fields: object) -> Spec:
    spec.task.container.mounts.append(Mount(**fields))  # type: ignore[arg-type]
    return spec


def reserve(spec: Spec, name: str, nano_cpus: int = 0, memory: int = 0) -> Spec:
    resources = getattr(spec.task.resources, name)
    resources.nano_cpus, resources.memory_bytes = nano_cpus, memory
    return spec


def name(spec: Spec, value: str) -> None:
    spec.annotations.name = value


def mode(spec: Spec, word: str) -> Spec:
    getattr(spec, word).SetInParent()
    return spec


def config(given: specs_pb2.UpdateConfig) -> None:
    given.parallelism = 0


def limited(spec: Spec) -> None:
    spec.task.placement.max_replicas_per_node = 1


BAD: list[tuple[str, Callable[[Spec], object]]] = [
    ("annotations.name", lambda s: name(s, "")),
    ("annotations.name", lambda s: name(s, "-web")),
    ("annotations.name", lambda s: name(s, "we b")),
    ("annotations.name", lambda s: name(s, "w" * 64)),
    ("annotations.labels", lambda s: s.annotations.labels.update({"": "x"})),
    ("mode", lambda s: s.ClearField("replicated")),
    ("replicated.replicas", lambda s: s.replicated.MergeFrom(type(s.replicated)(replicas=10**6))),
    (
        "replicated_job.total_completions",
        lambda s: s.replicated_job.MergeFrom(type(s.replicated_job)(total_completions=10**6)),
    ),
    ("update", lambda s: config(mode(s, "replicated_job").update)),
    ("rollback", lambda s: config(mode(s, "global_job").rollback)),
    ("task.placement.max_replicas_per_node", lambda s: limited(mode(s, "global"))),
    ("task.placement.max_replicas_per_node", lambda s: limited(mode(s, "global_job"))),
    ("task.container.image", lambda s: s.task.container.ClearField("image")),
    ("task.container.image", lambda s: container(s, image="ng inx")),
    ("task.container.env[1]", lambda s: container(s, env=["A=1", "=2"])),
    ("task.container.env[0]", lambda s: container(s, env=["A=\0"])),
    ("task.container.cap_add[0]", lambda s: container(s, cap_add=["NET ADMIN"])),
    ("task.container.cap_drop[0]", lambda s: container(s, cap_drop=[""])),
    ("task.container.hosts[0]", lambda s: container(s, hosts=["name 10.0.0.1"])),
    ("task.container.hosts[0]", lambda s: container(s, hosts=["10.0.0.1"])),
    ("task.container.dns.nameservers[0]", lambda s: s.task.container.dns.nameservers.append("x")),
    ("task.container.sysctls[0]", lambda s: s.task.container.sysctls.update({"bad key": "1"})),
    ("task.container.hostname", lambda s: container(s, hostname="a_b!")),
    ("task.container.dir", lambda s: container(s, dir="relative")),
    ("task.container.stop_signal", lambda s: container(s, stop_signal="SIG TERM")),
    ("task.container.stop_signal", lambda s: container(s, stop_signal="SIGNOPE")),
    ("task.container.stop_signal", lambda s: container(s, stop_signal="0")),
    ("task.container.stop_signal", lambda s: container(s, stop_signal="65")),
    ("task.container.stop_signal", lambda s: container(s, stop_signal="9" * 5000)),
    ("task.container.stop_grace_period", lambda s: container(s, stop_grace_period=duration(-1))),
    ("task.container.health.test", lambda s: health(s, test=["ask"])),
    ("task.container.health.test", lambda s: health(s, test=["CMD"])),
    ("task.container.health.test", lambda s: health(s, test=["CMD", "", "x"])),
    ("task.container.health.test", lambda s: health(s, test=["CMD-SHELL", ""])),
    ("task.container.health.test", lambda s: health(s, test=["NONE", "x"])),
    ("task.container.health.interval", lambda s: health(s, interval=duration(0.0009))),
    ("task.container.health.timeout", lambda s: health(s, timeout=duration(0.0001))),
    ("task.container.health.start_period", lambda s: health(s, start_period=duration(1e-9))),
    ("task.container.health.start_interval", lambda s: health(s, start_interval=duration(-1))),
    ("task.container.health.disabled", lambda s: health(s, disabled=True, retries=1)),
    ("task.container.memory_swap_bytes", lambda s: container(s, memory_swap_bytes=-2)),
    ("task.container.memory_swap_bytes", lambda s: container(s, memory_swap_bytes=64 << 20)),
    ("task.container.memory_swap_bytes", lambda s: swap(s, memory=64 << 20, together=63 << 20)),
    ("task.container.memory_swappiness", lambda s: container(s, memory_swappiness=101)),
    ("task.container.oom_score_adj", lambda s: container(s, oom_score_adj=1001)),
    ("task.container.mounts[0].target", lambda s: mount(s, type=0, source="/a", target="b")),
    ("task.container.mounts[0].target", lambda s: mount(s, type=0, source="/a", target="/b/../c")),
    ("task.container.mounts[0].target", lambda s: mount(s, type=0, source="/a", target="/")),
    ("task.container.mounts[0].source", lambda s: mount(s, type=0, source="a", target="/b")),
    ("task.container.mounts[0].source", lambda s: mount(s, type=2, source="a", target="/b")),
    ("task.container.mounts[0].source", lambda s: mount(s, type=1, source="/a", target="/b")),
    (
        "task.container.mounts[0].bind_recursive",
        lambda s: mount(s, type=0, source="/a", target="/b", bind_recursive="writable"),
    ),
    (
        "task.container.mounts[0].bind_recursive",
        lambda s: mount(
            s,
            type=0,
            source="/a",
            target="/b",
            read_only=True,
            bind_recursive="readonly",
            bind_propagation="rslave",
        ),
    ),
    (
        "task.container.mounts[1].target",
        lambda s: [mount(s, type=2, target="/b"), mount(s, type=2, target="/b/")],
    ),
    ("task.resources.limits.memory_bytes", lambda s: reserve(s, "limits", memory=1)),
    ("task.resources.limits.nano_cpus", lambda s: reserve(s, "limits", nano_cpus=1)),
    (
        "task.resources.reservations.memory_bytes",
        lambda s: [
            reserve(s, "limits", memory=8 << 20),
            reserve(s, "reservations", memory=9 << 20),
        ],
    ),
    ("task.resources.pids_limit", lambda s: s.task.resources.MergeFrom(Resources(pids_limit=-1))),
    ("task.restart.delay", lambda s: s.task.restart.delay.CopyFrom(duration(-5))),
    ("update.max_failure_ratio", lambda s: s.update.MergeFrom(type(s.update)(max_failure_ratio=2))),
    ("update.delay", lambda s: s.update.delay.CopyFrom(duration(-1))),
    ("endpoint.ports[0].target_port", lambda s: s.endpoint.ports.add(published_port=80)),
    ("endpoint.ports[0].published_port", lambda s: s.endpoint.ports.add(published_port=99999)),
    ("endpoint.ports[0].host_ip", lambda s: s.endpoint.ports.add(target_port=80, host_ip="eth0")),
    (
        "endpoint.ports[0].source",
        lambda s: s.endpoint.ports.add(
            target_port=80,
            mode=specs_pb2.PortConfig.PUBLISH_MODE_HOST,
            source=specs_pb2.PortConfig.SOURCE_SNAT,
        ),
    ),
    (
        "endpoint.ports[1].published_port",
        lambda s: [s.endpoint.ports.add(published_port=80, target_port=1) for _ in range(2)],
    ),
    (
        "endpoint.ports[1].published_port",
        lambda s: [
            s.endpoint.ports.add(published_port=80, target_port=1, host_ip="10.0.0.5"),
            s.endpoint.ports.add(
                published_port=80,
                target_port=2,
                host_ip="0.0.0.0",  # noqa: S104
                mode=specs_pb2.PortConfig.PUBLISH_MODE_HOST,
            ),
        ],
    ),
    (
        "endpoint.sticky",
        lambda s: s.endpoint.MergeFrom(
            specs_pb2.EndpointSpec(
                mode=specs_pb2.EndpointSpec.MODE_DNSRR,
                sticky=specs_pb2.EndpointSpec.STICKY_SOURCE_IP,
            )
        ),
    ),
    (
        "endpoint.ports[0]",
        lambda s: [s.task.networks.add(target="host"), s.endpoint.ports.add(target_port=80)],
    ),
    (
        "endpoint.ports[0].mode",
        lambda s: s.endpoint.MergeFrom(
            specs_pb2.EndpointSpec(
                mode=specs_pb2.EndpointSpec.MODE_DNSRR,
                ports=[specs_pb2.PortConfig(target_port=80)],
            )
        ),
    ),
    (
        "task.networks",
        lambda s: [s.task.networks.add(target="host"), s.task.networks.add(target="none")],
    ),
    ("task.container.ulimits[0]", lambda s: s.task.container.ulimits.add(name="files")),
    (
        "task.container.ulimits[0]",
        lambda s: s.task.container.ulimits.add(name="nofile", soft=20, hard=10),
    ),
]


def test_a_plain_spec_is_accepted() -> None:
    validate.service_spec(good())


@pytest.mark.parametrize(("field", "spoil"), BAD)
def test_each_mistake_names_its_field(field: str, spoil: Callable[[Spec], object]) -> None:
    spec = good()
    spoil(spec)
    with pytest.raises(SwarmError) as refused:
        validate.service_spec(spec)
    assert (refused.value.code, refused.value.field) == (Code.INVALID, field)


@pytest.mark.parametrize(
    "given",
    [
        {"test": ["CMD", "ask", ""], "interval": duration(0.001), "retries": 1},
        {"test": ["CMD-SHELL", "a || b"], "start_period": duration(0)},
        {"test": ["NONE"]},
        {"timeout": duration(3)},
        {"disabled": True},
    ],
)
def test_health_checks(given: dict[str, object]) -> None:
    spec = good()
    health(spec, **given)
    validate.service_spec(spec)


@pytest.mark.parametrize(
    "text", ["TERM", "SIGTERM", "sigusr1", "15", "64", "RTMIN+3", "SIGRTMAX-2"]
)
def test_signals_have_names_and_numbers(text: str) -> None:
    given = good()
    container(given, stop_signal=text)
    validate.service_spec(given)


def test_a_network_is_given_once() -> None:
    given = good()
    for _ in range(2):
        given.task.networks.add(target="front")
    with pytest.raises(SwarmError) as refused:
        validate.service_spec(given)
    assert refused.value.field == "task.networks[1].target"


@pytest.mark.parametrize(
    ("field", "spec"),
    [
        ("heartbeat_period", specs_pb2.ClusterSpec(heartbeat_period=duration(0))),
        ("heartbeat_period", specs_pb2.ClusterSpec(heartbeat_period=duration(0.05))),
        ("node_cert_expiry", specs_pb2.ClusterSpec(node_cert_expiry=duration(0))),
        ("heartbeat_period", specs_pb2.ClusterSpec(heartbeat_period=duration(3601))),
        ("node_cert_expiry", specs_pb2.ClusterSpec(node_cert_expiry=duration(3599))),
        ("node_cert_expiry", specs_pb2.ClusterSpec(node_cert_expiry=duration(3.2e8))),
        ("node_cert_expiry", specs_pb2.ClusterSpec(node_cert_expiry=duration(-1))),
    ],
)
def test_a_cluster_has_bounds(field: str, spec: specs_pb2.ClusterSpec) -> None:
    with pytest.raises(SwarmError) as refused:
        validate.cluster_spec(spec)
    assert refused.value.field == field


def test_a_node_has_known_words_only() -> None:
    validate.node_spec(specs_pb2.NodeSpec(availability=types_pb2.NODE_AVAILABILITY_DRAIN))
    for field, number in (("role", 2), ("availability", 3)):
        with pytest.raises(SwarmError) as refused:
            validate.node_spec(specs_pb2.NodeSpec(**{field: number}))  # type: ignore[arg-type]
        assert refused.value.field == field
    with pytest.raises(SwarmError, match="5 is no availability"):
        validate.availability("availability", 5)


def test_a_cluster_needs_possible_periods() -> None:
    validate.cluster_spec(specs_pb2.ClusterSpec(heartbeat_period=duration(2)))
    with pytest.raises(SwarmError, match="heartbeat_period"):
        validate.cluster_spec(specs_pb2.ClusterSpec(heartbeat_period=duration(0.01)))


def named(name: str, data: bytes) -> specs_pb2.SecretSpec:
    return specs_pb2.SecretSpec(annotations=types_pb2.Annotations(name=name), data=data)


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        (named("", b"x"), "annotations.name"),
        (named("-a", b"x"), "annotations.name"),
        (named("a.", b"x"), "annotations.name"),
        (named("a/b", b"x"), "annotations.name"),
        (named("a\nb", b"x"), "annotations.name"),
        (named("a" * 65, b"x"), "annotations.name"),
        (named("a", b""), "data"),
        (named("a", b"x" * 512_000), "data"),
    ],
)
def test_bad_secrets(spec: specs_pb2.SecretSpec, field: str) -> None:
    with pytest.raises(SwarmError) as refused:
        validate.secret_spec(spec)
    assert (refused.value.code, refused.value.field) == (Code.INVALID, field)


def test_the_largest_secret_and_config() -> None:
    validate.secret_spec(named("a" * 64, b"x" * 511_999))
    largest = specs_pb2.ConfigSpec(data=b"x" * (1000 << 10))
    largest.annotations.name = "my-app_1.conf"
    validate.config_spec(largest)
    largest.data += b"x"
    with pytest.raises(SwarmError):
        validate.config_spec(largest)


def test_labels_of_a_config_are_bounded() -> None:
    spec = specs_pb2.ConfigSpec(data=b"x")
    spec.annotations.name = "a"
    spec.annotations.labels["a"] = "x" * (300 << 10)
    with pytest.raises(SwarmError) as refused:
        validate.config_spec(spec)
    assert refused.value.field == "annotations.labels"
