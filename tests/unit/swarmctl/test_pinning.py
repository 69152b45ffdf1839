"""Asking a registry in a manager's name: with the user of the service, and never for long."""

import asyncio
import base64
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.errors import SwarmError
from api.v1 import specs_pb2
from hostkit import clock
from runtime.image.auth import Credentials
from runtime.image.build import build_layout
from runtime.image.registry import RegistryOptions
from swarmctl.pinning import Pinning
from tests.support.images import ImageSource, file_tree
from tests.support.scripted_registry import ScriptedRegistry, bearer, serving

ANN = Credentials("ann", "s3cret")


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[ScriptedRegistry]:
    source = ImageSource((file_tree(tmp_path / "tree", {"a": "b"}),), {"Cmd": ["sh"]})
    asyncio.run(build_layout(tmp_path / "layout", [source], reference="team/app:1"))
    with serving() as started:
        started.add_layout(tmp_path / "layout", "1")
        yield started


def ask(image: str, registry_auth: str = "") -> specs_pb2.PinnedImage:
    async def run() -> specs_pb2.PinnedImage:
        pinning = Pinning(RegistryOptions(), clock.wall)
        try:
            return await pinning.ask(image, registry_auth)
        finally:
            pinning.close()

    return asyncio.run(run())


def auth(password: str) -> str:
    login = {"username": "ann", "password": password}
    return base64.b64encode(json.dumps(login).encode()).decode()


def test_an_image_is_pinned(registry: ScriptedRegistry) -> None:
    image = f"{registry.address}/team/app:1"
    found = ask(image)
    assert found.reference.startswith(f"{image}@sha256:")
    assert [each.os for each in found.platforms] == ["linux"]


def test_the_user_of_the_service_is_told_to_the_registry(registry: ScriptedRegistry) -> None:
    image = f"{registry.address}/team/app:1"
    registry.rules.append(bearer(registry.address, value="t", user=ANN.basic()))
    assert ask(image, auth("s3cret")).reference.startswith(image)
    for wrong in ("", auth("other")):
        with pytest.raises(SwarmError, match="gives no token"):
            ask(image, wrong)


def test_nobody_answers() -> None:
    with pytest.raises(SwarmError):
        ask("127.0.0.1:1/team/app:1")


def test_names_that_nobody_resolves_hold_up_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with a name server that is away: the daemon's own threads are not those that wait."""
    answers = threading.Event()
    resolve = socket.getaddrinfo

    def silent(host: str, *args: Any, **kwargs: Any) -> Any:
        if host == "registry.example":
            answers.wait()
            raise socket.gaierror("nobody")
        return resolve(host, *args, **kwargs)

    async def run() -> None:
        pinning = Pinning(RegistryOptions(), clock.wall)
        asking = [asyncio.create_task(pinning.ask("registry.example/app:1", "")) for _ in range(50)]
        try:
            await asyncio.sleep(0)
            assert await asyncio.gather(*(asyncio.to_thread(int) for _ in range(50))) == [0] * 50
            for each in asking:
                each.cancel()
        finally:
            answers.set()
            pinning.close()

    monkeypatch.setattr(socket, "getaddrinfo", silent)
    asyncio.run(run())
