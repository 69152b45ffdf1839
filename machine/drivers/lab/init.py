"""PID 1 of a host: starts the daemon, again on request, and reaps whatever is orphaned.

Run as a script by an isolated Python, of the standard library alone and little of it: every host
of a lab has one of these in memory. It has no clock and no policy. A daemon that ends stays
ended until somebody asks; escalation and patience are the caller's (control.py).

    init.py CONTROL_SOCKET DAEMON_LOG READY_FD -- DAEMON ARGUMENT...

Requests are single lines on the control socket, the answer is one line of JSON:
status | start | stop (SIGTERM, answered when it has ended) | kill (the same with SIGKILL) |
pause (SIGSTOP) | resume (SIGCONT) |
shutdown (stop, then SIGTERM to all others, answered at once).
"""

import contextlib
import os
import select
import signal
import socket
import sys

_WORDS = 64  # bytes of the longest request


class Init:
    """One daemon, its last exit code, and those who wait for its end."""

    def __init__(self, argv: list[str], log: str, listener: socket.socket) -> None:
        self.argv = argv
        self.log = log
        self.listener = listener
        self.daemon: int | None = None
        self.code: int | None = None
        self.paused = False
        self.starts = 0
        self.waiting: list[socket.socket] = []

    def serve(self, wakeup: int) -> None:
        """Serve for ever: children that ended, and requests."""
        while True:
            ready, _, _ = select.select([wakeup, self.listener.fileno()], [], [])
            if wakeup in ready:
                os.read(wakeup, 512)
                self.reap()
            if self.listener.fileno() in ready:
                connection, _ = self.listener.accept()
                self.handle(connection)

    def reap(self) -> None:
        """Collect every child that has ended, the daemon's orphans among them."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self.daemon:
                self.paused = False
                self.daemon, self.code = None, os.waitstatus_to_exitcode(status)
                while self.waiting:
                    self.answer(self.waiting.pop())

    def handle(self, connection: socket.socket) -> None:
        """Obey one request. A client that sends nothing is dropped after a second."""
        connection.settimeout(1.0)
        try:
            word = connection.recv(_WORDS).decode("ascii", "replace").strip()
        except OSError:
            connection.close()
            return
        if word == "start":
            self.answer(connection, self.start())
        elif word in ("stop", "kill") and self.daemon is not None:
            self.waiting.append(connection)
            os.kill(self.daemon, signal.SIGTERM if word == "stop" else signal.SIGKILL)
        elif word == "shutdown":
            with contextlib.suppress(ProcessLookupError):
                os.kill(-1, signal.SIGTERM)  # all but this process
            self.answer(connection)
        elif word in ("pause", "resume") and self.daemon is not None:
            self.paused = word == "pause"
            os.kill(self.daemon, signal.SIGSTOP if self.paused else signal.SIGCONT)
            self.answer(connection)
        elif word in ("status", "stop", "kill", "pause", "resume"):
            self.answer(connection)
        else:
            self.answer(connection, "unknown request")

    def start(self) -> str:
        """Start the daemon if it does not run; what failed, or nothing."""
        if self.daemon is not None:
            return ""
        null, log = os.O_RDONLY, os.O_WRONLY | os.O_CREAT | os.O_APPEND
        try:
            self.daemon = os.posix_spawnp(
                self.argv[0],
                self.argv,
                os.environ,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, "/dev/null", null, 0),
                    (os.POSIX_SPAWN_OPEN, 1, self.log, log, 0o640),
                    (os.POSIX_SPAWN_DUP2, 1, 2),
                ],
                setsid=True,
                setsigdef=[signal.SIGCHLD, signal.SIGPIPE],
            )
        except OSError as error:
            return f"{self.argv[0]}: {error.strerror}"
        self.starts += 1
        return ""

    def answer(self, connection: socket.socket, failure: str = "") -> None:
        """Say how the daemon is, and hang up."""
        daemon, code = ("null" if each is None else each for each in (self.daemon, self.code))
        why = failure.replace("\\", "/").replace('"', "'")
        text = (
            f'{{"daemon": {daemon}, "code": {code}, "starts": {self.starts}, '
            f'"paused": {int(self.paused)}, "others": {_others()}, "failure": "{why}"}}\n'
        )
        with contextlib.suppress(OSError):
            connection.sendall(text.encode())
        connection.close()


def _others() -> int:
    """How many processes the host has besides this one."""
    return sum(name.isdigit() and name != "1" for name in os.listdir("/proc"))


def main() -> None:
    """Listen, start the daemon, tell the starter `ready`, serve."""
    if os.getpid() != 1:
        sys.exit("init: this must be PID 1 of a host: `shutdown` signals every process it can see")
    control, log, ready_fd = sys.argv[1:4]
    os.set_inheritable(int(ready_fd), False)  # whoever else held it would keep the starter waiting
    read_end, write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(control)
    os.chmod(control, 0o600)
    listener.listen(16)
    init = Init(sys.argv[5:], log, listener)
    failure = init.start()
    os.write(int(ready_fd), (failure or "ready").encode())
    os.close(int(ready_fd))
    if failure:
        sys.exit(1)
    init.serve(read_end)


if __name__ == "__main__":
    main()
