"""`swarmctl lab up` with real daemons: a swarm, its registry, and the way to it."""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from hostkit import process
from machine.drivers.lab import naming
from machine.drivers.lab.driver import LabDriver

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(shutil.which("docker-registry") is None, reason="needs docker-registry"),
]

NAME = f"s{os.getpid()}"
Tool = Callable[..., Awaitable[process.Completed]]


@pytest.fixture
def swarmctl(tmp_path: Path) -> Iterator[Tool]:
    """The command line with a configuration of its own; what it brings up is taken down."""
    environment = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path), "SWARM_LAB": NAME}

    async def tool(*words: str, check: bool = True) -> process.Completed:
        argv = [sys.executable, "-m", "swarmctl", *words]
        root = Path(__file__).parents[2]
        return await process.run(argv, timeout=100, check=check, env=environment, cwd=root)

    yield tool
    if (naming.DEFAULT_BASE / NAME).exists():
        asyncio.run(LabDriver.open(NAME).down())


def test_a_lab_comes_up_as_a_swarm_with_contexts_and_images(swarmctl: Tool) -> None:
    async def scenario() -> None:
        up = await swarmctl("lab", "up", "--workers", "1")
        assert up.text.split() == [f"{NAME}/m1", f"{NAME}/w1"]
        assert await _nodes(swarmctl, f"{NAME}/m1") == {"m1": "Ready", "w1": "Ready"}
        again = await swarmctl("lab", "up", "--workers", "1")
        assert b"is up already" in again.err

        inside = await swarmctl("lab", "exec", "m1", "--", "swarmctl", "node", "ls", "-q")
        assert len(inside.text.split()) == 2, "inside a host the host's own daemon is spoken to"

        fetch = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1]).read().decode())"
        url = f"http://{naming.REGISTRY}:{naming.REGISTRY_PORT}/v2/_catalog"
        listing = await swarmctl("lab", "exec", "w1", "--", sys.executable, "-c", fetch, url)
        assert json.loads(listing.text) == {
            "repositories": ["demo/checked", "demo/tools", "demo/web"]
        }

        await swarmctl("lab", "down")
        gone = await swarmctl("--context", f"{NAME}/m1", "node", "ls", check=False)
        assert gone.code == 1
        assert b"there is no context" in gone.err

    asyncio.run(scenario())


def test_a_half_formed_swarm_is_gone_on_with(swarmctl: Tool) -> None:
    async def scenario() -> None:
        await swarmctl("lab", "up", "--workers", "1", "--up-only", "--no-registry")
        await swarmctl("--host", _socket("m1"), "swarm", "init", "--advertise-addr", "eth0")
        await swarmctl("lab", "kill", "w1")
        await swarmctl("lab", "up", "--workers", "1", "--no-registry")
        assert await _nodes(swarmctl, f"{NAME}/m1") == {"m1": "Ready", "w1": "Ready"}

    asyncio.run(scenario())


def _socket(host: str) -> str:
    return f"unix://{LabDriver.open(NAME).host(host).paths.swarm_socket}"


async def _nodes(swarmctl: Tool, context: str) -> dict[str, str]:
    listing = await swarmctl(
        "--context", context, "node", "ls", "--format", "{{.Hostname}} {{.Status}}"
    )
    words = listing.text.split()
    return dict(zip(words[::2], words[1::2], strict=True))
