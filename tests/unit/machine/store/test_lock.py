"""What a lock says of its holder."""

import json
import re

import pytest

from machine.store.lock import told

_SAID = {"who": "alice", "host": "desk", "pid": 7, "doing": "upgrading it", "since": 1_700_000_000}


def test_the_holder_is_told() -> None:
    text = told(json.dumps(_SAID).encode())
    assert re.fullmatch(r"alice on desk is upgrading it since \d\d:\d\d \(pid 7\)", text)


@pytest.mark.parametrize(
    "content", [b"", b"x", b"[]", b"{}", json.dumps(_SAID | {"since": 1e300}).encode()]
)
def test_a_holder_that_has_not_said_yet(content: bytes) -> None:
    assert told(content) == "somebody is working on it"
