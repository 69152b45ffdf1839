"""What strangers may say to the service: each body gets an answer of the protocol."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.volume.driver import Known, Scope
from runtime.volume.plugin_server.service import PluginService, no_such_volume

VERBS = ("Create", "Remove", "Mount", "Unmount", "Path", "Get", "List", "Capabilities")
WORDS = st.sampled_from(("Name", "ID", "Opts")) | st.text(max_size=3)
VALUES = st.text(max_size=5) | st.integers() | st.none() | st.dictionaries(WORDS, st.text())


class Empty:
    """A driver without volumes."""

    async def create(self, name: str, options: Mapping[str, str]) -> None:
        pass

    async def remove(self, name: str) -> None:
        raise no_such_volume(name)

    async def mount(self, name: str, id: str) -> Path:
        raise no_such_volume(name)

    async def unmount(self, name: str, id: str) -> None:
        raise no_such_volume(name)

    async def every(self) -> Sequence[Known]:
        return ()


def ask(path: str, body: bytes | object) -> tuple[int, dict[str, Any]]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    status, answered = asyncio.run(PluginService(Empty(), Scope.GLOBAL).answer(path, data))
    return status, json.loads(answered)


def test_the_handshake() -> None:
    assert ask("/Plugin.Activate", b"") == (200, {"Err": "", "Implements": ["VolumeDriver"]})
    said = ask("/VolumeDriver.Capabilities", {})
    assert said == (200, {"Err": "", "Capabilities": {"Scope": "global"}})


@pytest.mark.parametrize("verb", ["Remove", "Mount", "Unmount", "Path", "Get"])
def test_a_volume_that_is_not_there_is_told_in_words_that_clients_know(verb: str) -> None:
    status, said = ask(f"/VolumeDriver.{verb}", {"Name": "data", "ID": "c1"})
    assert (status, said) == (200, {"Err": "no such volume: data"})


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"Name": 1},
        {"Name": ""},
        {"Name": "../etc", "ID": "c1"},
        {"Name": "a/b", "ID": "c1"},
        {"Name": "x" * 300, "ID": "c1"},
        {"Name": "data"},
        {"Name": "data", "ID": ""},
        {"Name": "data", "ID": "a:b"},
    ],
)
def test_a_mount_has_a_name_and_an_id(asked: object) -> None:
    status, said = ask("/VolumeDriver.Mount", asked)
    assert status == 200
    assert said["Err"].startswith(("Name: ", "ID: "))


@pytest.mark.parametrize("options", [[1], {"a": 1}, "x", {str(n): "" for n in range(300)}])
def test_options_are_texts(options: object) -> None:
    _, said = ask("/VolumeDriver.Create", {"Name": "data", "Opts": options})
    assert said["Err"].startswith("Opts: ")


def test_other_calls_are_not_found() -> None:
    assert ask("/VolumeDriver.Explode", {})[0] == 404
    assert ask("/", {})[0] == 404


@settings(deadline=None)
@given(
    st.sampled_from(VERBS),
    st.binary(max_size=50) | st.dictionaries(WORDS, VALUES) | st.lists(VALUES, max_size=2),
)
def test_every_body_gets_an_answer(verb: str, body: Any) -> None:
    status, said = ask(f"/VolumeDriver.{verb}", body)
    assert status in (200, 400)
    assert isinstance(said["Err"], str)
