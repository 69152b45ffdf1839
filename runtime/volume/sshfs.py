"""The driver sshfs: a folder of any host that lets one in by SSH, served by a process.

When the connection breaks, the mount is dead, and so are the containers that use it: there is no
reconnecting behind their back, since what they had written might be lost. Files have no locks that
hold between hosts: see `sshfs_options`.
"""

import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from api.errors import SwarmError
from hostkit.clock import Clock
from hostkit.process import run
from runtime.volume import connect, mounting, sshfs_options
from runtime.volume.definitions import Definitions, known
from runtime.volume.driver import Capabilities, Known, Mounted, Place, Scope, Volume
from runtime.volume.unsupported import no_fence, no_program

NAME = "sshfs"
_CONTAINED = "contain_symlinks"
_DEADLINE = 30.0


async def links() -> list[str]:
    """The option that lets links be as they are, where this sshfs would refuse those that are
    absolute: who follows them is in a container, where they lead nowhere else.
    """
    told = await run(["sshfs", "--help"], timeout=_DEADLINE, check=False)
    return [f"no_{_CONTAINED}"] if _CONTAINED.encode() in told.out + told.err else []


class SshfsDriver:
    """VolumeDriver over sshfs; `root`: where it notes what it was told to make."""

    name = NAME

    def __init__(self, root: Path, clock: Clock) -> None:
        self._volumes = Definitions(NAME, root, clock)

    async def capabilities(self) -> Capabilities:
        """See VolumeDriver."""
        for program, package in (("sshfs", "sshfs"), ("ssh", "openssh-client")):
            if shutil.which(program) is None:
                raise no_program(NAME, program, package)
        return Capabilities(Scope.GLOBAL, ends_with_process=True)

    async def create(self, volume: Volume) -> None:
        """See VolumeDriver. The folder there is its owner's affair."""
        sshfs_options.check(self._volumes.whole(volume))
        if volume.options or self._volumes.find(volume.name) is None:
            self._volumes.keep(volume)

    async def remove(self, volume: Volume) -> None:
        """See VolumeDriver. Nothing of the storage is deleted."""
        shutil.rmtree(self._volumes.folder(volume.name), ignore_errors=True)

    async def mount(self, volume: Volume, place: Place) -> Mounted:
        """See VolumeDriver."""
        whole = self._volumes.whole(volume)
        program = shlex.join([sys.executable, "-I", "-S", connect.__file__])
        server = sshfs_options.server(whole, program, await links())
        command = [word.replace("{target}", str(place.target)) for word in server.command]
        try:
            pid = await place.keeper.serve(
                replace(server, command=command), place.target, _DEADLINE
            )
        except SwarmError as error:
            raise SwarmError(
                error.code,
                f"volume {volume.name} cannot be mounted: {whole.options['sshcmd']} by sshfs",
                why=error.why,
                remedy="try it on that host: ssh, with the same user and key",
            ) from None
        return Mounted(place.target, pid)

    async def unmount(self, volume: Volume, place: Place) -> None:
        """See VolumeDriver."""
        await mounting.unmount(place.target)

    async def get(self, name: str) -> Known:
        """See VolumeDriver."""
        return known(self._volumes.get(name), None)

    async def list(self) -> Sequence[Known]:
        """See VolumeDriver."""
        return [known(each, None) for each in self._volumes.every()]

    async def fence(self, volume: Volume, host_id: str) -> None:
        """See VolumeDriver."""
        raise no_fence(NAME, "nothing here may tell the SSH server to forget a key")
