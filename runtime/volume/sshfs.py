"""The driver sshfs: a folder of any host that lets one in by SSH, served by a process.

When the connection breaks, the mount is dead, and so are the containers that use it: there is no
reconnecting behind their back, since what they had written might be lost. Files have no locks that
hold between hosts: see `sshfs_options`.
"""

import shlex
import shutil
import sys
from dataclasses import replace

from api.errors import SwarmError
from hostkit.process import run
from runtime.volume import connect, sshfs_options
from runtime.volume.driver import Capabilities, Mounted, Place, Scope, Volume
from runtime.volume.shared import SharedDriver
from runtime.volume.unsupported import no_program

NAME = "sshfs"
_CONTAINED = "contain_symlinks"
_DEADLINE = 30.0


async def links() -> list[str]:
    """The option that lets links be as they are, where this sshfs would refuse those that are
    absolute: who follows them is in a container, where they lead nowhere else.
    """
    told = await run(["sshfs", "--help"], timeout=_DEADLINE, check=False)
    return [f"no_{_CONTAINED}"] if _CONTAINED.encode() in told.out + told.err else []


class SshfsDriver(SharedDriver):
    """VolumeDriver over sshfs."""

    name = NAME
    unfenced = "nothing here may tell the SSH server to forget a key"

    async def capabilities(self) -> Capabilities:
        """See VolumeDriver."""
        for program, package in (("sshfs", "sshfs"), ("ssh", "openssh-client")):
            if shutil.which(program) is None:
                raise no_program(NAME, program, package)
        return Capabilities(Scope.GLOBAL, ends_with_process=True)

    def check(self, volume: Volume) -> None:
        """See SharedDriver."""
        sshfs_options.check(volume)

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
