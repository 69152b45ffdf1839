"""The figures vip_*: what a service's virtual address costs its clients, and the daemon.

Two network namespaces and a pair of links, no swarm. Connections are made and reset by one thread;
the kernel completes them for a listener that does not accept, so that nothing but the kernel's work
and the calls' is timed. Direct and virtual rounds take turns.
"""

import contextlib
import os
import resource
import socket
import statistics
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pyroute2 import IPRoute

from benchmarks.figure import Measured
from hostkit import netns
from overlay_net.balance.shell import Balance, Sandbox
from overlay_net.balance.views import Service, View
from overlay_net.nft import LibNft

RUNS = 7
_CONNECTS = 1500
_CHANGES = 20
_PORT = 80
_CLIENT, _TASK, _VIRTUAL = "10.0.1.10", "10.0.1.11", "10.0.1.2"
_RESET_AT_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class _Pair:
    """A client and a task, and what programs the client's virtual addresses."""

    client: Path
    task: Path
    balance: Balance

    def program(self, addresses: tuple[str, ...]) -> None:
        """The client is told who serves."""
        view = View((Service("web", (_VIRTUAL,), addresses, sticky=False),), frozenset(addresses))
        self.balance.apply(Sandbox("bench", self.client, ("n",), ("10.0.0.0/16",)), {"n": view})


def connects() -> Measured:
    """vip_connects."""
    shares, rates = [], []
    with _pair() as pair, netns.call_in(pair.task, _listener) as listener:
        pair.program((_TASK,))
        _rate(pair, listener, _TASK)
        for _ in range(RUNS):
            direct, virtual = (_rate(pair, listener, each) for each in (_TASK, _VIRTUAL))
            shares.append(virtual / direct)
            rates.append(virtual)
    return Measured(shares, {"per_second": statistics.median(rates)})


def program(tasks: int) -> Measured:
    """vip_program_*: milliseconds of CPU for each change of one task among so many."""
    addresses = tuple(f"10.0.{2 + n // 250}.{1 + n % 250}" for n in range(tasks))
    found, walls = [], []
    with _pair() as pair:
        pair.program(addresses)
        for _ in range(RUNS):
            before, begun = _cpu(), time.perf_counter()
            for n in range(_CHANGES):
                pair.program(addresses[:-1] if n % 2 == 0 else addresses)
            walls.append((time.perf_counter() - begun) / _CHANGES * 1000)
            found.append((_cpu() - before) / _CHANGES * 1000)
    return Measured(found, {"wall_ms": statistics.median(walls)})


MEASURES: Mapping[str, Callable[[], Measured]] = {
    "vip_connects": connects,
    "vip_program_10": lambda: program(10),
    "vip_program_100": lambda: program(100),
    "vip_program_1k": lambda: program(1000),
}


def _rate(pair: _Pair, listener: socket.socket, address: str) -> float:
    def run() -> float:
        begun = time.perf_counter()
        for _ in range(_CONNECTS):
            with socket.socket() as made:
                made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
                made.connect((address, _PORT))
        return _CONNECTS / (time.perf_counter() - begun)

    rate = netns.call_in(pair.client, run)
    with contextlib.suppress(BlockingIOError):
        while True:
            listener.accept()[0].close()
    return rate


def _listener() -> socket.socket:
    made = socket.create_server(("", _PORT), backlog=2 * _CONNECTS)
    made.setblocking(False)
    return made


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


@contextlib.contextmanager
def _pair() -> Iterator[_Pair]:
    names = [f"bench-{os.getpid()}-{word}" for word in ("client", "task")]
    nft = LibNft()
    try:
        for name in names:
            netns.create(name)
        client, task = (netns.path(name) for name in names)
        netns.call_in(client, lambda: _link(task))
        netns.call_in(client, lambda: _up("e0", _CLIENT))
        netns.call_in(task, lambda: _up("e0", _TASK))
        limit = Path("/proc/sys/net/core/somaxconn")
        netns.call_in(task, lambda: limit.write_text(str(2 * _CONNECTS)))
        yield _Pair(client, task, Balance(nft))
    finally:
        nft.close()
        for name in names:
            netns.delete(name)


def _link(other: Path) -> None:
    handle = os.open(other, os.O_RDONLY)
    try:
        with IPRoute() as route:
            peer = {"ifname": "e0", "net_ns_fd": handle}
            route.link("add", ifname="e0", kind="veth", peer=peer)
    finally:
        os.close(handle)


def _up(device: str, address: str) -> None:
    with IPRoute() as route:
        index = route.link_lookup(ifname=device)[0]
        route.addr("add", index=index, address=address, prefixlen=16)
        route.link("set", index=index, state="up")
