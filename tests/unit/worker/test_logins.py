"""Credentials are in no file of the node, and a task that had some is not pulled for without."""

import base64
import json

import pytest

from api.v1 import objects_pb2
from runtime.image.auth import Credentials
from worker.executor import TemporaryError
from worker.logins import for_the_disk, login_of

AUTH = base64.b64encode(json.dumps({"username": "ann", "password": "s3cret"}).encode()).decode()


def task(auth: str) -> objects_pb2.Task:
    made = objects_pb2.Task(id="t1")
    made.spec.container.image = "app:1"
    made.spec.container.registry_auth = auth
    return made


def test_a_task_without_credentials_is_kept_as_it_is() -> None:
    given = task("")
    assert for_the_disk(given) is given
    assert login_of(given.spec.container) is None


def test_credentials_are_used_and_not_kept() -> None:
    given = task(AUTH)
    kept = for_the_disk(given)
    assert AUTH.encode() not in kept.SerializeToString()
    assert login_of(given.spec.container) == Credentials("ann", "s3cret")


def test_what_was_read_back_waits_for_its_credentials() -> None:
    kept = for_the_disk(task(AUTH))
    assert for_the_disk(kept) == kept
    with pytest.raises(TemporaryError, match="They come again when this node reaches a manager"):
        login_of(kept.spec.container)
