"""Tables, templates and documents."""

import pytest

from api.errors import SwarmError
from api.times import duration, timestamp
from api.v1 import objects_pb2, specs_pb2, types_pb2
from swarmctl.cli import templates
from swarmctl.cli.documents import document
from swarmctl.cli.render import Listing, inspect, pretty, shortened, table

LISTING = Listing(columns=(("ID", "ID"), ("Name", "NAME")), quiet="ID", more=(("Extra", "EXTRA"),))
ROWS = [{"ID": "a1", "Name": "web", "Extra": "x"}, {"ID": "b2", "Name": "database", "Extra": "y"}]


@pytest.mark.parametrize(
    ("form", "quiet", "text"),
    [
        ("table", False, "ID        NAME\na1        web\nb2        database\n"),
        ("table", True, "a1\nb2\n"),
        ("{{.Name}}: {{.Extra}}", False, "web: x\ndatabase: y\n"),
        (r"table {{.Name}}\t{{.ID}}", False, "NAME       ID\nweb        a1\ndatabase   b2\n"),
        (
            "json",
            False,
            '{"ID": "a1", "Name": "web", "Extra": "x"}\n'
            '{"ID": "b2", "Name": "database", "Extra": "y"}\n',
        ),
    ],
)
def test_a_list_in_each_form(form: str, quiet: bool, text: str) -> None:
    assert LISTING.render(ROWS, form, quiet=quiet) == text


def test_a_template_with_an_unknown_field_lists_the_known_ones() -> None:
    with pytest.raises(SwarmError, match="Known here are: ID, Name, Extra"):
        LISTING.check("{{.Nam}}")


def test_an_empty_list_still_has_its_headings() -> None:
    assert LISTING.render([], "table") == "ID        NAME\n"


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert "\x1b" not in table(["A"], [["\x1b[31mred"]])


ROW = {"Name": "web", "Spec": {"Labels": {"a": "b"}, "Count": 3}, "Up": True, "List": ["x", "y"]}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{.Name}}", "web"),
        ("{{ .Spec.Count }}/{{.Up}}", "3/true"),
        ("{{json .Spec}}", '{"Labels": {"a": "b"}, "Count": 3}'),
        ("{{upper .Name}}", "WEB"),
        ("{{.Name | upper | lower}}", "web"),
        ('{{join .List ","}}', "x,y"),
        ("{{json (.Name)}}", None),
        ("{{println .Name}}", "web\n"),
        ("plain", "plain"),
        (r"{{.Name}}\t{{.Up}}\n", "web\ttrue\n"),
        (r'{{join .List "\n"}}', "x\ny"),
        (r'{{join .List "\\n"}}', r"x\ny"),
        ('{{"a}}b"}}', "a}}b"),
        ("{{.Name -}}  \n {{- .Up}}", "webtrue"),
        ("a {{- .Name -}} b", "awebb"),
        ("a }} b", "a }} b"),
        ("{{.Name", None),
        ("{{.Name}} {{.Up", None),
        ('{{"a}}', None),
        ("{{nothing .Name}}", None),
        ("{{}}", None),
        ("{{upper .Spec}}", None),
        ("{{.Name.More}}", None),
    ],
)
def test_templates(template: str, text: str | None) -> None:
    if text is None:
        with pytest.raises(SwarmError, match="the template is wrong"):
            templates.render(template, ROW)
    else:
        assert templates.render(template, ROW) == text


def test_a_document_reads_as_dockers() -> None:
    service = objects_pb2.Service(id="s1")
    service.meta.created_at.CopyFrom(timestamp(1_800_000_000))
    service.spec.annotations.name = "web"
    service.spec.annotations.labels["some_key"] = "value"
    service.spec.replicated.replicas = 2
    service.spec.task.container.stop_grace_period.CopyFrom(duration(10))
    service.spec.task.resources.limits.nano_cpus = 5
    service.spec.task.container.mounts.add(type=specs_pb2.Mount.TYPE_TMPFS, target="/t")
    service.spec.update.order = specs_pb2.UpdateConfig.ORDER_START_FIRST
    assert document(service) == {
        "ID": "s1",
        "CreatedAt": "2027-01-15T08:00:00.000000Z",
        "Spec": {
            "Name": "web",
            "Labels": {"some_key": "value"},
            "Task": {
                "Container": {
                    "StopGracePeriod": "10s",
                    "Mounts": [{"Type": "tmpfs", "Target": "/t"}],
                },
                "Resources": {"Limits": {"NanoCPUs": 5}},
            },
            "Replicated": {"Replicas": 2},
            "Update": {"Order": "start-first"},
        },
    }


def test_enums_are_words() -> None:
    task = objects_pb2.Task(desired_state=types_pb2.TASK_STATE_SHUTDOWN)
    assert document(task) == {"DesiredState": "shutdown"}
    node = objects_pb2.Node()
    node.status.state = types_pb2.NODE_STATE_READY
    assert document(node) == {"Status": {"State": "ready"}}


def test_inspect_is_an_array_or_a_template() -> None:
    assert inspect([{"ID": "a"}], "") == '[\n    {\n        "ID": "a"\n    }\n]\n'
    assert inspect([{"ID": "a"}, {"ID": "b"}], "{{.ID}}") == "a\nb\n"


def test_small_texts() -> None:
    assert shortened("abcdef", 4) == "abc…"
    assert shortened("abcdef", 4, full=True) == "abcdef"
    assert pretty([("ID", "a"), (" Name", "b"), ("Empty", "")]) == "ID:    a\n Name: b\nEmpty:\n"
