"""A task gets its files, or waits and says for which."""

from pathlib import Path

import pytest

from api.files import Key, Place
from api.v1 import objects_pb2, specs_pb2
from worker.executor import TemporaryError
from worker.task_files import TaskFile, gather, with_mounts

Mount = specs_pb2.Mount
CONTENTS: dict[Key, bytes] = {("secret", "1"): b"hidden", ("config", "1"): b"shown"}


def task() -> objects_pb2.Task:
    made = objects_pb2.Task(id="t")
    made.spec.container.mounts.add(type=Mount.TYPE_TMPFS, target="/tmp")
    made.spec.container.secrets.add(source="db", id="1", uid="7", mode=0o400)
    made.spec.container.configs.add(source="app", target="/etc/app", id="1")
    return made


def test_contents_go_to_where_the_references_say() -> None:
    assert gather(task(), CONTENTS) == [
        TaskFile("secret-0", Place("/run/secrets/db", 7, 0, 0o400), b"hidden"),
        TaskFile("config-0", Place("/etc/app", 0, 0, 0o444), b"shown"),
    ]


def test_what_is_missing_is_waited_for_by_name() -> None:
    with pytest.raises(TemporaryError) as missing:
        gather(task(), {("secret", "1"): b"hidden", ("config", "2"): b"other"})
    assert missing.value.what == "config app is not on this node yet"


def test_no_contents_show_in_what_is_logged() -> None:
    assert "hidden" not in repr(gather(task(), CONTENTS))


def test_files_are_mounted_read_only_beside_other_mounts() -> None:
    given = task()
    mounted = with_mounts(given, gather(given, CONTENTS), Path("/run/x"))
    assert list(mounted.spec.container.mounts) == [
        Mount(type=Mount.TYPE_TMPFS, target="/tmp"),
        Mount(source="/run/x/secret-0", target="/run/secrets/db", read_only=True),
        Mount(source="/run/x/config-0", target="/etc/app", read_only=True),
    ]
    assert given == task()
