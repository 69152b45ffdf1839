"""A task gets its files, filled in for itself, or waits and says for which."""

from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from api.files import Key, Place
from api.payloads import Content
from api.placeholders import NodeFacts
from api.v1 import objects_pb2, specs_pb2, types_pb2
from worker.executor import TemporaryError
from worker.task_files import TaskFile, gather, mounts

Mount = specs_pb2.Mount
NODE = NodeFacts("n1", "box", types_pb2.Platform(os="linux", architecture="x86_64"))
CONTENTS: dict[Key, Content] = {
    ("secret", "1"): Content(b"hidden"),
    ("config", "1"): Content(b"{{shown}}"),
}


def task() -> objects_pb2.Task:
    made = objects_pb2.Task(id="t", service_name="web", slot=2)
    made.spec.container.env.append("AT={{.Node.Hostname}}")
    made.spec.container.secrets.add(source="db", id="1", uid="7", mode=0o400)
    made.spec.container.configs.add(source="app", target="/etc/app", id="1")
    return made


def with_template(text: bytes) -> dict[Key, Content]:
    return {**CONTENTS, ("config", "1"): Content(text, "golang")}


def test_contents_go_to_where_the_references_say() -> None:
    assert gather(task(), CONTENTS, NODE) == [
        TaskFile("secret-0", Place("/run/secrets/db", 7, 0, 0o400), b"hidden"),
        TaskFile("config-0", Place("/etc/app", 0, 0, 0o444), b"{{shown}}"),
    ]


def test_templates_are_filled_in_with_what_the_task_is_and_has() -> None:
    text = b'{{.Service.Name}}.{{.Task.Slot}} {{env "AT"}} {{secret "db"}} {{config "/etc/app"}}'
    secret, config = gather(task(), with_template(text), NODE)
    assert secret.data == b"hidden"
    assert config.data == b"web.2 box hidden " + text


def test_what_is_missing_is_waited_for_by_name() -> None:
    with pytest.raises(TemporaryError) as missing:
        gather(task(), {("secret", "1"): Content(b""), ("config", "2"): Content(b"")}, NODE)
    assert missing.value.what == "config app is not on this node yet"


def test_a_template_that_asks_for_what_the_task_has_not_says_so_without_its_text() -> None:
    with pytest.raises(SwarmError) as wrong:
        gather(task(), with_template(b'pass phrase {{secret "other"}}'), NODE)
    error = wrong.value
    assert (error.code, isinstance(error, TemporaryError)) == (Code.INVALID, False)
    assert error.what == "the template of config app cannot be filled in"
    assert error.why == "secret: the task has no secret with that target; known are: db"
    assert "pass phrase" not in repr(error)


def test_no_contents_show_in_what_is_logged() -> None:
    assert "hidden" not in repr(gather(task(), CONTENTS, NODE))
    assert "hidden" not in repr(CONTENTS)


def test_files_are_mounted_read_only() -> None:
    assert mounts(gather(task(), CONTENTS, NODE), Path("/run/x")) == [
        Mount(source="/run/x/secret-0", target="/run/secrets/db", read_only=True),
        Mount(source="/run/x/config-0", target="/etc/app", read_only=True),
    ]
