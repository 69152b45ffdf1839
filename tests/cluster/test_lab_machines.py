"""`machine create -d lab`: hosts of namespaces as machines, from their making to their end."""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from hostkit import cgroup, netns, process
from machine.drivers.lab import naming
from machine.drivers.lab.driver import LabDriver

pytestmark = pytest.mark.cluster

NAME = f"v{os.getpid()}"
Tool = Callable[..., Awaitable[process.Completed]]


def traces() -> list[str]:
    """What this machine still has of the lab."""
    found = [str(path) for path in netns.DIRECTORY.glob(f"swl-{NAME}*")]
    for root in cgroup.detect().roots:
        found += [str(path) for path in root.glob(f"lab-{NAME}*")]
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    found += [line for line in mounts if f"/{NAME}/" in line]
    return found + [str(path) for path in naming.DEFAULT_BASE.glob(NAME)]


@pytest.fixture
def swarmctl(tmp_path: Path) -> Iterator[Tool]:
    """The command line of an operator with a store of his own; his lab is taken down."""
    own = {
        "SWARM_MACHINE_STORAGE_PATH": str(tmp_path / "store"),
        "XDG_CONFIG_HOME": str(tmp_path),
        "LAB_NAME": NAME,
    }

    async def tool(*words: str, check: bool = True) -> process.Completed:
        argv = [sys.executable, "-m", "swarmctl", *words]
        root = Path(__file__).parents[2]
        return await process.run(argv, timeout=200, check=check, env=os.environ | own, cwd=root)

    yield tool
    if (naming.DEFAULT_BASE / NAME).exists():
        asyncio.run(LabDriver.open(NAME).down())


async def rows(swarmctl: Tool) -> dict[str, dict[str, str]]:
    listed = await swarmctl("machine", "ls", "-t", "30s", "--format", "json")
    return {row["Name"]: row for row in map(json.loads, listed.text.splitlines())}


async def answers(swarmctl: Tool, name: str) -> None:
    """Until its daemon does: it has just been started."""
    async with asyncio.timeout(100):
        while True:
            if (await swarmctl("machine", "version", name, check=False)).code == 0:
                return
            await asyncio.sleep(0.5)


async def become(seen: Callable[[], Awaitable[list[str]]], wanted: list[str]) -> None:
    """Until that is seen: a node that has just joined has yet to tell its name, and to be heard."""
    async with asyncio.timeout(100):
        while await seen() != wanted:  # noqa: ASYNC110 - daemons tell nobody here
            await asyncio.sleep(0.5)


@pytest.mark.timeout(600)
def test_two_machines_from_their_making_to_their_end(swarmctl: Tool) -> None:
    async def scenario() -> None:
        made = await swarmctl("machine", "create", "-d", "lab", "--label", "rack=a", "h1", "h2")
        assert set(made.text.split()) == {"h1", "h2"}
        seen = await rows(swarmctl)
        assert {row["State"] for row in seen.values()} == {"Running"}
        again = await swarmctl("machine", "provision", "h1", "h2")
        assert again.out.count(b"no changes") + again.err.count(b"no changes") == 2

        # A swarm of the two, each spoken to as `machine config` says.
        flags = {
            name: (await swarmctl("machine", "config", name)).text.split() for name in ("h1", "h2")
        }
        address = (await swarmctl("machine", "ip", "h1")).text
        await swarmctl(*flags["h1"], "swarm", "init", "--advertise-addr", address)
        token = await swarmctl(*flags["h1"], "swarm", "join-token", "-q", "worker")
        await swarmctl(*flags["h2"], "swarm", "join", "--token", token.text, f"{address}:2377")

        async def nodes() -> list[str]:
            names = await swarmctl(*flags["h1"], "node", "ls", "--format", "{{.Hostname}}")
            return sorted(names.text.split())

        async def roles() -> list[str]:
            seen = await rows(swarmctl)
            return [seen[name]["Swarm"] for name in ("h1", "h2")]

        await become(nodes, ["h1", "h2"])
        await become(roles, ["manager", "worker"])

        inside = await swarmctl("machine", "ssh", "h2", "hostname; exit 7", check=False)
        assert (inside.text, inside.code) == ("h2", 7)

        await swarmctl("machine", "kill", "h2")
        assert (await swarmctl("machine", "status", "h2")).text == "Stopped"
        away = await swarmctl("machine", "ssh", "h2", "true", check=False)
        assert b"machine start h2" in away.err
        await swarmctl("machine", "start", "h2")
        await answers(swarmctl, "h2")
        await swarmctl("machine", "stop", "h2")
        await swarmctl("machine", "restart", "h2")
        await answers(swarmctl, "h2")
        labels = await swarmctl(*flags["h2"], "system", "info", "--format", "json")
        assert "rack" in labels.text, "it came back with the settings that it was wished"

        await swarmctl("machine", "rm", "-y", "h2")
        assert list(await rows(swarmctl)) == ["h1"]
        assert (await swarmctl("machine", "status", "h1")).text == "Running"
        await swarmctl("machine", "rm", "-y", "h1")
        assert traces() == []

    asyncio.run(scenario())


@pytest.mark.timeout(300)
def test_what_is_wished_and_cannot_be_is_gone_on_with(swarmctl: Tool) -> None:
    async def scenario() -> None:
        bad = await swarmctl("machine", "create", "-d", "lab", "web-1", check=False)
        assert (bad.code, b"no name for a host" in bad.err) == (2, True)
        assert await rows(swarmctl) == {}
        refused = await swarmctl(
            "machine", "create", "-d", "lab", "--setting", "state_dir=/x", "h1", check=False
        )
        assert b"is the lab's" in refused.err
        assert "failed" in (await rows(swarmctl))["h1"]["Errors"]
        taken = await swarmctl("machine", "create", "-d", "lab", "h1", check=False)
        assert b"machine rm h1" in taken.err
        # The lab is taken down under it: what is left is forgotten all the same.
        await LabDriver.open(NAME).down()
        assert (await swarmctl("machine", "status", "h1")).text == "Stopped"
        await swarmctl("machine", "rm", "-y", "h1")
        assert traces() == []

    asyncio.run(scenario())
