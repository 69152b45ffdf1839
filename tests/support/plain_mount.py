"""A driver of volumes whose mounts are served by a process, without any network: sshfs joined to an
SFTP server that it starts itself. And a host of volumes over it.
"""

import contextlib
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from api.new_ids import new_id
from hostkit import cgroup, mount
from hostkit.clock import wall
from runtime.record import boot_id
from runtime.volume import mounting
from runtime.volume.driver import Capabilities, Known, Mounted, Place, Scope, Server, Volume
from runtime.volume.drivers import Drivers
from runtime.volume.host import VolumeHost
from runtime.volume.local import LocalDriver
from runtime.volume.sshfs import links
from tests.support.ssh_server import SFTP
from tests.support.until import until_true


class PlainMount:
    """VolumeDriver of name `plain`: each volume is a folder below `root`. A folder called `missing`
    cannot be mounted, one called `slow` takes for ever.
    """

    name = "plain"

    def __init__(self, root: Path) -> None:
        self.root = root

    async def capabilities(self) -> Capabilities:
        return Capabilities(Scope.GLOBAL, ends_with_process=True)

    async def create(self, volume: Volume) -> None:
        (self.root / volume.name).mkdir(exist_ok=True, parents=True)

    async def remove(self, volume: Volume) -> None:
        return

    async def mount(self, volume: Volume, place: Place) -> Mounted:
        source = self.root / volume.name
        options = ",".join(["passive", "allow_other", "default_permissions", *await links()])
        command = ["sshfs", "-f", f"x:{source}", str(place.target), "-o", options]
        if volume.block:  # what takes the place of a device here is a folder
            place.target.mkdir()
        if volume.name == "missing":
            command = ["false"]
        limit = 30.0
        if volume.name == "slow":
            command, limit = ["sleep", "600"], 1.0
        pid = await place.keeper.serve(Server(command, (SFTP,)), place.target, limit)
        return Mounted(place.target, pid)

    async def unmount(self, volume: Volume, place: Place) -> None:
        await mounting.unmount(place.target)

    async def get(self, name: str) -> Known:
        return Known(name)

    async def list(self) -> Sequence[Known]:
        return []

    async def fence(self, volume: Volume, host_id: str) -> None:
        raise NotImplementedError


class VolumeBox:
    """Folders for hosts of volumes that follow each other, as daemons do."""

    def __init__(self, root: Path, group: str = "") -> None:
        self.root = root
        self.group = group or f"/test-volumes-{os.getpid()}"

    @property
    def storage(self) -> Path:
        return self.root / "storage"

    def host(self) -> VolumeHost:
        drivers = Drivers([LocalDriver(self.root / "volumes", wall), PlainMount(self.storage)])
        return VolumeHost(
            state=self.root,
            run=self.root / "v",
            group=f"{self.group}/guardians",
            drivers=drivers,
            cgroup_of=self.cgroup_of,
            ids=new_id,
            wall=wall,
            boot_id=boot_id(),
        )

    def cgroup_of(self, container: str) -> str:
        return f"{self.group}/{container}"

    @contextlib.asynccontextmanager
    async def recovered(self, *alive: str) -> AsyncIterator[VolumeHost]:
        """A host that went on with what there was; these containers run."""
        host = self.host()
        try:
            await host.recover(alive, alive)
            yield host
        finally:
            await host.close()

    def mounts(self) -> list[Path]:
        """What is mounted."""
        return mount.mount_points(self.root)

    def guardians(self) -> set[int]:
        """The guardians that live, without their servers and starters."""
        group = cgroup.processes(cgroup.detect(), f"{self.group}/guardians")
        return {pid for pid in group if name_of(pid) == "swarm-guardian"}

    def clear(self) -> None:
        """Whatever is left."""
        for group in ("guardians", "c1", "c2"):
            assert cgroup.kill(cgroup.detect(), f"{self.group}/{group}", 20.0)
        for point in self.mounts():
            mount.unmount(point)
        until_true(lambda: cgroup.remove(cgroup.detect(), self.group), "the groups are gone")


def name_of(pid: int) -> str:
    """What a process calls itself.

    Empty for one that is about to end: its memory goes before its socket is closed, by which
    others hear of its end, and its name and its place in the group go last.
    """
    try:
        os.readlink(f"/proc/{pid}/exe")
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""
