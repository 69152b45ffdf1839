"""The guardian of one mount: a process of its own. It outlives the daemon, and ends with the lease.

The daemon tells it of each renewal. When it hears nothing for too long, or the server of the mount
ends, it kills the containers that use the mount, takes the mount away, writes down why, and ends.
Should it be stopped itself, a timer of the kernel kills it at the end of the lease, and the server,
which is its child, dies with it: no code needs to run for that.

It decides nothing but by `guard`, knows no driver, and never looks into the mount itself.

It is spoken to in lines of JSON over a socket in its folder. Each line has a number, `n`, and so
has its answer: that to a server that has to start comes late, and others before it.
"""

import contextlib
import json
import os
import signal
import socket
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hostkit import cgroup, mount
from hostkit.clock import boot
from hostkit.doom import DoomTimer
from runtime.volume.guard import Guard, LetGo
from runtime.volume.serving import STEP, Serving, wait_for

SOCKET, END, LOG = "s", "end.json", "log"
"""In its folder: what it answers on, why it let go, and what it says should it break down."""
LINE_LIMIT = 4 << 20
_CLIENTS = 4
_COMM = "swarm-guardian"
_SPARED = "-900"
"""Of a thousand, how the kernel's search for memory passes it over."""
_LOOK = 1.0
"""Seconds between two looks at a server that is ready."""

Words = Mapping[str, Any]


@dataclass
class _Client:
    connection: socket.socket
    heard: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class _Asker:
    client: _Client
    number: int


class Guardian:
    """`run` it in a process that does nothing else, and whose working directory is its folder."""

    def __init__(self, target: str, until: float | None, notice: float) -> None:
        self._target = target
        self._guard = Guard(until, notice)
        self._timer = DoomTimer()
        self._timer.set(until)
        self._groups: tuple[str, ...] = ()
        self._serving: Serving | None = None
        self._asker: _Asker | None = None
        self._clients: dict[int, _Client] = {}
        self._leaving = self._dismissed = False
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(SOCKET)
        self._listener.bind(SOCKET)
        self._listener.listen(_CLIENTS)

    def run(self) -> None:
        """Returns when it has let go, or was dismissed."""
        while not self._dismissed:
            self._look_after_server()
            step = self._guard.step(boot())
            if isinstance(step, LetGo):
                self._let_go(step)
                return
            pause = self._pause(step.seconds)
            for handle in wait_for([self._listener.fileno(), *self._clients], pause):
                self._hear(handle)

    def _pause(self, seconds: float | None) -> float | None:
        """As long as the guard says, or until the server is to be looked at."""
        if self._serving is None:
            return seconds
        look = _LOOK if self._serving.ready else STEP
        return look if seconds is None else min(look, seconds)

    # --- what it is told --------------------------------------------------------------------

    def _hear(self, handle: int) -> None:
        if handle == self._listener.fileno():
            connection, _ = self._listener.accept()
            if len(self._clients) >= _CLIENTS:
                connection.close()
            else:
                self._clients[connection.fileno()] = _Client(connection)
            return
        client = self._clients.get(handle)
        if client is None:
            return
        try:
            piece = client.connection.recv(1 << 16)
        except OSError:
            piece = b""
        client.heard += piece
        if not piece or len(client.heard) > LINE_LIMIT:
            self._drop(client)
            return
        *lines, client.heard = client.heard.split(b"\n")
        for line in lines:
            words = json.loads(line)
            self._obey(_Asker(client, words["n"]), words)

    def _drop(self, client: _Client) -> None:
        self._clients.pop(client.connection.fileno(), None)
        client.connection.close()

    def _obey(self, asker: _Asker, words: Words) -> None:
        match words["do"]:
            case "renew":
                renewed = self._guard.renew(words["until"], boot())
                self._timer.set(self._guard.until)
                self._answer(asker, {"renewed": renewed})
            case "users":
                self._groups = tuple(words["groups"])
                self._answer(asker, {})
            case "serve":
                self._serve(asker, words)
            case "leave":
                self._leaving = True
                self._answer(asker, {})
            case "dismiss":
                self._dismiss()
                self._answer(asker, {})

    def _answer(self, asker: _Asker, words: Words) -> None:
        connection = asker.client.connection
        try:
            connection.settimeout(1.0)
            connection.sendall(json.dumps({"n": asker.number, **words}).encode() + b"\n")
        except OSError:
            self._drop(asker.client)

    def _dismiss(self) -> None:
        """The mount was taken away in order. Nobody finds it any more once it has said so."""
        self._timer.set(None)
        self._listener.close()
        os.unlink(SOCKET)
        self._end_server(1.0)
        self._dismissed = True

    # --- its server -------------------------------------------------------------------------

    def _serve(self, asker: _Asker, words: Words) -> None:
        if self._serving is not None:
            self._answer(asker, {"pid": self._serving.pid})
            return
        try:
            self._serving = Serving(words, self._target, boot() + words["deadline"])
            self._asker = asker
        except OSError as error:
            self._answer(asker, {"error": f"{error.filename}: {error.strerror}"})

    def _look_after_server(self) -> None:
        serving = self._serving
        if serving is None:
            return
        broken = serving.look(boot())
        if self._asker is None:
            if broken and not self._leaving:  # else it is being unmounted
                self._guard.lose(broken)
            return
        if broken:
            _detach(self._target)
            serving.close()
            self._serving = None
            self._answer(self._asker, {"error": broken})
            self._asker = None
        elif serving.ready:
            self._answer(self._asker, {"pid": serving.pid})
            self._asker = None

    def _end_server(self, seconds: float) -> bool:
        """Waits so long for its end, then kills it. False if its mount could not be taken away: one
        that was just starting may have mounted after all, when there was nothing to take away yet.
        """
        if self._serving is None:
            return True
        self._serving.end(seconds)
        return _detach(self._target)

    # --- the end ----------------------------------------------------------------------------

    def _let_go(self, step: LetGo) -> None:
        """Containers first, so that what they have closed still reaches the storage. One that waits
        for the mount can only die once its server has: so a second time after it.
        """
        self._listener.close()
        end = boot() + step.seconds
        dead = self._kill(step.seconds / 2)
        gone = _detach(self._target)
        gone = self._end_server((end - boot()) / 2) and gone
        dead = dead or self._kill(max(0.0, end - boot()))
        words = {"why": step.why, "killed": dead, "unmounted": gone}
        Path(END + ".new").write_text(json.dumps(words), encoding="utf-8")
        Path(END + ".new").replace(END)

    def _kill(self, seconds: float) -> bool:
        hierarchies = cgroup.detect()
        each = seconds / max(1, len(self._groups))
        ended = [cgroup.kill(hierarchies, group, each) for group in self._groups]
        return all(ended)


def _detach(target: str) -> bool:
    """Takes away what is mounted there, busy or not, and its folder: nobody shall write to that."""
    try:
        while mount.unmount(Path(target)):
            pass
        with contextlib.suppress(OSError):
            os.rmdir(target)
    except OSError:
        return False
    return True


def become(folder: str) -> None:
    """Makes the process that was forked for it the guardian's: in its folder, let alone by signals
    that are for everybody, and found by its name.
    """
    os.chdir(folder)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    Path("/proc/self/comm").write_text(_COMM, encoding="ascii")
    with contextlib.suppress(OSError):  # where it may not, it is found as any other
        Path("/proc/self/oom_score_adj").write_text(_SPARED, encoding="ascii")


def live(guardian: Guardian) -> None:
    """Runs it to its end. If it breaks down, that ends the mount with it."""
    try:
        guardian.run()
    except Exception:  # the outermost edge of the process
        Path(LOG).write_text(traceback.format_exc(), encoding="utf-8")
