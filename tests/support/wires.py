"""Network namespaces wired by hand, and servers in them that tell who they are and whom they
see.
"""

import contextlib
import itertools
import os
import selectors
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from hostkit import netns

PATIENCE = 20.0
"""Seconds for an answer that has to come."""
SILENT = 5.0
"""Seconds without an answer that say that none comes."""
_PORTS = itertools.cycle(range(10_000, 30_000))

Ask = Callable[[Path, str, int], tuple[str, str]]


class Wires:
    """Namespaces of one test; `close` removes all of them with what is in them."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._servers: list[Server] = []
        self._streams: list[socket.socket] = []
        self._ports: list[tuple[Path, Path, str]] = []  # of whom, where, and its name there

    def namespace(self, name: str, *, forward: bool = False) -> Path:
        full = f"w{os.getpid()}-{name}"
        netns.create(full)
        self._names.append(full)
        path = netns.path(full)
        self.ip(path, "link set lo up")
        if forward:
            sysctl(path, "ipv4/ip_forward", "1")
            sysctl(path, "ipv6/conf/all/forwarding", "1")
        return path

    def ip(self, target: Path, *lines: str, command: str = "ip") -> None:
        """Lines of an `ip -batch`, or of `bridge -batch`."""
        done = subprocess.run(
            [command, "-n", target.name, "-batch", "-"],
            input="".join(f"{line}\n" for line in lines),
            text=True,
            capture_output=True,
            check=False,
            timeout=30,
        )
        assert done.returncode == 0, done.stderr

    def bridge(self, target: Path, name: str = "br0", *addresses: str) -> None:
        self.ip(
            target,
            f"link add {name} type bridge forward_delay 0 mcast_snooping 0",
            f"link set {name} up",
            *(f"addr add {address} dev {name}{nodad(address)}" for address in addresses),
        )

    def plug(
        self,
        target: Path,
        name: str,
        into: Path,
        *addresses: str,
        bridge: str = "br0",
        mac: str = "",
        mtu: int = 1500,
    ) -> None:
        """A link `name` of namespace `target`, with these addresses, into a bridge of another."""
        port = f"p{len(self._ports)}"
        self._ports.append((target, into, port))
        self.ip(
            into,
            f"link add {port} mtu {mtu} type veth peer name {name} netns {target.name} mtu {mtu}"
            + (f" address {mac}" if mac else ""),
            f"link set {port} master {bridge} up",
        )
        self.ip(
            target,
            f"link set {name} up",
            *(f"addr add {address} dev {name}{nodad(address)}" for address in addresses),
        )

    def serve(self, target: Path, label: str, port: int = 80) -> "Server":
        server = Server(target, label, port)
        self._servers.append(server)
        return server

    def hold(
        self, target: Path, address: str, port: int = 80, *, source: tuple[str, int] | None = None
    ) -> socket.socket:
        """A TCP connection that is open to the end of the test, unless it is closed before."""
        stream = connect(target, address, port, source=source)
        self._streams.append(stream)
        return stream

    def remove(self, target: Path) -> None:
        """The namespace ends as a host that loses its power: its connections say no farewell."""
        for _, into, port in [each for each in self._ports if each[0] == target]:
            self.ip(into, f"link del {port}")
        for server in [each for each in self._servers if each.target == target]:
            server.close()
        netns.delete(target.name)

    def close(self) -> None:
        for stream in self._streams:
            stream.close()
        for server in self._servers:
            server.close()
        for name in self._names:
            netns.delete(name)


class Server:
    """Says `LABEL PEER` to each TCP connection and then echoes; to each datagram the same, at
    once.
    """

    def __init__(self, target: Path, label: str, port: int) -> None:
        self.target = target
        self._label = label
        self._selector = selectors.DefaultSelector()
        self._kept: list[socket.socket] = []
        self._wake, waker = socket.socketpair()
        self._kept += [self._wake, waker]
        self._selector.register(waker, selectors.EVENT_READ, None)

        def make() -> tuple[socket.socket, socket.socket]:
            stream = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
            datagrams = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            datagrams.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            datagrams.bind(("::", port))
            return stream, datagrams

        stream, datagrams = netns.call_in(target, make)
        self._kept += [stream, datagrams]
        self._selector.register(stream, selectors.EVENT_READ, self._accept)
        self._selector.register(datagrams, selectors.EVENT_READ, self._answer)
        self._thread = threading.Thread(target=self._loop, name=f"server-{label}")
        self._thread.start()

    def close(self) -> None:
        if self._thread.is_alive():
            self._wake.send(b"x")
            self._thread.join()
        for each in self._kept:
            each.close()
        self._selector.close()

    def _loop(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    return
                with contextlib.suppress(OSError):
                    key.data(key.fileobj)

    def _accept(self, listener: socket.socket) -> None:
        made, peer = listener.accept()
        self._kept.append(made)
        made.sendall(self._greeting(peer))
        self._selector.register(made, selectors.EVENT_READ, self._echo)

    def _echo(self, stream: socket.socket) -> None:
        try:
            data = stream.recv(65536)
        except OSError:
            data = b""
        if data:
            stream.sendall(data)
        else:
            self._selector.unregister(stream)
            stream.close()

    def _answer(self, datagrams: socket.socket) -> None:
        _, peer = datagrams.recvfrom(65536)
        datagrams.sendto(self._greeting(peer), peer)

    def _greeting(self, peer: tuple[str, int]) -> bytes:
        return f"{self._label} {peer[0].removeprefix('::ffff:')}\n".encode()


def connect(
    target: Path,
    address: str,
    port: int = 80,
    *,
    source: tuple[str, int] | None = None,
    patience: float = PATIENCE,
) -> socket.socket:
    """A TCP connection out of a namespace. TimeoutError after so many seconds of silence."""

    def make() -> socket.socket:
        made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return made

    made = netns.call_in(target, make)
    made.settimeout(patience)
    try:
        if source:
            made.bind(source)
        made.connect((address, port))
    except OSError:
        made.close()
        raise
    return made


def said(stream: socket.socket) -> tuple[str, str]:
    """Who a server says it is, and whom it sees."""
    text = b""
    while not text.endswith(b"\n"):
        data = stream.recv(200)
        if not data:
            raise ConnectionResetError("the server ended the connection")
        text += data
    label, _, peer = text.decode().strip().partition(" ")
    return label, peer


def ask(
    target: Path, address: str, port: int = 80, *, patience: float = PATIENCE
) -> tuple[str, str]:
    """One TCP connection: who answers, and whom it sees."""
    with connect(target, address, port, patience=patience) as stream:
        return said(stream)


@contextlib.contextmanager
def datagrams(target: Path, address: str, port: int = 80) -> Iterator[socket.socket]:
    """A connected UDP socket, of a port that none had before: to the kernel's memory of connections
    a port that comes again within minutes is the same one, and is led where that was.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with netns.call_in(target, lambda: socket.socket(family, socket.SOCK_DGRAM)) as made:
        made.bind(("", next(_PORTS)))
        made.settimeout(PATIENCE)
        made.connect((address, port))
        yield made


def ask_datagram(target: Path, address: str, port: int = 80) -> tuple[str, str]:
    """One datagram: who answers, and whom it sees."""
    with datagrams(target, address, port) as made:
        made.send(b"?")
        return said(made)


def echoes(stream: socket.socket, data: bytes = b"still there?") -> bool:
    """Whether a held connection still works."""
    stream.sendall(data)
    received = b""
    while len(received) < len(data):
        more = stream.recv(65536)
        if not more:
            return False
        received += more
    return received == data


def established(target: Path, port: int = 80) -> int:
    """How many TCP connections the programs of a namespace hold at a port of theirs."""
    table = netns.call_in(target, lambda: Path("/proc/thread-self/net/tcp6").read_text())
    rows = (line.split() for line in table.splitlines()[1:])
    return sum(row[1].endswith(f":{port:04X}") and row[3] == "01" for row in rows)


def sysctl(target: Path, name: str, value: str) -> None:
    netns.call_in(target, lambda: Path("/proc/sys/net", name).write_text(value))


def read(target: Path, name: str) -> str:
    return netns.call_in(target, lambda: Path("/proc/sys/net", name).read_text().strip())


def nodad(address: str) -> str:
    return " nodad" if ":" in address else ""
