"""Requests from outside of a swarm and from within its containers, and servers in these.

Sockets are made in the namespaces of lab hosts and containers; what answers is a container's own
program, or a server of the test that stands in the container's network stack.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from hostkit import netns
from machine.drivers.lab import naming
from tests.support import wires
from tests.support.cluster import Container, Swarm

T = TypeVar("T")

WEB = """
mkdir -p /www/cgi-bin; hostname > /www/index.html
printf '#!/bin/sh\necho; echo; echo $(hostname) $REMOTE_ADDR\n' > /www/cgi-bin/who
chmod +x /www/cgi-bin/who
httpd -f -p 80 -h /www & server=$!
trap 'kill $server; wait $server; while pidof httpd; do sleep 0.05; done; exit 0' TERM
wait
"""
"""A web server that says who it is, and who asks. It ends once all have their answer."""
QUIET = "trap 'exit 0' TERM; sleep 100000 & wait"
"""A container that does nothing until it is asked to stop, and then stops at once."""
ASK = r"printf 'GET / HTTP/1.0\r\n\r\n' | nc -w 10"
"""Asks a web server, whose word is the last line. (No static wget finds a name.)"""
HEALTH = (
    *("--health-cmd", f"{ASK} 127.0.0.1 80 | grep -q 200"),
    *("--health-interval", "200ms", "--health-timeout", "20s"),
    *("--health-start-interval", "200ms", "--health-start-period", "30s"),
)
"""Flags: a task serves once its web server answers, and has time to begin."""
MANY = 100
_MOST = 65536
_PAUSE = 0.02  # after a failure: one that comes at once must not take all of the machine


def outside(swarm: Swarm) -> Path:
    """The network namespace of a host that is in no swarm."""
    return netns.path(swarm.host(naming.REGISTRY).paths.namespace)


def of_host(swarm: Swarm, name: str) -> Path:
    """A host's network namespace."""
    return netns.path(swarm.host(name).paths.namespace)


def of(container: Container) -> Path:
    """A container's network namespace, as long as it runs."""
    return Path(f"/proc/{container.pid}/ns/net")


def until_all_know(swarm: Swarm) -> None:
    """Until every node has carried out all that it is to know of networks: one does a moment after
    another, and leads to no task of which it has not heard.
    """
    swarm.until(
        lambda: swarm.ctl("network", "check", code=None).code == 0,
        "every node knows of every task",
        timeout=60,
    )


@contextlib.contextmanager
def serving(swarm: Swarm, service: str, port: int = 80) -> Iterator[None]:
    """A server in each container of a service, which says the task's id (12 letters) and the
    peer's address to connections and datagrams.
    """
    with contextlib.ExitStack() as stack:
        for each in swarm.on(service):
            stack.callback(wires.Server(of(each), each.task_id[:12], port).close)
        yield


def get(
    source: Path, address: str, port: int = 80, *, patience: float = wires.PATIENCE
) -> tuple[str, str]:
    """Asks the server WEB: which task answers, and whom it sees. OSError if nobody does."""
    made = wires.connect(source, address, port, patience=patience)
    with made:
        made.sendall(b"GET /cgi-bin/who HTTP/1.0\r\n\r\n")
        answer = b""
        while piece := made.recv(_MOST):
            answer += piece
    words = answer.decode().split()
    if len(words) < 2:
        raise ConnectionResetError("an answer of nothing")
    name, seen = words[-2:]
    return name, seen.removeprefix("[").removeprefix("::ffff:").rstrip("]")


def lookup(source: Path, name: str, *, ipv6: bool = False) -> set[str]:
    """The addresses of a name as the container of this namespace is told. OSError without an
    answer.
    """
    question = b"".join(bytes([len(part)]) + part for part in name.encode().split(b"."))
    kind = 28 if ipv6 else 1
    asked = b"\x12\x34\x01\0\0\1\0\0\0\0\0\0" + question + b"\0" + kind.to_bytes(2) + b"\0\1"
    with netns.call_in(source, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as made:
        made.settimeout(wires.PATIENCE)
        made.connect(("127.0.0.11", 53))
        made.send(asked)
        answer = made.recv(_MOST)
    family = socket.AF_INET6 if ipv6 else socket.AF_INET
    found, at, size = set(), len(asked), 16 if ipv6 else 4
    for _ in range(int.from_bytes(answer[6:8])):
        at += 12  # a pointer to the name, type, class, time to live, length
        found.add(socket.inet_ntop(family, answer[at : at + size]))
        at += size
    return found


def fails(asks: Callable[[], object]) -> str:
    """Why a request gets no answer; empty if it gets one."""
    try:
        asks()
    except OSError as error:
        return str(error) or type(error).__name__
    return ""


def at_once(asks: Mapping[T, Callable[[], object]]) -> dict[T, str]:
    """Many requests at the same time: why each gets no answer, empty if it gets one."""
    with ThreadPoolExecutor(len(asks)) as threads:
        return dict(zip(asks, threads.map(fails, asks.values()), strict=True))


class Load:
    """Requests of several kinds by name, each kind one after another, until the end of the
    block.
    """

    def __init__(self, asks: Mapping[str, Callable[[], object]]) -> None:
        self._asks = asks
        self._ends = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(name,)) for name in asks]
        self._more = {name: threading.Semaphore(0) for name in asks}
        self.failed: list[tuple[float, str]] = []
        """When a request failed that was made then, and what of it."""

    def goes_on(self, many: int = MANY) -> None:
        """Returns after many more requests of each kind."""
        for more in self._more.values():
            while more.acquire(blocking=False):
                pass
        for more in self._more.values():
            for _ in range(many):
                assert more.acquire(timeout=60)

    def lost(self) -> str:
        """From the first request that failed to the last, as seconds, and how many there were."""
        times = [at for at, _ in self.failed]
        return f"{len(times)} failed in {max(times) - min(times):.2f} s" if times else "none failed"

    def _run(self, name: str) -> None:
        while not self._ends.is_set():
            at = time.monotonic()
            if why := fails(self._asks[name]):
                self.failed.append((at, f"{name}: {why} after {time.monotonic() - at:.2f} s"))
                self._ends.wait(_PAUSE)
            self._more[name].release()

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        for thread in self._threads:
            thread.join()
