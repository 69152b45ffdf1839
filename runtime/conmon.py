"""Starts one conmon, the monitor that holds a container's pipes and takes its exit code.

It daemonises, so that container, log and exit code outlive whoever started it. Decides nothing
about what happens afterwards. Blocking: for worker threads.
"""

import contextlib
import json
import os
import select
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from hostkit import cgroup, pidfd
from runtime.layout import ContainerPaths, Layout
from runtime.oci import OciRuntime, last_words

_TIMEOUT = 60.0
_SYNC_LIMIT = 1 << 20


class ConmonError(Exception):
    """No container came of it; the text is the cause as the runtime or conmon put it."""


@dataclass(frozen=True)
class Launch:
    """What conmon must be told."""

    id: str
    name: str
    tty: bool
    stdin: bool
    log_limit: int  # bytes at which conmon itself cuts the log off; 0: never


@dataclass(frozen=True)
class Launched:
    """A container in state "created", and its monitor."""

    container: pidfd.ProcessId
    monitor: pidfd.ProcessId


def arguments(
    binary: Path, launch: Launch, runtime: OciRuntime, layout: Layout, paths: ContainerPaths
) -> list[str]:
    """conmon's command line."""
    found = [
        *(str(binary), "--api-version", "1"),
        *("-c", launch.id, "-u", launch.id, "-n", launch.name),
        *("-r", str(runtime.binary), "-b", str(paths.bundle)),
        *("-p", str(paths.pidfile), "-P", str(paths.conmon_pidfile)),
        *("-l", f"k8s-file:{paths.log}", "--no-sync-log", "--log-level", "warning"),
        *("--exit-dir", str(layout.exits), "--persist-dir", str(paths.persist)),
        *("--socket-dir-path", str(layout.sockets)),
    ]
    if launch.log_limit:
        found += ["--log-size-max", str(launch.log_limit)]
    if launch.tty:
        found.append("-t")
    if launch.stdin:
        found += ["-i", "--leave-stdin-open"]
    for argument in runtime.global_arguments:
        found.append(f"--runtime-arg={argument}")
    return found


def launch(command: list[str], paths: ContainerPaths, groups: list[Path]) -> Launched:
    """Runs conmon until the container is created; conmon itself is put into `groups`."""
    with contextlib.ExitStack() as stack:
        sync_read, sync_write = _pipe(stack)
        start_read, start_write = _pipe(stack)
        try:
            process = _spawn(command, paths, sync_write, start_read)
        except OSError as error:
            raise ConmonError(f"conmon cannot be run: {error}") from None
        sync_write.close()
        try:
            # It waits for the byte: nothing is forked before it is in its own group.
            cgroup.join(groups, process.pid)
            start_write.write(b"\0")
            answer = _read_line(sync_read)
        except OSError as error:
            process.kill()
            raise ConmonError(f"conmon cannot be started: {error}") from None
        finally:
            process.wait()  # it has forked the monitor and ended, or is killed
    return _created(answer, paths)


def find_monitor(paths: ContainerPaths, id: str) -> pidfd.ProcessId | None:
    """The running monitor of a container that has no record of it; None if there is none."""
    try:
        found = pidfd.identify(int(paths.conmon_pidfile.read_text()))
        if found is None:
            return None
        command = Path(f"/proc/{found.pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    return found if id.encode() in command else None  # the pid may be another's by now


def _pipe(stack: contextlib.ExitStack) -> tuple[BinaryIO, BinaryIO]:
    read, write = os.pipe()
    return (
        stack.enter_context(os.fdopen(read, "rb", buffering=0)),
        stack.enter_context(os.fdopen(write, "wb", buffering=0)),
    )


def _spawn(
    command: list[str], paths: ContainerPaths, sync: BinaryIO, start: BinaryIO
) -> subprocess.Popen[bytes]:
    with paths.conmon_errors.open("wb") as errors:
        return subprocess.Popen(
            command,
            cwd=paths.bundle,  # conmon drops an `oom` file where it stands
            env={
                "PATH": os.environ.get("PATH", os.defpath),
                "_OCI_SYNCPIPE": str(sync.fileno()),
                "_OCI_STARTPIPE": str(start.fileno()),
            },
            pass_fds=(sync.fileno(), start.fileno()),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
        )


def _read_line(pipe: BinaryIO) -> bytes:
    """One line, or what there is at the end of the stream; TimeoutError after a minute."""
    poller = select.poll()
    poller.register(pipe, select.POLLIN)
    found = b""
    while not found.endswith(b"\n") and len(found) < _SYNC_LIMIT:
        if not poller.poll(_TIMEOUT * 1000):
            raise TimeoutError(f"no answer within {_TIMEOUT:.0f} s")
        piece = pipe.read(65536)
        if not piece:
            break
        found += piece
    return found


def _created(answer: bytes, paths: ContainerPaths) -> Launched:
    try:
        message = json.loads(answer)
        pid = int(message["data"])
    except (ValueError, KeyError, TypeError):
        said = last_words(paths.conmon_errors.read_text(errors="replace"))
        raise ConmonError(said or "conmon ended without an answer") from None
    if pid < 0:
        raise ConmonError(last_words(str(message.get("message", ""))) or "no cause was given")
    container = pidfd.identify(pid)
    monitor = pidfd.identify(int(paths.conmon_pidfile.read_text()))
    if container is None or monitor is None:
        raise ConmonError("the container or its monitor died while it was created")
    return Launched(container, monitor)
