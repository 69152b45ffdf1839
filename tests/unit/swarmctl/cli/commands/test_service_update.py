"""`service update` and `service scale`: what is not mentioned stays, and versions that collide."""

import pytest
from google.protobuf.json_format import MessageToDict

from api.errors import Code, SwarmError
from api.times import duration
from api.v1 import objects_pb2, specs_pb2
from tests.support.command_line import CommandLine
from tests.support.scripted_daemon import ScriptedDaemon

Port = specs_pb2.PortConfig


def present() -> objects_pb2.Service:
    made = objects_pb2.Service(id="s1")
    made.meta.version = 7
    spec = made.spec
    spec.annotations.name = "web"
    spec.annotations.labels.update({"a": "1", "b": "2"})
    spec.replicated.replicas = 2
    container = spec.task.container
    container.image = "app:1"
    container.args.append("serve")
    container.env.extend(["A=1", "B=2"])
    container.groups.append("audio")
    container.hosts.extend(["10.0.0.1 db", "10.0.0.2 db", "10.0.0.3 cache"])
    container.read_only = True
    container.memory_swappiness = 10
    container.cap_add.append("CAP_NET_ADMIN")
    container.sysctls["net.core.somaxconn"] = "1"
    container.ulimits.add(name="nofile", soft=1, hard=1)
    container.mounts.add(target="/data", source="old")
    container.secrets.add(source="key", target="/k")
    container.health.disabled = True
    container.dns.nameservers.append("1.1.1.1")
    spec.task.networks.add(target="front")
    spec.task.placement.constraints.append("node.role==worker")
    spec.task.placement.spread.append("node.labels.rack")
    spec.task.resources.reservations.generic.add(kind="gpu", count=1)
    spec.task.log_driver.name = "local"
    spec.task.log_driver.options["max-size"] = "1m"
    spec.endpoint.ports.add(target_port=80, published_port=8080)
    spec.endpoint.ports.add(target_port=80, published_port=80, mode=Port.PUBLISH_MODE_HOST)
    spec.update.delay.CopyFrom(duration(3))
    return made


@pytest.fixture(autouse=True)
def _willing(daemon: ScriptedDaemon) -> None:
    daemon.on("GetService", lambda request: present())
    daemon.on("UpdateService", lambda request: objects_pb2.Service(id="s1", spec=request.spec))


def updated(cli: CommandLine, daemon: ScriptedDaemon, *args: str) -> specs_pb2.ServiceSpec:
    result = cli("service", "update", "--detach", "web", *args)
    assert (result.code, result.err, result.out) == (0, "", "web\n")
    [request] = daemon.asked("UpdateService")
    assert (request.key, request.version, bool(request.request_id)) == ("s1", 7, True)
    spec: specs_pb2.ServiceSpec = request.spec
    return spec


def test_nothing_mentioned_changes_nothing(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    assert updated(cli, daemon) == present().spec


def difference(spec: specs_pb2.ServiceSpec) -> dict[str, object]:
    """What a spec holds other than the present one, as dotted paths."""
    before, after = flat(present().spec), flat(spec)
    return {
        path: after.get(path) for path in {*before, *after} if before.get(path) != after.get(path)
    }


def flat(spec: specs_pb2.ServiceSpec) -> dict[str, object]:
    found: dict[str, object] = {}

    def walk(path: str, value: object) -> None:
        if isinstance(value, dict) and value:
            for key, each in value.items():
                walk(f"{path}.{key}" if path else key, each)
        else:
            found[path] = value

    walk("", MessageToDict(spec, preserving_proto_field_name=True))
    return found


C = "task.container"
CHANGES = [
    ("--image app:2", {f"{C}.image": "app:2"}),
    ("--args 'a|b c'", {f"{C}.args": ["a|b", "c"]}),
    ("--args ''", {f"{C}.args": None}),
    ("--entrypoint sh", {f"{C}.command": ["sh"]}),
    ("--force", {"task.force_update": "1"}),
    ("--replicas 5", {"replicated.replicas": "5"}),
    ("--env-add A=3 --env-rm B", {f"{C}.env": ["A=3"]}),
    ("--env-add C=3", {f"{C}.env": ["A=1", "B=2", "C=3"]}),
    ("--env-rm NONE", {}),
    ("--label-add a=9 --label-add c", {"annotations.labels.a": "9", "annotations.labels.c": ""}),
    ("--label-rm a", {"annotations.labels.a": None}),
    ("--group-rm audio --group-add video", {f"{C}.groups": ["video"]}),
    ("--host-rm db", {f"{C}.hosts": ["10.0.0.3 cache"]}),
    ("--host-rm db:10.0.0.1", {f"{C}.hosts": ["10.0.0.2 db", "10.0.0.3 cache"]}),
    ("--read-only=false", {f"{C}.read_only": None}),
    ("--memory-swappiness -1", {f"{C}.memory_swappiness": None}),
    ("--cap-drop net_admin", {f"{C}.cap_add": None, f"{C}.cap_drop": ["CAP_NET_ADMIN"]}),
    (
        "--sysctl-rm net.core.somaxconn",
        {f"{C}.sysctls.net.core.somaxconn": None},
    ),
    (
        "--ulimit-rm nofile --ulimit-add nproc=2",
        {f"{C}.ulimits": [{"name": "nproc", "soft": "2", "hard": "2"}]},
    ),
    ("--mount-rm /data", {f"{C}.mounts": None}),
    (
        "--mount-add type=bind,src=/new,dst=/data",
        {f"{C}.mounts": [{"source": "/new", "target": "/data"}]},
    ),
    ("--secret-rm key", {f"{C}.secrets": None}),
    ("--config-add c", {f"{C}.configs": [{"source": "c", "target": "c"}]}),
    (
        "--dns-rm 1.1.1.1 --dns-search-add a",
        {f"{C}.dns.nameservers": None, f"{C}.dns.search": ["a"]},
    ),
    ("--network-add back", {"task.networks": [{"target": "front"}, {"target": "back"}]}),
    ("--network-rm front", {"task.networks": None}),
    ("--constraint-rm node.role==worker", {"task.placement.constraints": None}),
    ("--constraint-rm node.role!=worker", {}),
    ("--constraint-add node.role==worker", {}),
    (
        "--constraint-add node.labels.a==x|node.labels.a==y",
        {"task.placement.constraints": ["node.role==worker", "node.labels.a==x|node.labels.a==y"]},
    ),
    (
        "--constraint-rm node.role==worker --constraint-add node.role!=worker",
        {"task.placement.constraints": ["node.role!=worker"]},
    ),
    (
        "--placement-pref-add spread=engine.labels.disk",
        {"task.placement.spread": ["node.labels.rack", "engine.labels.disk"]},
    ),
    (
        "--replicas-max-per-node 2",
        {"task.placement.max_replicas_per_node": "2"},
    ),
    (
        "--generic-resource-add gpu=3",
        {"task.resources.reservations.generic": [{"kind": "gpu", "count": "3"}]},
    ),
    ("--placement-pref-rm spread=node.labels.rack", {"task.placement.spread": None}),
    ("--generic-resource-rm gpu", {"task.resources.reservations.generic": None}),
    (
        "--publish-rm 80",
        {
            "endpoint.ports": [
                {"target_port": 80, "published_port": 80, "mode": "PUBLISH_MODE_HOST"}
            ]
        },
    ),
    (
        "--publish-rm target=80,mode=host",
        {"endpoint.ports": [{"target_port": 80, "published_port": 8080}]},
    ),
    (
        "--log-driver other",
        {"task.log_driver.name": "other", "task.log_driver.options.max-size": None},
    ),
    ("--log-driver local --log-opt a=b", {"task.log_driver.options.a": "b"}),
    (
        "--health-cmd true",
        {f"{C}.health.disabled": None, f"{C}.health.test": ["CMD-SHELL", "true"]},
    ),
    ("--no-healthcheck=false", {f"{C}.health.disabled": None}),
    ("--update-delay 0", {"update.delay": "0s"}),
    ("--update-parallelism 0", {"update.parallelism": "0"}),
    (
        "--update-failure-action rollback --update-order start-first",
        {"update.failure_action": "FAILURE_ACTION_ROLLBACK", "update.order": "ORDER_START_FIRST"},
    ),
    (
        "--rollback-parallelism 0 --rollback-delay 1s --rollback-monitor 2s",
        {"rollback.parallelism": "0", "rollback.delay": "1s", "rollback.monitor": "2s"},
    ),
    (
        "--rollback-failure-action continue --rollback-max-failure-ratio .5",
        {"rollback.failure_action": "FAILURE_ACTION_CONTINUE", "rollback.max_failure_ratio": 0.5},
    ),
    ("--rollback-order start-first", {"rollback.order": "ORDER_START_FIRST"}),
    (
        "--restart-condition none --restart-delay 2s --restart-max-attempts 3 --restart-window 1m",
        {
            "task.restart.condition": "CONDITION_NONE",
            "task.restart.delay": "2s",
            "task.restart.max_attempts": "3",
            "task.restart.window": "60s",
        },
    ),
    ("--label-rm none --constraint-rm none --mount-rm /none --publish-rm 9", {}),
    ("--network-rm none --secret-rm none --group-rm none --dns-rm 9.9.9.9", {}),
    ("--limit-memory 64m", {"task.resources.limits.memory_bytes": str(64 << 20)}),
    ("--container-label-add x=y", {f"{C}.labels.x": "y"}),
]


def split(text: str) -> list[str]:
    words = text.replace("'a|b c'", "a|b\0c").replace("''", "\0\0").split(" ")
    return ["" if word == "\0\0" else word.replace("\0", " ") for word in words]


@pytest.mark.parametrize(("text", "changed"), CHANGES)
def test_flags_change_what_they_name_and_nothing_else(
    cli: CommandLine, daemon: ScriptedDaemon, text: str, changed: dict[str, object]
) -> None:
    found = difference(updated(cli, daemon, *split(text)))
    assert {path: value for path, value in found.items() if value != {}} == changed


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (("--publish-rm", "http"), "--publish-rm"),
        (("--placement-pref-rm", "x"), "--placement-pref-rm"),
        (("--args", "it's"), "--args"),
        (("--mount-add", "x"), "--mount-add"),
        (("--host-add", "x"), "--host-add"),
    ],
)
def test_wrong_values_are_found_before_anybody_is_asked(
    cli: CommandLine, daemon: ScriptedDaemon, args: tuple[str, ...], why: str
) -> None:
    result = cli("service", "update", "web", *args)
    assert result.code == 2
    assert why in result.err
    assert daemon.asked("GetService") == []


def test_a_flag_of_another_mode_does_not_change_the_mode(
    cli: CommandLine, daemon: ScriptedDaemon
) -> None:
    result = cli("service", "update", "web", "--max-concurrent", "2")
    assert result.code == 2
    assert "has no meaning with mode replicated" in result.err
    assert daemon.asked("UpdateService") == []
    agent = present()
    getattr(agent.spec, "global").SetInParent()
    daemon.on("GetService", agent)
    result = cli("service", "update", "web", "--replicas", "2")
    assert (result.code, "has no meaning with mode global" in result.err) == (2, True)
    assert daemon.asked("UpdateService") == []


def test_the_numbers_of_a_job_can_be_changed(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    job = present()
    job.spec.replicated_job.total_completions = 1
    daemon.on("GetService", job)
    args = ("--replicas", "6", "--max-concurrent", "2")
    assert cli("service", "update", "--detach", "web", *args).code == 0
    [request] = daemon.asked("UpdateService")
    changed = request.spec.replicated_job
    assert (changed.total_completions, changed.max_concurrent) == (6, 2)


@pytest.mark.parametrize("args", [("update", "--rollback"), ("rollback",)])
def test_a_rollback_asks_for_no_spec(
    cli: CommandLine, daemon: ScriptedDaemon, args: tuple[str, ...]
) -> None:
    result = cli("service", *args, "--detach", "web")
    assert (result.code, result.err, result.out) == (0, "", "web\n")
    [request] = daemon.asked("UpdateService")
    assert (request.key, request.version, request.rollback) == ("s1", 7, True)
    assert (bool(request.request_id), request.HasField("spec")) == (True, False)


@pytest.mark.parametrize(
    "flags",
    [
        ("--image", "app:2"),
        ("--force",),
        ("--env-add", "A=1"),
        ("--update-delay", "0"),
        ("--tty=false",),
        ("--read-only=false",),
    ],
)
def test_a_rollback_cannot_be_combined(
    cli: CommandLine, daemon: ScriptedDaemon, flags: tuple[str, ...]
) -> None:
    result = cli("service", "update", "web", "--rollback", *flags)
    assert (result.code, daemon.asked("GetService")) == (2, [])
    assert "other flags may not be combined with it" in result.err


CONFLICT = SwarmError(Code.CONFLICT, "service web has changed meanwhile")


def test_a_collision_is_read_again_and_repeated(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    daemon.on("UpdateService", CONFLICT, CONFLICT, objects_pb2.Service(id="s1"))
    assert cli("service", "update", "--detach", "web", "--force").code == 0
    requests = daemon.asked("UpdateService")
    assert [request.spec.task.force_update for request in requests] == [1, 1, 1]
    assert len({request.request_id for request in requests}) == 3
    assert len(daemon.asked("GetService")) == 3


def test_collisions_without_end_are_reported(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    daemon.on("UpdateService", CONFLICT)
    result = cli("service", "update", "--detach", "web", "--force")
    assert (result.code, result.err) == (1, "swarmctl: service web has changed meanwhile\n")
    assert len(daemon.asked("UpdateService")) == 5


def test_scaling_goes_on_with_the_others(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    agent, job = objects_pb2.Service(id="s2"), objects_pb2.Service(id="s3")
    agent.spec.annotations.name = "agent"
    getattr(agent.spec, "global").SetInParent()
    job.spec.annotations.name = "job"
    job.spec.replicated_job.total_completions = 1
    missing = SwarmError(Code.NOT_FOUND, "there is no service gone")
    daemon.on("GetService", missing, agent, job, present())
    result = cli("service", "scale", "--detach", "gone=1", "agent=2", "job=2", "web=3")
    assert (result.code, result.out) == (1, "job scaled to 2\nweb scaled to 3\n")
    assert result.err == (
        "swarmctl: there is no service gone\n"
        "swarmctl: service agent cannot be scaled: its mode is global, with one task on each node."
        " Scale can only be used with replicated or replicated-job mode\n"
    )
    of_job, of_web = daemon.asked("UpdateService")
    assert of_job.spec.replicated_job.total_completions == 2
    assert of_web.spec.replicated.replicas == 3


@pytest.mark.parametrize("target", ["web", "web=", "=3", "web=many", "web=-1", "web=" + "9" * 30])
def test_scale_targets_that_cannot_be_read(
    cli: CommandLine, daemon: ScriptedDaemon, target: str
) -> None:
    result = cli("service", "scale", "--detach", "web=1", target)
    assert (result.code, daemon.asked("GetService")) == (2, [])
    assert "use SERVICE=REPLICAS" in result.err
