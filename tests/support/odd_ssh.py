"""An SSH server on the loopback address that behaves as badly as it is told to."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import paramiko

from machine.ssh.transport import end
from tests.support.until import until_true

Serve = Callable[[paramiko.Channel, str], None]
"""Answers one command, in a thread of its own."""


def answering(code: int, out: bytes = b"", err: bytes = b"") -> Serve:
    """Says this to every command, without reading its input."""

    def serve(channel: paramiko.Channel, _command: str) -> None:
        channel.sendall(out)
        channel.sendall_stderr(err)
        channel.send_exit_status(code)
        channel.close()

    return serve


@dataclass
class Manners:
    """How it behaves; as it is, it lets every key in and says that everybody is root."""

    accepts: Callable[[paramiko.PKey], int] = lambda _: paramiko.common.AUTH_SUCCESSFUL
    methods: str = "publickey"
    sessions: int = 100  # that it opens, in all
    at_once: int = 100  # that are served at a time
    opened: int = 0  # that were open when the last one was opened
    without: dict[str, list[str]] = field(default_factory=dict)  # algorithms
    serve: Serve = field(default_factory=lambda: answering(0, b"0\n"))
    commands: list[str] = field(default_factory=list)  # that it got


class _Side(paramiko.ServerInterface):
    def __init__(self, manners: Manners, transport: paramiko.Transport) -> None:
        self._manners = manners
        self._transport = transport

    def get_allowed_auths(self, username: str) -> str:
        return self._manners.methods

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return self._manners.accepts(key)

    def check_channel_request(self, kind: str, chanid: int) -> int:
        self._manners.sessions -= 1
        # As sshd counts them: one is open until the client has closed it, too.
        opened = len(self._transport._channels) + 1  # type: ignore[attr-defined]
        if self._manners.sessions < 0 or opened > self._manners.at_once:
            return paramiko.common.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED
        self._manners.opened = opened
        return paramiko.common.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        text = command.decode()
        self._manners.commands.append(text)
        threading.Thread(target=self._serve, args=(channel, text), daemon=True).start()
        return True

    def _serve(self, channel: paramiko.Channel, text: str) -> None:
        # What the client sends comes after it has read that its command was taken.
        until_true(
            lambda: bool(channel.recv_ready() or channel.eof_received or channel.closed),
            "it was taken",
        )
        try:
            self._manners.serve(channel, text)
        except (OSError, EOFError, paramiko.SSHException):
            return


class OddServer:
    """Where it listens; its connections, so that a test may cut them."""

    def __init__(self, manners: Manners, keys: list[paramiko.PKey]) -> None:
        self.manners = manners
        self.keys = keys
        self.transports: list[paramiko.Transport] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                way, _ = self._listener.accept()
            except OSError:
                return
            transport = paramiko.Transport(way, disabled_algorithms=self.manners.without)
            self.transports.append(transport)
            for key in self.keys:
                transport.add_server_key(key)
            try:
                transport.start_server(server=_Side(self.manners, transport))
            except (paramiko.SSHException, EOFError, OSError):
                end(transport)

    def cut(self) -> None:
        """Every connection breaks."""
        for transport in self.transports:
            end(transport)

    def end(self) -> None:
        """Nobody listens any more, and every connection is gone."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)
        self.cut()


@contextlib.contextmanager
def odd_server(
    manners: Manners | None = None, keys: list[paramiko.PKey] | None = None
) -> Iterator[OddServer]:
    """Runs one meanwhile."""
    server = OddServer(manners or Manners(), keys or [paramiko.ECDSAKey.generate()])
    try:
        yield server
    finally:
        server.end()


@contextlib.contextmanager
def odd_listener(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """A port where somebody answers who is no SSH server: `serve` gets each connection."""
    listener = socket.create_server(("127.0.0.1", 0))
    ways: list[socket.socket] = []

    def accept() -> None:
        while True:
            try:
                way, _ = listener.accept()
            except OSError:
                return
            ways.append(way)
            with contextlib.suppress(OSError):
                serve(way)

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for way in ways:
            way.close()
        thread.join(10)
