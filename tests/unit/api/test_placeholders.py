"""Where placeholders stand in a spec, and what they mean for a task on a node."""

import pytest

from api.errors import SwarmError
from api.placeholders import NodeFacts, expanded, specimen, values_of
from api.v1 import objects_pb2, specs_pb2, types_pb2

NODE = NodeFacts("n1", "box", types_pb2.Platform(os="linux", architecture="x86_64"))


def spec(**fields: object) -> specs_pb2.ServiceSpec:
    made = specs_pb2.ServiceSpec()
    made.annotations.name = "web"
    made.annotations.labels["tier"] = "front"
    made.task.container.MergeFrom(specs_pb2.ContainerSpec(image="app:1", **fields))  # type: ignore[arg-type]
    return made


def task(slot: int) -> objects_pb2.Task:
    return objects_pb2.Task(
        id="t1",
        service_id="s1",
        service_name="web",
        service_labels={"tier": "front"},
        slot=slot,
        node_id="n1",
    )


def test_what_a_task_of_a_slot_may_say() -> None:
    assert values_of(task(2), NODE) == {
        "Service": {"ID": "s1", "Name": "web", "Labels": {"tier": "front"}},
        "Node": {
            "ID": "n1",
            "Hostname": "box",
            "Platform": {"Architecture": "x86_64", "OS": "linux"},
        },
        "Task": {"ID": "t1", "Name": "web.2.t1", "Slot": "2"},
    }


def test_the_slot_of_a_global_task_is_its_node() -> None:
    assert values_of(task(0), NODE)["Task"] == {"ID": "t1", "Name": "web.n1.t1", "Slot": "n1"}


def test_a_spec_without_placeholders_is_left_alone() -> None:
    plain = spec(env=["A=1"], hostname="web")
    assert specimen(plain) is plain
    assert expanded(plain.task.container, {}) is plain.task.container


def test_only_the_value_of_a_variable_is_filled_in() -> None:
    given = spec(env=["{{.A}}={{.Task.Slot}}", "ALONE"]).task.container
    assert list(expanded(given, values_of(task(2), NODE)).env) == ["{{.A}}=2", "ALONE"]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"hostname": "{{.Task}}"}, "task.container.hostname"),
        ({"env": ["A=1", "B={{.Service.Labels.none}}"]}, "task.container.env[1]"),
        (
            {"mounts": [specs_pb2.Mount(target="/a"), specs_pb2.Mount(source="{{x}}")]},
            "task.container.mounts[1].source",
        ),
        ({"mounts": [specs_pb2.Mount(target="/{{")]}, "task.container.mounts[0].target"),
    ],
)
def test_the_field_of_a_wrong_placeholder_is_named(fields: dict[str, object], field: str) -> None:
    with pytest.raises(SwarmError) as refused:
        specimen(spec(**fields))
    assert refused.value.field == field


def test_labels_of_the_service_are_known_before_there_is_a_task() -> None:
    made = specimen(spec(env=['A={{index .Service.Labels "tier"}}'], hostname="{{.Node.Hostname}}"))
    assert (list(made.task.container.env), made.task.container.hostname) == (["A=front"], "node")
