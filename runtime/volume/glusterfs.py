"""The driver glusterfs: a volume of a Gluster cluster, or a folder of one, served by a process.

Its locks hold between hosts. A socket outlives its process: what a client that is killed has not
sent yet is sent by the kernel, for as long as TCP tries. So that this is no longer than the margin
of a lease, the connections to the bricks have a time-out of the kernel, after which a client that
lives connects anew.
"""

import re
import shutil
from collections.abc import Mapping, Sequence

from api.errors import SwarmError, invalid
from runtime.volume.driver import Capabilities, Mounted, Place, Scope, Server, Volume
from runtime.volume.shared import SharedDriver
from runtime.volume.unsupported import no_program

NAME = "glusterfs"
_KEYS = ("servers", "volname", "subdir")
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]*")
_VOLUME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_FOLDER = re.compile(r"(/[A-Za-z0-9_.-]+)*")
_DEADLINE = 30.0
_UNANSWERED = 1
"""Seconds after which a brick that acknowledges nothing counts as lost (TCP_USER_TIMEOUT): the
shortest margin of a lease.
"""


class GlusterDriver(SharedDriver):
    """VolumeDriver over Gluster's FUSE client."""

    name = NAME
    unfenced = "nothing here may tell the bricks to refuse a host"

    async def capabilities(self) -> Capabilities:
        """See VolumeDriver."""
        if shutil.which(NAME) is None:
            raise no_program(NAME, NAME, "glusterfs-client")
        return Capabilities(Scope.GLOBAL, ends_with_process=True)

    def check(self, volume: Volume) -> None:
        """See SharedDriver."""
        command(volume.options)

    async def mount(self, volume: Volume, place: Place) -> Mounted:
        """See VolumeDriver."""
        words = command(self._volumes.whole(volume).options)
        if volume.read_only:
            words.append("--read-only")
        try:
            pid = await place.keeper.serve(
                Server([*words, str(place.target)]), place.target, _DEADLINE
            )
        except SwarmError as error:
            raise SwarmError(
                error.code,
                f"volume {volume.name} cannot be mounted by glusterfs",
                why=error.why,
                remedy="look whether the volume is started: gluster volume info",
            ) from None
        return Mounted(place.target, pid)


def command(options: Mapping[str, str]) -> list[str]:
    """The client's command, but for the target; INVALID."""
    for key in options:
        if key not in _KEYS:
            raise invalid(
                "driver_options",
                f"driver glusterfs has no option {key!r}",
                remedy=f"it knows {', '.join(_KEYS)}",
            )
    hosts = _hosts(options.get("servers", ""))
    name, folder = options.get("volname", ""), options.get("subdir", "").rstrip("/")
    if not _VOLUME.fullmatch(name):
        raise invalid("driver_options", "the volume is missing", remedy="say volname=NAME")
    if not _FOLDER.fullmatch(folder) or ".." in folder.split("/"):
        raise invalid("driver_options", f"subdir {folder!r} is no absolute path")
    words = [NAME, "--no-daemon", "--log-file=/dev/stderr", "--log-level=ERROR"]
    words.append(f"--xlator-option=*-client-*.transport.tcp-user-timeout={_UNANSWERED}")
    words += [f"--volfile-server={host}" for host in hosts] + [f"--volfile-id=/{name}"]
    return [*words, f"--subdir-mount={folder}"] if folder else words


def _hosts(text: str) -> Sequence[str]:
    found = [each for each in text.split(",") if each]
    if not found or not all(_HOST.fullmatch(each) for each in found):
        raise invalid("driver_options", "the servers are missing", remedy="say servers=HOST,HOST")
    return found
