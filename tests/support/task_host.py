"""A host that runs tasks for real: containers, an image store, and an image in a registry."""

import dataclasses
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from api.new_ids import new_id
from api.states import ASSIGNED, RUNNING
from api.v1 import objects_pb2
from hostkit import clock
from runtime.conmon_driver import ConmonDriver
from runtime.image.registry import RegistryOptions
from runtime.image.store import ImageStore
from tests.support.containers import Box
from worker.container import ContainerExecutor
from worker.node_networks import TaskNetworks
from worker.node_volumes import TaskVolumes

Scenario = Callable[[ContainerExecutor], Awaitable[Any]]
OBEYS = ("sh", "-c", "trap 'exit 3' TERM; echo up; while :; do sleep 0.01; done")
"""A command that says when it is up, and ends with 3 when it is asked to."""


@dataclasses.dataclass
class Host:
    """A box for containers, an image store, and the name of an image in a registry."""

    box: Box
    images: Path
    reference: str

    def executor(
        self,
        driver: ConmonDriver,
        volumes: TaskVolumes | None = None,
        networks: TaskNetworks | None = None,
    ) -> ContainerExecutor:
        store = ImageStore(self.images, options=RegistryOptions(), clock=clock.wall)
        return ContainerExecutor(
            driver,
            store,
            files=self.files,
            version="1.2",
            labels={"disk": "ssd"},
            address="10.0.0.1",
            networks=networks,
            volumes=volumes,
        )

    @property
    def files(self) -> Path:
        return self.box.run_dir / "files"

    def run(self, scenario: Scenario, *, leave: bool = False) -> Any:
        return self.box.run(lambda driver: scenario(self.executor(driver)), leave=leave)

    def task(self, *command: str, **changes: Any) -> objects_pb2.Task:
        made = objects_pb2.Task(
            id=new_id(), service_id="s", service_name="web", slot=1, node_id="n"
        )
        made.spec.container.image = self.reference
        made.spec.container.command.extend(command)
        made.status.state = ASSIGNED
        made.desired_state = RUNNING
        for name, value in changes.items():
            setattr(made.spec.container, name, value)
        return made
