"""Starts the OCI runtime's `exec`: pipes or a terminal, and a directory for what it leaves.

The runtime stays as the command's parent and ends with its exit code. Which process it is, is
noted, so that command and children can be ended even by a successor of this daemon.
Blocking: for worker threads.
"""

import contextlib
import errno
import fcntl
import json
import os
import pty
import select
import shutil
import signal
import socket
import struct
import subprocess
import termios
import tty
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from hostkit import pidfd
from runtime.driver import ExecRequest
from runtime.oci import OciRuntime, last_words

_TERMINAL_TIMEOUT = 30.0
CANNOT_RUN, NOT_FOUND = 126, 127
_NOT_FOUND_TEXTS = ("executable file", "no such file or directory")


@dataclass(frozen=True)
class ExecPaths:
    """The files of one command."""

    directory: Path

    @property
    def process(self) -> Path:
        """What is to be run."""
        return self.directory / "process.json"

    @property
    def pidfile(self) -> Path:
        """Pid of the command; only of one that could be run."""
        return self.directory / "pid"

    @property
    def log(self) -> Path:
        """What the runtime complains about."""
        return self.directory / "log"

    @property
    def runtime(self) -> Path:
        """Which process the runtime is."""
        return self.directory / "runtime.json"

    @property
    def terminal(self) -> Path:
        """The socket over which the runtime hands out the terminal."""
        return self.directory / "tty"


@dataclass(frozen=True)
class Spawned:
    """A runtime that is about to run its command, and our ends of what the command reads and
    writes. With a terminal all three are one descriptor. `stdin` None: it reads from nothing.
    """

    process: subprocess.Popen[bytes]
    paths: ExecPaths
    stdin: int | None
    stdout: int
    stderr: int
    relayed: bool  # the runtime passes the terminal's size on when it is told of a change


def spawn(
    runtime: OciRuntime,
    paths: ExecPaths,
    container_id: str,
    process: dict[str, Any],
    request: ExecRequest,
) -> Spawned:
    """Starts the command; on failure leaves nothing behind. OSError."""
    paths.directory.mkdir(mode=0o700)
    try:
        paths.process.write_text(json.dumps(process))
        command = [str(runtime.binary), *runtime.global_arguments]
        command += ["--log", str(paths.log), "--log-format", "json", "exec"]
        command += ["--process", str(paths.process), "--pid-file", str(paths.pidfile)]
        if not request.tty:
            found = _with_pipes([*command, container_id], paths, stdin=request.stdin)
        elif runtime.kind == "crun":
            found = _with_console_socket(command, container_id, paths)
        else:  # runc hands a terminal out only if it need not wait for the command
            found = _with_own_terminal([*command, container_id], paths, request)
        _note(found)
    except BaseException:
        remove(paths)
        raise
    return found


def failed_code(paths: ExecPaths) -> int | None:
    """126 or 127 if the command could not be run, as a shell says it; None if it was run."""
    try:
        text = last_words(paths.log.read_text(errors="replace")).lower()
    except OSError:
        text = ""
    if paths.pidfile.exists() or not text:
        return None
    found = _NOT_FOUND_TEXTS[0] in text or ("stat " in text and _NOT_FOUND_TEXTS[1] in text)
    return NOT_FOUND if found else CANNOT_RUN


def command_of(paths: ExecPaths) -> pidfd.ProcessId | None:
    """The command itself, while it runs; None before it does and after."""
    try:
        return pidfd.identify(int(paths.pidfile.read_text()))
    except (OSError, ValueError):
        return None


@dataclass(frozen=True)
class Running:
    """What of a command may have to be ended: the runtime, itself, and the group it is in."""

    runtime: int  # its pid and process group
    command: pidfd.ProcessId | None
    group: int  # the command's and its children's; 0: not known


def running(runtime: int, paths: ExecPaths) -> Running:
    """What runs now; the caller knows that the runtime has not been reaped."""
    command = command_of(paths)
    group = 0
    if command is not None:
        with contextlib.suppress(ProcessLookupError):
            group = os.getpgid(command.pid)
    return Running(runtime, command, group)


def end(found: Running, number: int) -> None:
    """Signals all of it; what is gone has got its wish.

    The runtime may have made the group by a process that is no more. If there is one again with
    that number, then it is somebody else's.
    """
    with contextlib.suppress(ProcessLookupError):
        os.killpg(found.runtime, number)
    if found.command is None or not found.group:
        return
    pidfd.send_signal(found.command, number)
    if found.group == found.runtime or pidfd.identify(found.group) not in (None, found.command):
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(found.group, number)


def sweep(commands: Path) -> None:
    """Ends what a former daemon left running, which nobody can read from any more."""
    for entry in os.scandir(commands):
        paths = ExecPaths(Path(entry.path))
        left = _noted(paths)
        if left is not None and pidfd.is_alive(left):
            end(running(left.pid, paths), signal.SIGKILL)
        remove(paths)


def remove(paths: ExecPaths) -> None:
    """Deletes the files of one command."""
    shutil.rmtree(paths.directory, ignore_errors=True)


def _note(spawned: Spawned) -> None:
    found = pidfd.identify(spawned.process.pid)
    if found is not None:
        spawned.paths.runtime.write_text(json.dumps(asdict(found)))


def _noted(paths: ExecPaths) -> pidfd.ProcessId | None:
    try:
        return pidfd.ProcessId(**json.loads(paths.runtime.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _with_pipes(command: list[str], paths: ExecPaths, *, stdin: bool) -> Spawned:
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        start_new_session=True,
    )
    ours = None if process.stdin is None else _kept(process.stdin)
    out, err = _kept(process.stdout), _kept(process.stderr)
    return Spawned(process, paths, ours, out, err, relayed=False)


def _kept(pipe: "IO[bytes] | None") -> int:
    """The descriptor alone, without Python's stream around it."""
    if pipe is None:
        raise AssertionError("it was asked for")
    with pipe:
        return os.dup(pipe.fileno())


def _with_console_socket(command: list[str], container_id: str, paths: ExecPaths) -> Spawned:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(paths.terminal))
        listener.listen(1)
        command = [*command, "--console-socket", str(paths.terminal), container_id]
        # It complains on the terminal; where it does not come to have one, in its log.
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            master = _received(listener, process)
        except BaseException:
            process.kill()
            process.wait()
            raise
    return Spawned(process, paths, master, master, master, relayed=False)


def _received(listener: socket.socket, process: subprocess.Popen[bytes]) -> int:
    """The terminal. Of a runtime that ends without one, an empty one that has ended too."""
    end = os.pidfd_open(process.pid)
    try:
        poller = select.poll()
        poller.register(listener, select.POLLIN)
        poller.register(end, select.POLLIN)
        ready = dict(poller.poll(_TERMINAL_TIMEOUT * 1000))
    finally:
        os.close(end)
    if not ready:
        raise TimeoutError(errno.ETIMEDOUT, "the runtime handed out no terminal in time")
    if listener.fileno() not in ready:
        ours, theirs = socket.socketpair()
        theirs.close()
        return ours.detach()
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(_TERMINAL_TIMEOUT)
        _, descriptors, _, _ = socket.recv_fds(connection, 4096, 1)
    if not descriptors:
        raise OSError(errno.EPROTO, "the runtime handed out no terminal")
    return descriptors[0]


def _with_own_terminal(command: list[str], paths: ExecPaths, request: ExecRequest) -> Spawned:
    master, slave = pty.openpty()
    try:
        set_size(master, request.rows, request.columns)
        tty.setraw(slave)  # the container's own does what a terminal does; this one only passes on
        process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
        )
    except BaseException:
        os.close(master)
        raise
    finally:
        os.close(slave)
    return Spawned(process, paths, master, master, master, relayed=True)


def set_size(terminal: int, rows: int, columns: int) -> None:
    """Gives a terminal its size; the kernel tells whoever runs in it, if anybody still does."""
    with contextlib.suppress(OSError):
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
