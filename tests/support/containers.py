"""A box of real containers on a busybox image, for tests of what runs them."""

import asyncio
import dataclasses
import os
import shutil
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from api import new_ids
from api.v1 import specs_pb2
from hostkit import cgroup, clock, mount
from runtime.conmon_driver import LOG_LIMIT, ConmonDriver
from runtime.driver import ContainerRequest, ExitResult, LogLine
from tests.support.log_pieces import whole_lines

Scenario = Callable[[ConmonDriver], Awaitable[Any]]


def make_request(*command: str, **changes: Any) -> ContainerRequest:
    """A request for a busybox container; `changes`: fields of the request or of its spec."""
    fields = {field.name for field in dataclasses.fields(ContainerRequest)} - {"spec"}
    spec = {name: value for name, value in changes.items() if name not in fields}
    given = {name: value for name, value in changes.items() if name in fields}
    base = ContainerRequest(
        id=new_ids.new_id(),
        name="test",
        spec=specs_pb2.ContainerSpec(command=command, **spec),
        resources=specs_pb2.ResourceRequirements(),
        image_config={},
        layers=(),
        hostname="box",
        network="none",
        labels={},
    )
    return dataclasses.replace(base, **given)


def make_layer(layer: Path) -> Path:
    """Fills a layer with busybox under every name it has, a passwd and a group file."""
    programs = layer / "bin"
    programs.mkdir()
    shutil.copy("/usr/bin/busybox", programs / "busybox")
    names = subprocess.run(
        [programs / "busybox", "--list"], check=True, capture_output=True, text=True
    ).stdout.split()
    for name in names:
        if name != "busybox":
            os.symlink("busybox", programs / name)
    (layer / "etc").mkdir()
    (layer / "tmp").mkdir(mode=0o1777)
    (layer / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\napp:x:1001:1002::/home/app:\n")
    (layer / "etc/group").write_text("root:x:0:\napp:x:1002:\nextra:x:44:app\n")
    layer.chmod(0o755)
    return layer


class Box:
    """Directories for drivers, whose containers are all gone when the test ends."""

    def __init__(self, state_dir: Path, run_dir: Path, layer: Path) -> None:
        self.state_dir = state_dir
        self.run_dir = run_dir
        self.layer = layer
        self.cgroup_parent = f"/test-{run_dir.name}"

    def driver(self, log_limit: int = LOG_LIMIT) -> ConmonDriver:
        return ConmonDriver(
            state_dir=self.state_dir,
            run_dir=self.run_dir,
            cgroup_parent=self.cgroup_parent,
            clock=clock.wall,
            log_limit=log_limit,
        )

    def run(self, scenario: Scenario, *, log_limit: int = LOG_LIMIT, leave: bool = False) -> Any:
        """Runs a scenario against a driver that has recovered; `leave`: its containers live on."""

        async def all_of_it() -> Any:
            driver = self.driver(log_limit)
            try:
                await driver.recover()
                return await scenario(driver)
            finally:
                if not leave:
                    states = await driver.list()
                    await asyncio.gather(*(driver.remove(state.id) for state in states))
                await driver.close()

        return asyncio.run(all_of_it())

    def request(self, *command: str, **changes: Any) -> ContainerRequest:
        return make_request(*command, **({"layers": (self.layer,)} | changes))

    def shell(self, script: str, **changes: Any) -> ContainerRequest:
        return self.request("sh", "-c", script, **changes)

    def output(self, request: ContainerRequest) -> tuple[ExitResult, list[str]]:
        """Runs one container to its end: how it ended, and its lines."""

        async def scenario(driver: ConmonDriver) -> tuple[ExitResult, list[str]]:
            return await run_to_end(driver, request)

        found: tuple[ExitResult, list[str]] = self.run(scenario)
        return found

    def leftovers(self) -> list[Path]:
        """What should not be there once no container is."""
        found = list((self.state_dir / "containers").iterdir())
        for name in ("exits", "oci", "s", "l"):
            found += (self.run_dir / name).iterdir()
        found += mount.mount_points(self.state_dir)
        for root in cgroup.detect().roots:
            found += root.glob(f"{self.cgroup_parent[1:]}*")
        return found


async def run_to_end(
    driver: ConmonDriver, request: ContainerRequest
) -> tuple[ExitResult, list[str]]:
    await driver.create(request)
    await driver.start(request.id)
    lines = [line async for line in driver.logs(request.id, follow=True)]
    result = await driver.wait(request.id)
    await driver.remove(request.id)
    return result, texts(lines)


def texts(lines: list[LogLine]) -> list[str]:
    return whole_lines(lines)
