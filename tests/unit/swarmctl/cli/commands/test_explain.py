"""`task explain` and `service explain`: what people read, byte for byte; and every command that is
proposed is one that the command line takes.
"""

import json
from pathlib import Path

import pytest

from api import states
from api.new_ids import new_id
from api.times import timestamp
from api.v1 import control_pb2, explain_pb2, objects_pb2, specs_pb2
from manager.control.explain_service import explain_service
from manager.control.explain_task import explain_task
from manager.control.services import check_service
from manager.scheduler.decide import SchedulerLoop
from manager.state.changes import StoredObject, create
from swarmctl.cli import explanations
from tests.support.builders import CPU, DOWN, DRAIN, EPOCH, node, service, task, task_spec
from tests.support.command_line import CommandLine
from tests.support.golden import check_golden
from tests.support.loop_driver import LoopDriver
from tests.support.pieces import result_of
from tests.support.scripted_daemon import ScriptedDaemon
from tests.support.sealed_store import SealedStore


def hosts() -> list[objects_pb2.Node]:
    made = [node("w1", cpus=4), node("w2", cpus=2), node("w3", state=DOWN)]
    made[2].status.message = "heartbeat failure"
    made[0].spec.annotations.labels["rack"] = "a"
    made[1].spec.annotations.labels["rack"] = "b"
    return made


def wanting() -> specs_pb2.TaskSpec:
    spec = task_spec(cpus=3)
    spec.placement.constraints.append("node.labels.rack==b")
    return spec


def store_of(*objects: StoredObject) -> SealedStore:
    store = SealedStore()
    store.must(*map(create, objects), now=EPOCH)
    return store


def waits() -> explain_pb2.TaskExplanation:
    waiting = task("t2", slot=2, state=states.PENDING, spec=wanting())
    store = store_of(*hosts(), task("o", "db", node_id="w1", spec=task_spec(cpus=2.5)), waiting)
    return result_of(explain_task(store, waiting, 2, EPOCH))


def is_placed(task_id: str = "t1") -> explain_pb2.TaskExplanation:
    spec = task_spec()
    spec.placement.spread.append("node.labels.rack")
    there = [task("o", slot=5, node_id="w1"), task("p", "db", node_id="w2")]
    tasks = [task(f"t{n}", slot=n, state=states.PENDING, spec=spec) for n in (1, 2, 3)]
    driver = LoopDriver(SchedulerLoop(), *hosts(), *there, *tasks)
    driver.run()
    return result_of(explain_task(driver.store, driver.task(task_id), 0, EPOCH))


def of_a_service() -> explain_pb2.ServiceExplanation:
    spec = wanting()
    spec.placement.spread.append("node.labels.rack")
    subject = service(replicas=4, spec=spec, version=2)
    subject.update_status.state = objects_pb2.UpdateStatus.STATE_UPDATING
    subject.update_status.message = "update in progress"
    subject.update_status.started_at.CopyFrom(timestamp(EPOCH))
    stuck = [
        task(
            f"t{n}",
            slot=n,
            state=states.PENDING,
            spec=spec,
            version=2,
            start_after=EPOCH,
            error="no suitable node",
        )
        for n in (3, 4)
    ]
    store = store_of(
        *hosts(),
        subject,
        task("r1", slot=1, node_id="w2"),
        task("r2", slot=2, node_id="w2"),
        *stuck,
    )
    return result_of(explain_service(store, subject, EPOCH))


def of_a_global_service() -> explain_pb2.ServiceExplanation:
    drained = node("w4", availability=DRAIN)
    store = store_of(
        *hosts(),
        drained,
        service(mode="global"),
        task("t", slot=0, node_id="w1"),
        task("u", slot=0, node_id="w2"),
    )
    found = store.get(objects_pb2.Service, "web")
    assert found is not None
    return result_of(explain_service(store, found, EPOCH))


def test_a_task_that_waits(daemon: ScriptedDaemon, cli: CommandLine) -> None:
    daemon.on("ExplainTask", waits())
    check_golden("explain_waiting.txt", cli("task", "explain", "t2").out)


def test_a_task_that_was_placed() -> None:
    texts = [explanations.of_task(is_placed(name), EPOCH + 120) for name in ("t1", "t3")]
    check_golden("explain_placed.txt", "\n".join(texts))


def test_a_service(daemon: ScriptedDaemon, cli: CommandLine) -> None:
    daemon.on("ExplainService", of_a_service())
    check_golden("explain_service.txt", cli("service", "explain", "web").out)


def test_a_global_service(daemon: ScriptedDaemon, cli: CommandLine) -> None:
    daemon.on("ExplainService", of_a_global_service())
    check_golden("explain_global.txt", cli("service", "explain", "web").out)


def test_all_nodes_are_asked_for_with_all(daemon: ScriptedDaemon, cli: CommandLine) -> None:
    daemon.on("ExplainTask", waits())
    cli("task", "explain", "--all", "t2")
    cli("task", "explain", "t2")
    asked = [request.nodes for request in daemon.asked("ExplainTask")]
    assert asked == [explanations.MAX_NODES, 0]


def test_programs_get_json_and_templates(daemon: ScriptedDaemon, cli: CommandLine) -> None:
    daemon.on("ExplainTask", waits())
    daemon.on("ExplainService", of_a_service())
    (found,) = json.loads(cli("task", "explain", "--format", "json", "t2").out)
    assert found["Proposals"][0]["Steps"][0]["Text"]
    assert cli("task", "explain", "-f", "{{.TaskID}}", "t2").out == "t2\n"
    assert cli("service", "explain", "-f", "{{.Answer}}", "web").out.startswith("web: 2 of 4")
    assert cli("service", "explain", "-f", "{{.Nothing}}", "web").code == 2


LIMITED = task_spec()
LIMITED.resources.limits.nano_cpus = CPU
LIMITED.resources.limits.memory_bytes = 64 << 20
LIMITED.resources.pids_limit = 10


def held(kind: str) -> specs_pb2.TaskSpec:
    spec = task_spec()
    spec.resources.reservations.generic.add(kind=kind, count=2)
    return spec


def chosen(*texts: str, most: int = 0) -> specs_pb2.TaskSpec:
    spec = task_spec()
    spec.placement.constraints.extend(texts)
    spec.placement.max_replicas_per_node = most
    return spec


def with_gpu() -> objects_pb2.Node:
    made = node("w1")
    made.description.resources.generic.add(kind="gpu", count=1)
    return made


def with_label() -> objects_pb2.Node:
    made = node("w1")
    made.spec.annotations.labels["rack"] = "a"
    return made


@pytest.mark.parametrize(
    ("host", "spec"),
    [
        (node("w1"), task_spec(cpus=5)),
        (node("w1"), task_spec(memory=1 << 50)),
        (node("w1", memory=1000), task_spec(memory=1 << 30)),
        (node("w1"), chosen("node.hostname==else")),
        (node("w1"), chosen("node.role!=worker")),
        (node("w1"), chosen("node.labels.rack==A b")),
        (with_label(), chosen("node.labels.rack!=a")),
        (node("w1", availability=DRAIN), task_spec()),
        (node("w1"), held("gpu")),
        (with_gpu(), held("gpu")),
        (node("w1"), chosen(most=1)),
        (node("w1", missing=("cpu", "memory", "pids")), LIMITED),
    ],
)
def test_every_proposed_command_is_taken_and_makes_the_task_fit(
    tmp_path: Path,
    daemon: ScriptedDaemon,
    cli: CommandLine,
    host: objects_pb2.Node,
    spec: specs_pb2.TaskSpec,
) -> None:
    """As far as the objects go that it sends: another manager would write just these."""
    subject = service(spec=spec, replicas=2)
    waiting = task("t", state=states.PENDING, spec=spec)
    there = task("o", slot=2, node_id="w1")
    store = store_of(host, subject, there, waiting)
    kept: dict[str, StoredObject] = {"node": host, "service": subject}

    def update_service(request: control_pb2.UpdateServiceRequest) -> objects_pb2.Service:
        check_service(request.spec)
        kept["service"] = objects_pb2.Service(id="web", spec=request.spec)
        return objects_pb2.Service(id="web", spec=request.spec)

    def update_node(request: control_pb2.UpdateNodeRequest) -> objects_pb2.Node:
        changed = objects_pb2.Node()
        changed.CopyFrom(host)
        changed.spec.CopyFrom(request.spec)
        changed.role = request.spec.role
        kept["node"] = changed
        return changed

    daemon.on("GetService", subject)
    daemon.on("GetNode", host)
    daemon.on("ListNodes", control_pb2.ListNodesResponse(nodes=[host]))
    daemon.on("UpdateService", update_service)
    daemon.on("UpdateNode", update_node)
    proposals = result_of(explain_task(store, waiting, 0, EPOCH)).proposals
    steps = [step for step in proposals[0].steps if step.command]
    for step in steps:
        flags = ["--detach"] if step.command[0] == "service" else []
        said = cli(*step.command[:2], *flags, *step.command[2:])
        assert said.code == 0, said.err
    if not steps:
        assert "cgroup" in proposals[0].steps[0].text
        return
    after, changed = kept["service"], kept["node"]
    assert isinstance(after, objects_pb2.Service)
    driver = LoopDriver(
        SchedulerLoop(), changed, there, task(new_id(), state=states.PENDING, spec=after.spec.task)
    )
    driver.run()
    assert all(each.node_id == "w1" for each in driver.tasks())
