"""The driver nfs: an export of an NFS server, mounted by the kernel.

The kernel goes on writing what is in its cache after every process is dead, and no process of ours
ends that. So a volume of it is never one that a single host may write at a time: NFS keeps order
among many writers by itself, with locks that hold between hosts.
"""

import re
from collections.abc import Mapping

from api.errors import Code, SwarmError, invalid
from runtime.volume import mounting
from runtime.volume.driver import Access, Capabilities, Mounted, Place, Scope, Volume
from runtime.volume.shared import SharedDriver

NAME = "nfs"
_KEYS = ("share", "o")
_SHARE = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9][A-Za-z0-9_.-]*):(/[^\0\n]*)")
_OPTIONS = re.compile(r"[A-Za-z0-9_.=:,-]*")


class NfsDriver(SharedDriver):
    """VolumeDriver over mount(8) and the kernel's NFS client."""

    name = NAME
    _has_looked = False
    unfenced = "nothing here may tell the NFS server to refuse a host"

    async def capabilities(self) -> Capabilities:
        """See VolumeDriver."""
        found = await mounting.has_file_system(NAME, load=not self._has_looked)
        self._has_looked = True
        if not found:
            raise SwarmError(
                Code.UNAVAILABLE,
                "driver nfs does not work on this host",
                why="its kernel has no NFS client",
            )
        return Capabilities(Scope.GLOBAL)

    def check(self, volume: Volume) -> None:
        """See SharedDriver."""
        words(volume.options)
        if volume.access is Access.SINGLE_WRITER and not volume.read_only:
            raise invalid(
                "access",
                "driver nfs cannot promise that one host writes at a time",
                why="the kernel goes on writing after the lease of a host is over",
                remedy="use --access many-writers: NFS has locks that hold between hosts",
            )

    async def mount(self, volume: Volume, place: Place) -> Mounted:
        """See VolumeDriver."""
        whole = self._volumes.whole(volume)
        access = ["-r"] if volume.read_only else []
        await mounting.mount([*access, *words(whole.options)], place.target)
        return Mounted(place.target)


def words(options: Mapping[str, str]) -> list[str]:
    """What mount(8) is told, but for the target; INVALID."""
    for key in options:
        if key not in _KEYS:
            raise invalid(
                "driver_options",
                f"driver nfs has no option {key!r}",
                remedy="it knows share=HOST:/EXPORT, and o as of mount",
            )
    share = options.get("share", "")
    if not _SHARE.fullmatch(share):
        raise invalid(
            "driver_options", "where the files are is missing", remedy="say share=HOST:/EXPORT"
        )
    more = options.get("o", "")
    if not _OPTIONS.fullmatch(more):
        raise invalid("driver_options", f"o={more!r} are no options of mount")
    return ["-t", NAME, *(["-o", more] if more else []), "--", share]
