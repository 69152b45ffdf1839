"""A disk of a host's own: a small ext4 in a file, mounted over the host's state directory.

It may be filled, and it may fail as disks do: all writes end with EROFS from one moment on, files
that are open included, and what is under way in that moment mostly with EIO. It is mounted on this
machine, so that it outlives the host, and each host sees its own alone (boot.py).
"""

import asyncio
import errno
import os
from pathlib import Path

from api.errors import Code, SwarmError
from hostkit import process
from hostkit.mount import is_mounted, unmount
from machine.drivers.lab.naming import HostPaths

MINIMUM = 16
"""MiB of the smallest disk."""
_BALLAST = "ballast"
_CHUNK = 64 << 10
_TIMEOUT = 30.0
_STEP = 0.05
_STEPS = 400


async def attach(paths: HostPaths, size: int) -> None:
    """The disk, at its place and writable; made first if there is none. `size` in MiB.

    One that failed is not whole before everybody has let go of it, and a host that boots has a copy
    of all mounts for a moment. UNAVAILABLE if that does not end.
    """
    mounted = await asyncio.to_thread(is_mounted, paths.state)
    if mounted and await asyncio.to_thread(_is_writable, paths.state):
        return
    if not paths.disk.exists():
        await _make(paths.disk, size)
    for _ in range(_STEPS):
        why = await _mounted_anew(paths)
        if not why:
            paths.state.chmod(0o711)
            return
        await asyncio.sleep(_STEP)
    raise SwarmError(
        Code.UNAVAILABLE,
        f"the disk of host {paths.host} cannot be mounted",
        why=why,
        remedy=f"see who holds it: findmnt --task PID {paths.state}",
    )


async def detach(paths: HostPaths) -> None:
    """Take it away from its place; no error if it is not there."""
    await asyncio.to_thread(unmount, paths.state)


async def fill(paths: HostPaths) -> None:
    """Leave no byte on it, until `free`."""
    _check(paths)
    await asyncio.to_thread(_write_ballast, paths.state / _BALLAST)


async def free(paths: HostPaths) -> None:
    """Give back what `fill` took."""
    _check(paths)
    await asyncio.to_thread(_unlink, paths.state / _BALLAST)


async def fail(paths: HostPaths) -> None:
    """Let every write that begins from now on fail with EROFS, until the host's next start."""
    _check(paths)
    await process.run(["mount", "-o", "remount,abort", str(paths.state)], timeout=_TIMEOUT)


async def _mounted_anew(paths: HostPaths) -> str:
    """Why it is not at its place and writable; empty if it is."""
    await asyncio.to_thread(unmount, paths.state)
    command = ["mount", "-o", "loop", str(paths.disk), str(paths.state)]
    done = await process.run(command, timeout=_TIMEOUT, check=False)
    if done.code != 0:
        return done.err.decode(errors="replace").strip()
    return "" if await asyncio.to_thread(_is_writable, paths.state) else "it stays read-only"


async def _make(image: Path, size: int) -> None:
    fresh = image.with_suffix(".new")
    with fresh.open("wb") as file:
        file.truncate(size << 20)
    await process.run(["mkfs.ext4", "-q", "-F", "-m", "0", str(fresh)], timeout=_TIMEOUT)
    fresh.replace(image)


def _write_ballast(path: Path) -> None:
    """Chunks as long as they fit, then single bytes: the file system alone knows how many."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        for size in (_CHUNK, 1):
            try:
                while True:
                    os.write(handle, bytes(size))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
        os.fsync(handle)
    finally:
        os.close(handle)


def _unlink(path: Path) -> None:
    """For good: a disk that fails later must not have the ballast again."""
    path.unlink(missing_ok=True)
    handle = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _is_writable(directory: Path) -> bool:
    """By trying: kernels differ in how they show a file system that was given up."""
    probe = directory / ".probe"
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        if error.errno == errno.EROFS:
            return False
        if error.errno != errno.ENOSPC:
            raise
    return True


def _check(paths: HostPaths) -> None:
    if not is_mounted(paths.state):
        raise SwarmError(
            Code.REFUSED,
            f"host {paths.host} has no disk of its own",
            remedy="make a lab whose hosts have one: swarmctl lab up --disk MIB",
        )
