"""`swarmctl` as a process of its own that does not have to start: it is forked from one that has
imported the whole program, and no more.

    python -P tests/support/prepared_program.py HANDLE

Most of what a short command costs is the import of its modules, and scenarios run thousands. What a
process does from there on is what the script `swarmctl` does: the same `main`, with arguments,
environment, standard streams and exit code of its own. Only its standard input is always empty.
"""

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import pkgutil
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple, NoReturn

import swarmctl.cli
from swarmctl.__main__ import main

_REQUEST = 1 << 17
"""Bytes of one request: arguments and environment."""
_FAILED = 1


class Request(NamedTuple):
    """What a program is to be run with."""

    words: list[str]
    environment: dict[str, str]
    directory: str


class ForkedProgram:
    """The process that has imported everything, and a socket to it."""

    def __init__(self) -> None:
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            theirs.set_inheritable(True)
            argv = [sys.executable, "-P", __file__, str(theirs.fileno())]
            empty = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
            # It ends when our end of the socket is closed, and that the kernel does at the latest.
            self._pid = os.posix_spawn(sys.executable, argv, os.environ, file_actions=[empty])

    def close(self) -> None:
        """Ends the process; programs that run go on."""
        self._requests.close()
        os.waitpid(self._pid, 0)

    def run(
        self, words: Sequence[str], environment: Mapping[str, str], timeout: float
    ) -> "subprocess.CompletedProcess[str]":
        """`swarmctl WORDS` to its end. After `timeout` seconds it is killed: TimeoutExpired."""
        request = Request([*words], dict(environment), os.getcwd())
        pipes = [os.pipe() for _ in range(3)]
        ours, theirs = zip(*pipes, strict=True)
        try:
            try:
                socket.send_fds(self._requests, [json.dumps(request).encode()], theirs)
            finally:
                for handle in theirs:
                    os.close(handle)
            out, err, told = _read(ours, timeout)
        finally:
            for handle in ours:
                os.close(handle)
        match told.split():
            case [_, code]:
                return subprocess.CompletedProcess(request.words, int(code), out, err)
            case [pid]:
                os.kill(int(pid), signal.SIGKILL)
        raise subprocess.TimeoutExpired(request.words, timeout, out, err)


@functools.cache
def forked_program() -> ForkedProgram:
    """The one of this process."""
    made = ForkedProgram()
    atexit.register(made.close)
    return made


def _read(handles: Sequence[int], timeout: float) -> list[str]:
    """What is said on each handle until all are closed, or until the time is over."""
    said = dict.fromkeys(handles, b"")
    end = time.monotonic() + timeout
    with selectors.DefaultSelector() as selector:
        for handle in handles:
            selector.register(handle, selectors.EVENT_READ)
        while selector.get_map() and (left := end - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                data = os.read(key.fd, 1 << 16)
                said[key.fd] += data
                if not data:
                    selector.unregister(key.fd)
    return [_text(each) for each in said.values()]


def _text(said: bytes) -> str:
    """As `subprocess` reads text."""
    return said.decode(errors="replace").replace("\r\n", "\n").replace("\r", "\n")


def serve(requests: socket.socket) -> None:
    """Forks a program for each request, until nobody can ask any more."""
    os.environ["GRPC_VERBOSITY"] = "NONE"  # as the program sets it before it imports gRPC
    for module in pkgutil.walk_packages(swarmctl.cli.__path__, "swarmctl.cli."):
        importlib.import_module(module.name)
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # whoever keeps a program is reaped by the kernel
    while True:
        request, handles, _, _ = socket.recv_fds(requests, _REQUEST, 3)
        if not request:
            return
        if os.fork() == 0:
            requests.close()
            _keep(Request(*json.loads(request)), *handles)
        for handle in handles:
            os.close(handle)


def _keep(request: Request, out: int, err: int, told: int) -> NoReturn:
    """Forks the program and tells its pid, and then its exit code, as `subprocess` writes them."""
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        pid = os.fork()
        if pid == 0:
            os.close(told)
            _become(request, out, err)
        os.close(out)
        os.close(err)
        try:
            os.write(told, f"{pid}\n".encode())
        except BrokenPipeError:  # whoever asked has given up already
            os.kill(pid, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with contextlib.suppress(BrokenPipeError):
            os.write(told, f"{code}\n".encode())
    finally:
        os._exit(0)


def _become(request: Request, out: int, err: int) -> NoReturn:
    code: object = _FAILED
    try:
        for handle, stream in ((out, 1), (err, 2)):
            os.dup2(handle, stream)
            os.close(handle)
        sys.argv = ["swarmctl", *request.words]
        os.chdir(request.directory)
        os.environ.clear()
        os.environ.update(request.environment)
        main()
    except SystemExit as ended:
        code = ended.code
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else _FAILED)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
