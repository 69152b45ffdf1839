"""`service create`: what flags become in the spec that is sent, and what is refused before."""

from pathlib import Path

import pytest
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from api.errors import Code, SwarmError
from api.v1 import objects_pb2, specs_pb2
from tests.support.command_line import CommandLine
from tests.support.scripted_daemon import ScriptedDaemon


def creates(request: object) -> objects_pb2.Service:
    spec: specs_pb2.ServiceSpec = request.spec  # type: ignore[attr-defined]
    return objects_pb2.Service(id="0123456789abcdef", spec=spec)


@pytest.fixture(autouse=True)
def _willing(daemon: ScriptedDaemon) -> None:
    daemon.on("CreateService", creates)


def created(cli: CommandLine, daemon: ScriptedDaemon, *args: str) -> specs_pb2.ServiceSpec:
    result = cli("service", "create", "--detach", *args)
    assert (result.code, result.err) == (0, "")
    assert result.out == "0123456789abcdef\n"
    [request] = daemon.asked("CreateService")
    assert request.request_id
    spec: specs_pb2.ServiceSpec = request.spec
    return spec


CONTAINER = [
    ("--entrypoint 'sh -c'", {"command": ["sh", "-c"]}),
    ("--user 1000:100", {"user": "1000:100"}),
    ("--group audio --group video", {"groups": ["audio", "video"]}),
    ("--workdir /srv", {"dir": "/srv"}),
    ("--env A=1 -e B= --env A=2", {"env": ["A=2", "B="]}),
    ("--tty --init --read-only", {"tty": True, "init": True, "read_only": True}),
    ("--tty --tty=false", {}),
    ("--hostname web", {"hostname": "web"}),
    ("--stop-signal SIGINT", {"stop_signal": "SIGINT"}),
    ("--stop-grace-period 1m30s", {"stop_grace_period": "90s"}),
    ("--isolation hyperv", {"isolation": "hyperv"}),
    ("--container-label a=b --container-label c", {"labels": {"a": "b", "c": ""}}),
    ("--cap-add net_admin --cap-drop all", {"cap_add": ["CAP_NET_ADMIN"], "cap_drop": ["ALL"]}),
    ("--credential-spec file://x", {"privileges": {"credential_spec": "file://x"}}),
    ("--sysctl net.core.somaxconn=9", {"sysctls": {"net.core.somaxconn": "9"}}),
    ("--ulimit nofile=10:20", {"ulimits": [{"name": "nofile", "soft": "10", "hard": "20"}]}),
    ("--host db:10.0.0.9 --host c=::1", {"hosts": ["10.0.0.9 db", "::1 c"]}),
    (
        "--dns 1.1.1.1 --dns-search a.b --dns-option ndots:2",
        {"dns": {"nameservers": ["1.1.1.1"], "search": ["a.b"], "options": ["ndots:2"]}},
    ),
    ("--memory-swap -1", {"memory_swap_bytes": "-1"}),
    ("--memory-swap 1g", {"memory_swap_bytes": str(1 << 30)}),
    ("--memory-swappiness 0", {"memory_swappiness": 0}),
    ("--memory-swappiness -1", {}),
    ("--oom-score-adj -500", {"oom_score_adj": -500}),
    (
        "--health-cmd 'true' --health-retries 3",
        {"health": {"test": ["CMD-SHELL", "true"], "retries": 3}},
    ),
    ("--health-interval 5s", {"health": {"interval": "5s"}}),
    ("--no-healthcheck", {"health": {"disabled": True}}),
    ("--mount type=tmpfs,dst=/t", {"mounts": [{"type": "TYPE_TMPFS", "target": "/t"}]}),
    ("--secret key", {"secrets": [{"source": "key", "target": "key"}]}),
    (
        "--config source=c,target=/a --config source=c,target=/b",
        {"configs": [{"source": "c", "target": "/a"}, {"source": "c", "target": "/b"}]},
    ),
]
TASK = [
    (
        "--limit-cpu 0.5 --limit-memory 64m",
        {"limits": {"nano_cpus": "500000000", "memory_bytes": str(64 << 20)}},
    ),
    (
        "--reserve-cpu 2 --reserve-memory 1.5g",
        {"reservations": {"nano_cpus": "2000000000", "memory_bytes": str(3 << 29)}},
    ),
    ("--limit-pids 100", {"pids_limit": "100"}),
    ("--generic-resource gpu=2", {"reservations": {"generic": [{"kind": "gpu", "count": "2"}]}}),
]
SERVICE = [
    ("--label a=b -l c", {"annotations": {"name": "web", "labels": {"a": "b", "c": ""}}}),
    ("--replicas 3", {"replicated": {"replicas": "3"}}),
    ("--replicas=0", {"replicated": {}}),
    ("--mode global", {"global": {}}),
    ("--mode global-job", {"global_job": {}}),
    (
        "--mode replicated-job --replicas 5 --max-concurrent 2",
        {"replicated_job": {"max_concurrent": "2", "total_completions": "5"}},
    ),
    ("--endpoint-mode dnsrr", {"endpoint": {"mode": "MODE_DNSRR"}}),
    ("--sticky source-ip", {"endpoint": {"sticky": "STICKY_SOURCE_IP"}}),
    (
        "--publish 8080:80 -p 8081:80",
        {
            "endpoint": {
                "ports": [
                    {"target_port": 80, "published_port": 8080},
                    {"target_port": 80, "published_port": 8081},
                ]
            }
        },
    ),
    (
        "--publish 8000-8001:80-81/udp",
        {
            "endpoint": {
                "ports": [
                    {"protocol": "PROTOCOL_UDP", "target_port": 80, "published_port": 8000},
                    {"protocol": "PROTOCOL_UDP", "target_port": 81, "published_port": 8001},
                ]
            }
        },
    ),
    (
        "--update-parallelism 0 --update-delay 10s --update-order start-first",
        {"update": {"parallelism": "0", "delay": "10s", "order": "ORDER_START_FIRST"}},
    ),
    (
        "--update-failure-action rollback --update-max-failure-ratio 0.5 --update-monitor 1s",
        {
            "update": {
                "monitor": "1s",
                "failure_action": "FAILURE_ACTION_ROLLBACK",
                "max_failure_ratio": 0.5,
            }
        },
    ),
    ("--rollback-parallelism 2", {"rollback": {"parallelism": "2"}}),
]
PARTS = [
    ("--constraint node.role==worker", "placement", {"constraints": ["node.role==worker"]}),
    ("--placement-pref spread=node.labels.rack", "placement", {"spread": ["node.labels.rack"]}),
    ("--replicas-max-per-node 2", "placement", {"max_replicas_per_node": "2"}),
    (
        "--restart-condition on-failure --restart-delay 1s --restart-max-attempts 3",
        "restart",
        {"condition": "CONDITION_ON_FAILURE", "delay": "1s", "max_attempts": "3"},
    ),
    ("--restart-window 1h", "restart", {"window": "3600s"}),
    (
        "--log-opt max-size=1m --log-driver json-file",
        "log_driver",
        {"name": "json-file", "options": {"max-size": "1m"}},
    ),
]


def as_dict(message: Message) -> dict[str, object]:
    made: dict[str, object] = MessageToDict(message, preserving_proto_field_name=True)
    return made


def words(text: str) -> list[str]:
    return [word.strip("'") for word in text.replace("'sh -c'", "sh\0-c").split()]


def options(text: str) -> list[str]:
    return [word.replace("\0", " ") for word in words(text)]


@pytest.mark.parametrize(("text", "made"), CONTAINER)
def test_flags_of_the_container(
    cli: CommandLine, daemon: ScriptedDaemon, text: str, made: dict[str, object]
) -> None:
    spec = created(cli, daemon, *options(text), "--name", "web", "app:1")
    assert as_dict(spec.task.container) == {"image": "app:1", **made}


@pytest.mark.parametrize(("text", "made"), TASK)
def test_flags_of_resources(
    cli: CommandLine, daemon: ScriptedDaemon, text: str, made: dict[str, object]
) -> None:
    spec = created(cli, daemon, *options(text), "--name", "web", "app:1")
    assert as_dict(spec.task.resources) == made


@pytest.mark.parametrize(("text", "part", "made"), PARTS)
def test_flags_of_other_parts_of_a_task(
    cli: CommandLine, daemon: ScriptedDaemon, text: str, part: str, made: dict[str, object]
) -> None:
    spec = created(cli, daemon, *options(text), "--name", "web", "app:1")
    assert as_dict(getattr(spec.task, part)) == made


@pytest.mark.parametrize(("text", "made"), SERVICE)
def test_flags_of_the_service(
    cli: CommandLine, daemon: ScriptedDaemon, text: str, made: dict[str, object]
) -> None:
    spec = created(cli, daemon, *options(text), "--name", "web", "app:1")
    spec.ClearField("task")
    default: dict[str, object] = {"annotations": {"name": "web"}}
    if not any("job" in key or key == "global" for key in made):
        default["replicated"] = {"replicas": "1"}
    assert as_dict(spec) == {**default, **made}


def test_networks(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    spec = created(cli, daemon, "--network", "host", "--network", "name=b,alias=c", "app:1")
    assert [(n.target, list(n.aliases)) for n in spec.task.networks] == [("host", []), ("b", ["c"])]


@pytest.mark.parametrize(
    "args",
    [("sh", "-c", "echo --tty=false"), ("-x",), ("--name", "y"), ("--tty=false",), ("--", "-x")],
)
def test_what_follows_the_image_is_the_containers(
    cli: CommandLine, daemon: ScriptedDaemon, args: tuple[str, ...]
) -> None:
    assert list(created(cli, daemon, "--name", "web", "app:1", *args).task.container.args) == list(
        args
    )


def test_a_variable_without_a_value_takes_the_callers(
    cli: CommandLine,
    daemon: ScriptedDaemon,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("MINE", "of the caller")
    monkeypatch.delenv("NOBODYS", raising=False)
    file = tmp_path / "env"
    file.write_text("# a comment\n\nMINE\nFROM_FILE=1\n  SPACED=2\n")
    spec = created(
        cli, daemon, "--env-file", str(file), "--env", "MINE", "-e", "NOBODYS", "-eX=1", "app:1"
    )
    assert list(spec.task.container.env) == ["MINE=of the caller", "FROM_FILE=1", "SPACED=2", "X=1"]


def test_values_of_a_file_are_as_they_stand_there(
    cli: CommandLine, daemon: ScriptedDaemon, tmp_path: Path
) -> None:
    values = {
        "BLANKS": " two \t ",
        "LINES": "a\u2028b\x0bc\x0cd\x85e",
        "RETURN": "a\rb",
        "EMPTY": "",
        "QUOTED": "'a' \"b\"",
    }
    lines = [f"{name}={value}" for name, value in values.items()]
    file = tmp_path / "env"
    file.write_bytes("\ufeff".encode() + "\r\n".join(lines).encode())
    spec = created(cli, daemon, "--env-file", str(file), "app:1")
    assert list(spec.task.container.env) == lines


@pytest.mark.parametrize("line", ["MY NAME=1", "NAME =1", "=1"])
def test_what_is_no_name_in_a_file_is_refused(
    cli: CommandLine, daemon: ScriptedDaemon, tmp_path: Path, line: str
) -> None:
    (tmp_path / "env").write_text(f"A=1\n{line}\n")
    result = cli("service", "create", "--env-file", str(tmp_path / "env"), "app:1")
    assert (result.code, daemon.asked("CreateService")) == (2, [])
    assert "is no name of a variable; write NAME=value" in " ".join(result.err.split())


def test_a_made_up_name_that_is_taken_is_replaced(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    daemon.on("CreateService", SwarmError(Code.EXISTS, "the name is taken"), creates)
    assert cli("service", "create", "--detach", "app:1").code == 0
    first, second = daemon.asked("CreateService")
    assert first.request_id != second.request_id
    assert "_" in second.spec.annotations.name


def test_a_name_that_was_asked_for_and_is_taken_is_refused(
    cli: CommandLine, daemon: ScriptedDaemon
) -> None:
    daemon.on("CreateService", SwarmError(Code.EXISTS, "there is a service web already"))
    result = cli("service", "create", "--detach", "--name", "web", "app:1")
    assert (result.code, result.err) == (1, "swarmctl: there is a service web already\n")
    assert len(daemon.asked("CreateService")) == 1


WRONG = [
    (("--limit-memory", "lots"), "--limit-memory", "write it as 512m"),
    (("--limit-memory", "99999999999t"), "--limit-memory", "no size"),
    (("--limit-cpu", "half"), "--limit-cpu", "write it as 0.5"),
    (("--stop-grace-period", "10"), "--stop-grace-period", "write it as 10s"),
    (("--replicas", "-1"), "--replicas", "0 or more"),
    (("--replicas", "99999999999999999999"), "--replicas", "0 or more"),
    (("--memory-swappiness", "101"), "--memory-swappiness", "from -1 to 100"),
    (("--memory-swap", "-2"), "--memory-swap", "no size"),
    (("--oom-score-adj", "5000"), "--oom-score-adj", "from -1000 to 1000"),
    (("--mode", "random"), "--mode", "global-job"),
    (("--mode", "global", "--replicas", "2"), "--replicas", "no meaning with --mode global"),
    (("--max-concurrent", "2"), "--max-concurrent", "needs --mode replicated-job"),
    (("--restart-condition", "always"), "--restart-condition", "none, on-failure, any"),
    (("--rollback-failure-action", "rollback"), "--rollback-failure-action", "pause, continue"),
    (("--update-max-failure-ratio", "2"), "--update-max-failure-ratio", "from 0 to 1"),
    (("--update-max-failure-ratio", "nan"), "--update-max-failure-ratio", "from 0 to 1"),
    (("--mount", "type=bind"), "--mount", "no target"),
    (("--mount", '"type=bind'), "--mount", "not well formed"),
    (("--publish", "80-79:80-79"), "--publish", "ends before it begins"),
    (("--publish", "80-82:80-81"), "--publish", "different lengths"),
    (("--ulimit", "nofile=99999999999999999999"), "--ulimit", "name=soft[:hard]"),
    (("--host", "db:nowhere"), "--host", "no IP address"),
    (("--label", "=x"), "--label", "key=value"),
    (("--placement-pref", "random"), "--placement-pref", "spread=node.labels.NAME"),
    (("--entrypoint", "sh 'c"), "--entrypoint", "cannot be split"),
    (("--env-file", "/does/not/exist"), "--env-file", "does not exist"),
    (("--no-healthcheck", "--health-retries", "1"), "--no-healthcheck", "--health-*"),
    (("--tty=perhaps",), "--tty", "neither true nor false"),
    (("--detach", "--nonsense"), "--nonsense", "No such option"),
    (("--wait-timeout", "soon"), "--wait-timeout", "write it as 10s"),
]


@pytest.mark.parametrize(("args", "flag", "remedy"), WRONG)
def test_a_wrong_value_names_its_flag_and_what_to_write(
    cli: CommandLine, daemon: ScriptedDaemon, args: tuple[str, ...], flag: str, remedy: str
) -> None:
    result = cli("service", "create", *args, "app:1")
    assert (result.code, result.out) == (2, "")
    assert flag in result.err
    assert remedy in " ".join(result.err.split())
    assert daemon.asked("CreateService") == []
