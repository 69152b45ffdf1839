"""Events as lines, JSON and templates."""

import json

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from api.errors import SwarmError
from api.v1 import events_pb2
from swarmctl.cli.event_lines import check, line

EVENT = events_pb2.Event(
    at=Timestamp(seconds=1_800_000_000, nanos=1_002_003),
    type="service",
    action="update",
    id="8a7",
    attributes={"replicas.old": "1", "name": "web", "replicas.new": "3"},
    position=events_pb2.EventPosition(index=7, sequence=2),
)


def test_a_line_is_dockers() -> None:
    assert line(EVENT, "") == (
        "2027-01-15T08:00:00.001002003Z service update 8a7"
        " (name=web, replicas.new=3, replicas.old=1)"
    )


def test_without_attributes_there_are_no_brackets() -> None:
    assert line(events_pb2.Event(type="node", action="create", id="n"), "").endswith(
        "Z node create n"
    )


def test_what_a_task_says_draws_nothing_on_the_terminal() -> None:
    event = events_pb2.Event(attributes={"error": "\x1b[2Jgone\nagain"})
    assert line(event, "").endswith("(error= [2Jgone again)")


@pytest.mark.parametrize("form", ["json", "{{json .}}"])
def test_json_is_dockers_with_the_place_in_the_log(form: str) -> None:
    shown = line(EVENT, form)
    assert "\n" not in shown
    assert json.loads(shown) == {
        "Type": "service",
        "Action": "update",
        "Actor": {
            "ID": "8a7",
            "Attributes": {"name": "web", "replicas.new": "3", "replicas.old": "1"},
        },
        "scope": "swarm",
        "time": 1_800_000_000,
        "timeNano": 1_800_000_000_001_002_003,
        "index": 7,
    }


@pytest.mark.parametrize(
    ("form", "shown"),
    [
        ("{{.Type}}={{.Action}}", "service=update"),
        ("{{.Actor.ID}} {{.Actor.Attributes.name}}", "8a7 web"),
        ("{{.Actor.Attributes.exitCode}}|{{.Scope}}", "|swarm"),
        ("{{.Time}} {{.TimeNano}} {{.Index}}", "1800000000 1800000000001002003 7"),
        ("{{upper .Type}}", "SERVICE"),
    ],
)
def test_templates_name_fields_as_in_docker(form: str, shown: str) -> None:
    check(form)
    assert line(EVENT, form) == shown


def test_a_template_with_an_unknown_field_is_refused() -> None:
    with pytest.raises(SwarmError, match="no field 'Colour'"):
        check("{{.Colour}}")
    check("")
    check("json")
