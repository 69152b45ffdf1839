"""What a lock says of its holder."""

import json
import re
import threading
from pathlib import Path

import pytest

from api.errors import SwarmError
from machine.store.lock import held, holder, told

_SAID = {"who": "alice", "host": "desk", "pid": 7, "doing": "upgrading it", "since": 1_700_000_000}


def test_the_holder_is_told() -> None:
    text = told(json.dumps(_SAID).encode())
    assert re.fullmatch(r"alice on desk is upgrading it since \d\d:\d\d \(pid 7\)", text)


@pytest.mark.parametrize(
    "content", [b"", b"x", b"[]", b"{}", json.dumps(_SAID | {"since": 1e300}).encode()]
)
def test_a_holder_that_has_not_said_yet(content: bytes) -> None:
    assert told(content) == "somebody is working on it"


def test_who_only_asks_for_the_holder_is_in_nobodys_way(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with held(path, "it", "making it", wall=lambda: 0.0):
        assert "is making it" in holder(path)
    asking = threading.Event()

    def ask() -> None:
        while not asking.is_set():
            holder(path)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        for _ in range(200):
            with held(path, "it", "changing it", wall=lambda: 0.0):
                pass
    finally:
        asking.set()
        thread.join()


def test_a_holder_is_named_to_those_who_come_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with (
        held(path, "machine h1", "making it", wall=lambda: 0.0),
        pytest.raises(SwarmError, match="machine h1 is in use"),
        held(path, "machine h1", "removing it", wall=lambda: 0.0),
    ):
        pass
