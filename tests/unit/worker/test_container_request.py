"""What the container driver is asked for."""

from pathlib import Path

import pytest

from api.errors import SwarmError
from api.placeholders import NodeFacts
from api.states import RUNNING
from api.v1 import exec_pb2, objects_pb2, specs_pb2, types_pb2
from runtime.driver import ContainerRequest, ExecRequest, Fingerprint
from worker.container_request import (
    container_request,
    exec_request,
    filled_in,
    without_effect,
)

ID = "0123456789abcdefghijklmno"


def task(*networks: str, slot: int = 2) -> objects_pb2.Task:
    made = objects_pb2.Task(
        id=ID, service_id="sid", service_name="web", node_id="nid", slot=slot, desired_state=RUNNING
    )
    made.spec.container.image = "app:1"
    made.spec.container.labels["mine"] = "1"
    for network in networks:
        made.spec.networks.add(target=network)
    return made


def request(given: objects_pb2.Task, *files: specs_pb2.Mount) -> ContainerRequest:
    node = NodeFacts("nid", "box", types_pb2.Platform(os="linux", architecture="x86_64"))
    return container_request(
        given,
        filled_in(given, node),
        image_id="sha256:1",
        image_config={"os": "linux"},
        layers=(Path("/layer"),),
        node=node,
        files=files,
    )


def test_names_and_labels_are_dockers() -> None:
    given = task()
    given.spec.container.labels["com.docker.swarm.task.id"] = "forged"
    found = request(given)
    assert (found.id, found.name, found.hostname) == (ID, f"web.2.{ID}", "0123456789ab")
    assert found.labels == {
        "mine": "1",
        "com.docker.swarm.node.id": "nid",
        "com.docker.swarm.service.id": "sid",
        "com.docker.swarm.service.name": "web",
        "com.docker.swarm.task": "",
        "com.docker.swarm.task.id": ID,
        "com.docker.swarm.task.name": f"web.2.{ID}",
        "swarm.image.id": "sha256:1",
    }
    assert (found.image_config, found.layers) == ({"os": "linux"}, (Path("/layer"),))
    assert (found.spec, found.resources) == (given.spec.container, given.spec.resources)


def test_a_global_task_is_named_after_its_node() -> None:
    assert request(task(slot=0)).name == f"web.nid.{ID}"


def test_the_environment_tells_what_the_task_was_given() -> None:
    given = task()
    given.spec.container.env.append("A=1")
    given.assigned_generic.add(kind="gpu", ids=["u1", "u2"])
    assert list(request(given).spec.env) == ["A=1", "DOCKER_RESOURCE_GPU=u1,u2"]
    assert list(given.spec.container.env) == ["A=1"]


def test_a_hostname_of_its_own() -> None:
    given = task("host")
    assert request(given).hostname == "box"
    given.spec.container.hostname = "db"
    assert request(given).hostname == "db"


@pytest.mark.parametrize(
    ("networks", "expected"), [((), "none"), (("none",), "none"), (("host",), "host")]
)
def test_network(networks: tuple[str, ...], expected: str) -> None:
    assert request(task(*networks)).network == expected


@pytest.mark.parametrize("networks", [("web",), ("host", "web"), ("web", "none")])
def test_a_network_that_is_not_there_is_named(networks: tuple[str, ...]) -> None:
    with pytest.raises(SwarmError, match="network web is not available"):
        request(task(*networks))


def test_a_command_without_a_size_has_a_usual_one() -> None:
    start = exec_pb2.ExecStart(task_id="t", command=["sh"], tty=True, env=["A=1"])
    assert exec_request(start) == ExecRequest(("sh",), tty=True, env=("A=1",), rows=24, columns=80)
    start.size.CopyFrom(exec_pb2.WindowSize(rows=3, columns=4))
    sized = exec_request(start)
    assert (sized.rows, sized.columns) == (3, 4)


def test_placeholders_are_filled_in_with_what_the_node_is() -> None:
    given = task()
    container = given.spec.container
    container.hostname = "{{.Service.Name}}-{{.Task.Slot}}"
    container.env.append("WHERE={{.Node.ID}} {{.Node.Hostname}} {{.Node.Platform.Architecture}}")
    container.mounts.add(source="/srv/{{.Task.Name}}", target="/srv")
    found = request(given)
    assert (found.hostname, found.spec.hostname) == ("web-2", "web-2")
    assert list(found.spec.env) == ["WHERE=nid box x86_64"]
    assert found.spec.mounts[0].source == f"/srv/web.2.{ID}"
    assert given.spec.container.hostname == "{{.Service.Name}}-{{.Task.Slot}}"


def test_a_placeholder_that_means_nothing_here_is_refused() -> None:
    given = task()
    given.spec.container.env.append("A={{.Service.Labels.tier}}")
    with pytest.raises(SwarmError, match="there is no tier"):
        request(given)


def test_in_mounts_of_files_nothing_is_a_placeholder() -> None:
    given = task()
    given.spec.container.hostname = "{{.Task.Slot}}"
    file = specs_pb2.Mount(source="/f/secret-0", target="/{{name}}", read_only=True)
    found = request(given, file)
    assert (found.spec.hostname, list(found.spec.mounts)) == ("2", [file])
    assert not given.spec.container.mounts


@pytest.mark.parametrize(
    ("version", "swappiness", "told"),
    [(1, 60, False), (2, 60, True), (2, 0, True), (2, None, False)],
)
def test_what_has_no_effect_on_a_host_is_told(
    version: int, swappiness: int | None, told: bool
) -> None:
    spec = specs_pb2.TaskSpec()
    if swappiness is not None:
        spec.container.memory_swappiness = swappiness
    found = without_effect(spec, Fingerprint("crun 1", version, ()))
    assert [each.partition(":")[0] for each in found] == ["memory swappiness has no effect"] * told
