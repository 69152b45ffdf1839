"""`service ls`, `ps`, `inspect` and `rm`, and `task`, byte for byte."""

import json
import time

import pytest

from api import states
from api.errors import Code, SwarmError
from api.times import timestamp
from api.v1 import control_pb2, objects_pb2, specs_pb2, types_pb2
from tests.support import builders
from tests.support.command_line import CommandLine
from tests.support.golden import check_golden
from tests.support.scripted_daemon import ScriptedDaemon

MISSING = SwarmError(Code.NOT_FOUND, "there is no service gone")
DIGEST = "@sha256:" + "0" * 64


def service(name: str, replicas: int = 1, image: str = "nginx:1.27") -> objects_pb2.Service:
    made = builders.service(name, replicas, spec=builders.task_spec(image))
    made.id = f"{name}xxxxxxxxxxxxxxxxxxxxxxxxx"[:25]
    made.meta.version = 3
    made.meta.created_at.CopyFrom(timestamp(1_800_000_000))
    return made


def services() -> control_pb2.ListServicesResponse:
    web = service("web2", 3, "nginx:1.27" + DIGEST)
    for target in (80, 81):
        web.spec.endpoint.ports.add(target_port=target, published_port=target + 8000)
    web.spec.endpoint.ports.add(
        target_port=53, published_port=53, mode=specs_pb2.PortConfig.PUBLISH_MODE_HOST
    )
    limited, job = service("web10"), service("job")
    limited.spec.task.placement.max_replicas_per_node = 2
    job.spec.replicated_job.total_completions = 5
    answer = control_pb2.ListServicesResponse(services=[web, limited, job])
    answer.counts[web.id].CopyFrom(control_pb2.ServiceCounts(running=2, desired=3))
    answer.counts[limited.id].CopyFrom(control_pb2.ServiceCounts(running=1, desired=1))
    answer.counts[job.id].CopyFrom(control_pb2.ServiceCounts(running=1, desired=2, completed=3))
    return answer


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("service_ls.txt", ()),
        ("service_ls_quiet.txt", ("-q",)),
        ("service_ls_json.txt", ("--format", "json")),
        ("service_ls_table.txt", ("--format", r"table {{.Name}} {{upper .Mode}}\t{{.Ports}}")),
        ("service_ls_template.txt", ("--format", "{{.Name}}={{.Replicas}}")),
    ],
)
def test_services(
    cli: CommandLine, daemon: ScriptedDaemon, name: str, args: tuple[str, ...]
) -> None:
    daemon.on("ListServices", services())
    result = cli("service", "ls", *args)
    assert (result.code, result.err) == (0, "")
    check_golden(f"cli/{name}", result.out)


def test_a_pinned_image_is_shown_by_name_and_in_full_by_digest(
    cli: CommandLine, daemon: ScriptedDaemon
) -> None:
    web = service("web", image="nginx")
    web.spec.task.container.pinned_image.reference = "nginx:latest" + DIGEST
    task = builders.task("t1", "web", spec=web.spec.task)
    daemon.on("ListServices", control_pb2.ListServicesResponse(services=[web]))
    daemon.on("GetService", web)
    daemon.on("ListNodes", control_pb2.ListNodesResponse())
    daemon.on("ListTasks", control_pb2.ListTasksResponse(tasks=[task]))
    assert cli("service", "ls", "--format", "{{.Image}}").out == "nginx:latest\n"
    assert cli("service", "ps", "--format", "{{.Image}}", "web").out == "nginx:latest\n"
    full = cli("service", "ps", "--no-trunc", "--format", "{{.Image}}", "web")
    assert full.out == f"nginx:latest{DIGEST}\n"
    assert f"nginx:latest{DIGEST}\n" in cli("service", "inspect", "--pretty", "web").out


def test_filters_of_services_are_sent(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    daemon.on("ListServices", control_pb2.ListServicesResponse())
    filters = ["id=a", "name=b", "name=c", "mode=global", "label=x", "label=y=z", "label=y=w"]
    result = cli("service", "ls", *(word for each in filters for word in ("-f", each)))
    assert result.out == "ID        NAME      MODE      REPLICAS   IMAGE     PORTS\n"
    [request] = daemon.asked("ListServices")
    assert request == control_pb2.ListServicesRequest(
        ids=["a"], names=["b", "c"], modes=["global"], labels=["x", "y=z", "y=w"]
    )


LISTS = [
    (("service", "ls"), "id, label, mode, name"),
    (("service", "ps", "web"), "desired-state, id, name, node"),
    (("task", "ls"), "desired-state, id, label, name, node, service"),
    (("node", "ls"), "id, label, membership, name, node.label, role"),
    (("node", "ps", "n1"), "desired-state, id, label, name"),
    (("secret", "ls"), "id, label, name"),
    (("config", "ls"), "id, label, name"),
    (("image", "ls"), "before, dangling, label, reference, since"),
    (("context", "ls"), "current, name"),
    (("lab", "ls"), "lab, name, role, state"),
]


@pytest.mark.parametrize(("command", "known"), LISTS)
def test_an_unknown_filter_is_an_error_before_any_call(
    cli: CommandLine, daemon: ScriptedDaemon, command: tuple[str, ...], known: str
) -> None:
    for text in ("colour=red", "name"):
        result = cli(*command, "--filter", text)
        assert result.code == 2
        assert f"one of the keys {known}" in " ".join(result.err.split())
    assert daemon._asked == {}


@pytest.mark.parametrize("command", [each for each, _ in LISTS] + [
    (noun, "inspect", "x") for noun in ("service", "task", "node", "image")
] + [("image", "ls"), ("system", "info"), ("context", "ls"), ("context", "inspect")])  # fmt: skip
@pytest.mark.parametrize("form", ["{{.Nonsense}}", "{{nonsense .ID}}", "{{}}", r'{{"\x"}}'])
def test_a_wrong_format_is_an_error_before_any_call(
    cli: CommandLine, daemon: ScriptedDaemon, command: tuple[str, ...], form: str
) -> None:
    result = cli(*command, "--format", form)
    assert (result.code, result.out, daemon._asked) == (2, "", {})
    assert "the template is wrong at" in result.err


def tasks() -> control_pb2.ListTasksResponse:
    at = time.time() - 150
    made = [
        builders.task("t2", "web", 2, state=states.PENDING, at=at, error="no suitable node " * 9),
        builders.task("t10", "web", 10, node_id="n2", at=at),
        builders.task("t1new", "web", 1, node_id="n1", at=at),
        builders.task(
            "t1old",
            "web",
            1,
            state=states.FAILED,
            desired=states.SHUTDOWN,
            node_id="n1",
            at=at - 3600,
            error="task: non-zero exit (1)",
        ),
    ]
    for each in made:
        each.id = each.id.ljust(25, "x")
        each.spec.container.image = "nginx:1.27" + DIGEST
    return control_pb2.ListTasksResponse(tasks=made)


def nodes() -> control_pb2.ListNodesResponse:
    return control_pb2.ListNodesResponse(nodes=[builders.node("n1"), builders.node("n2")])


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("service_ps.txt", ()),
        ("service_ps_no_trunc.txt", ("--no-trunc",)),
        ("service_ps_quiet.txt", ("-q",)),
    ],
)
def test_tasks_of_a_service(
    cli: CommandLine, daemon: ScriptedDaemon, name: str, args: tuple[str, ...]
) -> None:
    daemon.on("GetService", service("web"))
    daemon.on("ListTasks", tasks())
    daemon.on("ListNodes", nodes())
    result = cli("service", "ps", "web", *args)
    assert (result.code, result.err) == (0, "")
    check_golden(f"cli/{name}", result.out)


@pytest.mark.parametrize(
    ("form", "names"),
    [
        ("{{.Name}}", ["web.1", "web.1", "web.2", "web.10"]),
        ('{{"Name:"}} {{.Name}}', ["Name: web.1", "Name: web.1", "Name: web.2", "Name: web.10"]),
        ("table {{.Name}}", ["NAME", "web.1", r" \_ web.1", "web.2", "web.10"]),
    ],
)
def test_former_tasks_are_indented_in_tables_alone(
    cli: CommandLine, daemon: ScriptedDaemon, form: str, names: list[str]
) -> None:
    daemon.on("GetService", service("web"))
    daemon.on("ListTasks", tasks())
    daemon.on("ListNodes", nodes())
    assert cli("service", "ps", "web", "--format", form).out.splitlines() == names
    listed = map(json.loads, cli("service", "ps", "web", "--format", "json").out.splitlines())
    assert [each["Name"] for each in listed] == ["web.1", "web.1", "web.2", "web.10"]


def test_without_names_tasks_are_called_by_their_services_id(
    cli: CommandLine, daemon: ScriptedDaemon
) -> None:
    listed = tasks()
    for each in listed.tasks:
        each.service_id = "s1"
    daemon.on("GetService", service("web"))
    daemon.on("ListTasks", listed)
    result = cli("service", "ps", "web", "--no-resolve", "--format", "{{.Name}} {{.Node}}")
    assert result.out == "s1.1 n1\ns1.1 n1\ns1.2 \ns1.10 n2\n"


def test_the_health_of_a_task_stands_beside_its_state(
    cli: CommandLine, daemon: ScriptedDaemon
) -> None:
    listed = tasks()
    cases = zip(
        listed.tasks,
        (states.STARTING, states.RUNNING, states.RUNNING, states.FAILED),
        (states.UNPROVEN, states.HEALTHY, states.UNHEALTHY, states.UNHEALTHY),
        strict=True,
    )
    for each, state, health in cases:
        each.status.state, each.status.container.health = state, health
    daemon.on("ListTasks", listed)
    daemon.on("ListNodes", nodes())
    result = cli("task", "ls", "--format", "{{.CurrentState}}: {{.Health}}")
    assert result.out.splitlines() == [
        "Running 2 minutes ago (unhealthy): unhealthy",
        "Failed about an hour ago: ",
        "Starting 2 minutes ago (health: starting): starting",
        "Running 2 minutes ago (healthy): healthy",
    ]


def test_tasks_of_several_services_one_of_which_is_unknown(
    cli: CommandLine, daemon: ScriptedDaemon
) -> None:
    daemon.on("GetService", MISSING, service("web"))
    daemon.on("ListTasks", tasks())
    result = cli("service", "ps", "-q", "gone", "web")
    assert (result.code, result.err) == (1, "swarmctl: there is no service gone\n")
    assert len(result.out.splitlines()) == 4
    [request] = daemon.asked("ListTasks")
    assert list(request.service_keys) == [service("web").id]


def test_filters_of_tasks_are_sent(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    daemon.on("ListTasks", control_pb2.ListTasksResponse())
    daemon.on("ListNodes", nodes())
    filters = ["desired-state=running", "id=a", "name=b", "node=n1", "service=s", "label=x=y"]
    cli("task", "ls", *(word for each in filters for word in ("-f", each)))
    [request] = daemon.asked("ListTasks")
    assert request == control_pb2.ListTasksRequest(
        ids=["a"],
        names=["b"],
        service_keys=["s"],
        node_keys=["n1"],
        labels=["x=y"],
        desired_states=[states.READY, states.RUNNING],
    )
    wrong = cli("task", "ls", "-f", "desired-state=happy")
    assert wrong.code == 2
    assert "running, shutdown, accepted" in wrong.err


def test_inspect_goes_on_with_the_others(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    daemon.on("GetService", service("web"), MISSING, service("db"))
    result = cli("service", "inspect", "web", "gone", "db")
    assert (result.code, result.err) == (1, "swarmctl: there is no service gone\n")
    assert [each["Spec"]["Name"] for each in json.loads(result.out)] == ["web", "db"]


def test_inspect_of_unknown_names_only_is_an_empty_array(
    cli: CommandLine, daemon: ScriptedDaemon
) -> None:
    daemon.on("GetService", MISSING)
    result = cli("service", "inspect", "gone")
    assert (result.code, result.out) == (1, "[]\n")


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("{{.ID}} {{.Version}}", "webxxxxxxxxxxxxxxxxxxxxxx 3\n"),
        ("{{.Spec.Name}} {{json .Spec.Labels}}", "web {}\n"),
        ("{{.UpdateStatus.State}}|{{.UpdateStatus.StartedAt}}", "unknown|\n"),
        ("{{.CreatedAt}}", "2027-01-15T08:00:00.000000Z\n"),
        ("{{json .Spec.Replicated}}", '{"Replicas": 1}\n'),
    ],
)
def test_templates_of_inspect(
    cli: CommandLine, daemon: ScriptedDaemon, form: str, text: str
) -> None:
    daemon.on("GetService", service("web"))
    result = cli("service", "inspect", "--format", form, "web")
    assert (result.code, result.out) == (0, text)


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("{{.Spec.Labels.tier}}|{{.Spec.Labels.none}}|", "front||"),
        ('{{index .Spec.Labels "com.example/x.y"}}', "dotted"),
        ('{{index .Spec.Labels "com.example/none"}}|', "|"),
        ('{{index .Spec.Labels "tier" | upper}}', "FRONT"),
        ("{{index .Spec.Task.Container.Args 1}}", "b"),
        ("{{index .Spec.Task.Container.Args 2}}|", "|"),
    ],
)
def test_templates_reach_labels_and_parts_of_lists(
    cli: CommandLine, daemon: ScriptedDaemon, form: str, text: str
) -> None:
    web = service("web")
    web.spec.annotations.labels.update({"tier": "front", "com.example/x.y": "dotted"})
    web.spec.task.container.args.extend(["a", "b"])
    daemon.on("GetService", web)
    result = cli("service", "inspect", "--format", form, "web")
    assert (result.code, result.out, result.err) == (0, f"{text}\n", "")


@pytest.mark.parametrize(
    "form",
    [
        '{{index .Spec "Name"}}',
        "{{index .Spec.Labels 1}}",
        '{{index .Spec.Task.Container.Args "a"}}',
        "{{index .Spec.Task.Container.Args -1}}",
        "{{index}}",
    ],
)
def test_what_has_no_parts_is_not_asked_for_them(
    cli: CommandLine, daemon: ScriptedDaemon, form: str
) -> None:
    result = cli("service", "inspect", "--format", form, "web")
    assert (result.code, daemon.asked("GetService")) == (2, [])
    assert "wrong arguments for index" in result.err


def test_the_state_of_the_last_update_can_be_listed(
    cli: CommandLine, daemon: ScriptedDaemon
) -> None:
    web = service("web")
    web.update_status.state = objects_pb2.UpdateStatus.STATE_ROLLBACK_PAUSED
    daemon.on("ListServices", control_pb2.ListServicesResponse(services=[web]))
    result = cli("service", "ls", "--format", "{{.Name}} {{.UpdateState}}")
    assert result.out == "web rollback_paused\n"


def test_inspect_for_people(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    web = service("web", 0)
    web.spec.annotations.labels["tier"] = "front\x1b[31m"
    web.update_status.state = objects_pb2.UpdateStatus.STATE_PAUSED
    web.update_status.message = "web.1 failed"
    web.update_status.started_at.CopyFrom(timestamp(1_800_000_060))
    web.spec.update.CopyFrom(builders.update_config(2, delay=10, goes_back=True, ratio=0.25))
    web.spec.rollback.CopyFrom(builders.update_config(0, monitor=1, start_first=True))
    daemon.on("GetService", web)
    result = cli("service", "inspect", "--pretty", "web")
    check_golden("cli/service_inspect_pretty.txt", result.out)
    both = cli("service", "inspect", "--pretty", "--format", "json", "web")
    assert (both.code, "exclude each other" in both.err) == (2, True)


def test_inspect_for_people_tells_where_tasks_may_run(
    cli: CommandLine, daemon: ScriptedDaemon
) -> None:
    web = service("web")
    placement = web.spec.task.placement
    placement.constraints.extend(["node.role==worker", "node.labels.a==x|node.labels.a==y"])
    placement.spread.append("node.labels.rack")
    placement.max_replicas_per_node = 2
    web.spec.task.resources.reservations.generic.add(kind="gpu", count=2)
    daemon.on("GetService", web)
    rows = dict(
        line.split(":", 1) for line in cli("service", "inspect", "--pretty", "web").out.splitlines()
    )
    shown = {name: value.strip() for name, value in rows.items()}
    assert shown["Constraints"] == "node.role==worker, node.labels.a==x|node.labels.a==y"
    assert shown["Preferences"] == "spread=node.labels.rack"
    assert shown["Max Replicas Per Node"] == "2"
    assert shown["Reserve Generic"] == "gpu=2"


def test_inspect_of_a_job_for_people(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    job = service("job")
    job.spec.replicated_job.total_completions = 5
    job.job_status.iteration = 2
    job.job_status.last_execution.CopyFrom(timestamp(1_800_000_060))
    daemon.on("GetService", job)
    result = cli("service", "inspect", "--pretty", "job")
    check_golden("cli/service_inspect_pretty_job.txt", result.out)


def test_a_global_jobs_total_is_what_is_done_and_what_is_to_do(
    cli: CommandLine, daemon: ScriptedDaemon
) -> None:
    job = service("job")
    job.spec.global_job.SetInParent()
    answer = control_pb2.ListServicesResponse(services=[job])
    answer.counts[job.id].CopyFrom(control_pb2.ServiceCounts(running=1, desired=2, completed=3))
    daemon.on("ListServices", answer)
    result = cli("service", "ls", "--format", "{{.Mode}} {{.Replicas}}")
    assert result.out == "global job 1/2 (3/5 completed)\n"


def test_an_unknown_mode_is_an_error(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    result = cli("service", "ls", "--filter", "mode=job")
    assert (result.code, daemon.asked("ListServices")) == (2, [])
    assert "use one of replicated, global, replicated-job, global-job" in " ".join(
        result.err.split()
    )


def test_removing_goes_on_with_the_others(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    daemon.on("RemoveService", control_pb2.RemoveResponse(), MISSING, control_pb2.RemoveResponse())
    result = cli("service", "rm", "web", "gone", "db")
    assert (result.code, result.out) == (1, "web\ndb\n")
    assert result.err == "swarmctl: there is no service gone\n"
    assert len({each.request_id for each in daemon.asked("RemoveService")}) == 3


def test_task_inspect(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    task = builders.task("t1", desired=types_pb2.TASK_STATE_SHUTDOWN)
    daemon.on("GetTask", task, SwarmError(Code.NOT_FOUND, "there is no task t2"))
    result = cli("task", "inspect", "t1", "t2")
    assert (result.code, result.err) == (1, "swarmctl: there is no task t2\n")
    assert json.loads(result.out)[0]["DesiredState"] == "shutdown"
