"""Runs one command in a running container, without terminal or input, to see whether it succeeds.

It has what the container's own process has: user, environment, directory, capabilities, seccomp
filter, control groups. It never outlives its time limit, nor its caller: it is killed then with all
that it brought forth, by the next daemon if this one is killed. Of its output only the beginning is
kept.
"""

import asyncio
import contextlib
import json
import logging
import os
import subprocess
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from hostkit import pidfd, process_tree
from hostkit.clock import Clock
from runtime.health import NO_CODE, ProbeResult
from runtime.layout import ContainerPaths
from runtime.oci import OciRuntime

log = logging.getLogger(__name__)

OUTPUT_LIMIT = 4096
"""Bytes kept of what a probe says, on both of its streams together."""
AT_ONCE = 32
"""Probes under way: a bound on processes and memory. Not few, for one that hangs keeps its place
until its time is out.
"""

_FILE = "/proc/self/fd/"
_PIECE = 65536
_DEATH_GRACE = 5.0


class Probes:
    """The probes of one driver, so many at a time. `wall` is a wall clock."""

    def __init__(self, wall: Clock) -> None:
        self._wall = wall
        self._places = asyncio.Semaphore(AT_ONCE)

    async def run(
        self, runtime: OciRuntime, paths: ContainerPaths, command: Sequence[str], timeout: float
    ) -> ProbeResult:
        """Runs a command in the container of `paths`, for `timeout` seconds at most."""
        async with self._places:
            return await _probe(runtime, paths, command, timeout, self._wall())


def end_orphans(containers: Collection[str]) -> None:
    """Kills the probes in these containers that a killed daemon has left. Blocking."""
    for entry in os.scandir("/proc"):
        if not entry.name.isdecimal():
            continue
        with contextlib.suppress(OSError):
            words = Path(entry.path, "cmdline").read_bytes().decode(errors="replace").split("\0")
            process = pidfd.identify(int(entry.name))
            if process is not None and _container_of(words) in containers:
                log.warning("a health probe of container %s is killed", _container_of(words))
                process_tree.kill(process, _DEATH_GRACE)


async def _probe(
    runtime: OciRuntime, paths: ContainerPaths, command: Sequence[str], timeout: float, began: float
) -> ProbeResult:
    try:
        config = json.loads(await asyncio.to_thread(paths.config.read_bytes))
        running = _Running(runtime, paths.bundle.name, _process_of(config, command))
    except (OSError, ValueError) as error:
        return ProbeResult(began, NO_CODE, f"the probe cannot be run: {error}")
    try:
        await asyncio.wait({running.ended}, timeout=timeout)
        late = "" if running.ended.done() else f"\nno answer within {timeout:g} s"
    finally:
        code = await running.close()
    output = bytes(running.output).decode(errors="replace")
    return ProbeResult(began, NO_CODE if late else code, output + late)


class _Running:
    """The runtime's process, which lives as long as the command does. OSError if it cannot be."""

    def __init__(self, runtime: OciRuntime, id: str, process: Mapping[str, Any]) -> None:
        self.output = bytearray()
        loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[None] = loop.create_future()
        with contextlib.ExitStack() as opened:
            read, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
            opened.callback(os.close, read)
            with os.fdopen(write, "wb") as output, _file_of(process) as file:
                os.set_blocking(write, True)  # the command's end, which is another's file to it
                self._child = subprocess.Popen(
                    _command(runtime, id, file.fileno()),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    pass_fds=(file.fileno(),),
                    start_new_session=True,
                )
            try:
                self._pidfd = os.pidfd_open(self._child.pid)
            except OSError:
                _put_down(self._child)
                raise
            opened.callback(os.close, self._pidfd)
            self._read = read
            self._files = opened.pop_all()
        loop.add_reader(self._read, self._take)
        loop.add_reader(self._pidfd, self._end)

    async def close(self) -> int:
        """Kills what still runs; the exit code, which means nothing then."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._pidfd)
        try:
            if self._child.poll() is None:
                await asyncio.shield(asyncio.to_thread(_put_down, self._child))
            self._take()
        finally:
            loop.remove_reader(self._read)
            self._files.close()
        return NO_CODE if self._child.returncode is None else self._child.returncode

    def _take(self) -> None:
        """Reads what there is, so that nobody waits for room, and keeps the beginning."""
        try:
            piece = os.read(self._read, _PIECE)
        except BlockingIOError:
            return
        self.output += piece[: OUTPUT_LIMIT - len(self.output)]
        if not piece:
            asyncio.get_running_loop().remove_reader(self._read)

    def _end(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


def _process_of(config: Mapping[str, Any], command: Sequence[str]) -> dict[str, Any]:
    """The container's own process, but for what it runs."""
    return dict(config["process"]) | {"args": list(command), "terminal": False}


def _command(runtime: OciRuntime, id: str, file: int) -> list[str]:
    start = [str(runtime.binary), *runtime.global_arguments]
    return [*start, "exec", "--process", f"{_FILE}{file}", id]


def _container_of(words: Sequence[str]) -> str:
    """The container that a command line probes, if it is one of `_command`."""
    match words:
        case [*_, "exec", "--process", path, id, ""] if path.startswith(_FILE):
            return id
    return ""


@contextlib.contextmanager
def _file_of(process: Mapping[str, Any]) -> Iterator[BinaryIO]:
    """In memory: a full disk is no reason for a container to be called unhealthy."""
    with os.fdopen(os.memfd_create("process"), "wb") as file:
        file.write(json.dumps(process).encode())
        file.flush()
        yield file


def _put_down(child: subprocess.Popen[bytes]) -> None:
    process = pidfd.identify(child.pid)
    if process is not None and not process_tree.kill(process, _DEATH_GRACE):
        log.warning("a health probe, process %d, does not die", child.pid)
        return
    child.wait()
