"""What a host keeps of its own containers and networks."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from api.errors import Code, SwarmError
from api.v1 import containers_pb2, network_pb2, objects_pb2
from worker.standalone.storage import LocalStorage, Saved, place_of

T = TypeVar("T")

BOX = containers_pb2.Container(id="c1")
FRONT = objects_pb2.Network(id="f")
HERE = network_pb2.NetworkEndpoint(network_id="f", task_id="c1")


def using(path: Path, scenario: Callable[[LocalStorage], Awaitable[T]]) -> T:
    async def whole() -> T:
        storage = LocalStorage(path)
        try:
            return await scenario(storage)
        finally:
            await storage.close()

    return asyncio.run(whole())


def load(path: Path) -> Saved:
    return using(path, lambda storage: storage.load())


def test_what_was_written_is_there_again(tmp_path: Path) -> None:
    file = tmp_path / "state" / "local.db"
    assert load(file) == Saved([], [], [])
    assert not file.exists()
    using(file, lambda storage: storage.write([BOX, FRONT, HERE]))
    assert load(file) == Saved([BOX], [FRONT], [HERE])
    assert file.stat().st_mode & 0o777 == 0o600
    changed = containers_pb2.Container(id="c1", ports=[])
    changed.spec.annotations.name = "box"
    using(file, lambda storage: storage.write([changed], [place_of(HERE), ("network", "none")]))
    assert load(file) == Saved([changed], [FRONT], [])


@pytest.mark.parametrize(
    "damage",
    ["PRAGMA user_version = 9", "UPDATE kept SET value = x'ff'", "UPDATE kept SET kind = 'x'"],
)
def test_what_cannot_be_read_is_refused(tmp_path: Path, damage: str) -> None:
    file = tmp_path / "local.db"
    using(file, lambda storage: storage.write([BOX]))
    with sqlite3.connect(file) as db:
        db.execute(damage)
    with pytest.raises(SwarmError, match="cannot be read") as caught:
        load(file)
    assert caught.value.code is Code.REFUSED


def test_a_disk_that_refuses_is_told(tmp_path: Path) -> None:
    file = tmp_path / "local.db"
    file.mkdir()
    with pytest.raises(SwarmError, match="could not be written") as caught:
        using(file, lambda storage: storage.write([BOX]))
    assert caught.value.code is Code.UNAVAILABLE
