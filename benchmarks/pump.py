"""How fast bytes and datagrams go from one network stack to another, and at what cost.

TCP is moved by two threads of this process, for its calls do their work without Python's lock. The
receiver of datagrams is a process of its own (`sink`), or each call would fight for the lock.
"""

import resource
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hostkit import netns

SECONDS = 1.0
DATAGRAM = 1400
"""Bytes, so that one fits into a frame of 1500 with VXLAN's headers."""
_CHUNK = 1 << 17
_TIMEOUT = 20
_BUFFER = 4 << 20
_ROUNDS = 3000
_BURST = 100
_HELLO = b"hello"
_SINK = (sys.executable, "-I", "-S", str(Path(__file__).with_name("sink.py")))
_CONNECTS = 1000
_FEW = 0.999
_SO_RCVBUFFORCE = 33
_RESET_AT_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Lane:
    """From one network namespace to an address in another."""

    source: Path
    target: Path
    address: str


@dataclass(frozen=True)
class Speed:
    """Of one run; CPU of both ends and of what the kernel did on their account."""

    gbit: float
    cpu_per_gb: float


def tcp(lane: Lane) -> Speed:
    """One connection, congestion control cubic: bbr hides what an overlay costs."""
    with _listening(lane) as server, _connected(lane, server) as source:
        source.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
        taken, _ = server.accept()
        taken.settimeout(_TIMEOUT)
        received = [0]
        reader = threading.Thread(target=_read, args=(taken, received))
        begun, cpu = time.perf_counter(), time.process_time()
        reader.start()
        data = bytes(_CHUNK)
        while time.perf_counter() - begun < SECONDS:
            source.sendall(data)
        source.shutdown(socket.SHUT_WR)
        reader.join()
        elapsed, cpu = time.perf_counter() - begun, time.process_time() - cpu
    return _speed(received[0], elapsed, cpu)


def udp(lane: Lane) -> Speed:
    """Datagrams of DATAGRAM bytes, as many as can be sent; those that arrive count."""
    with (
        netns.call_in(lane.target, lambda: _datagrams(lane.address)) as target,
        netns.call_in(lane.source, lambda: socket.socket(type=socket.SOCK_DGRAM)) as source,
    ):
        source.connect(target.getsockname())
        # Waits while its buffer is full, by the kernel's own limit.
        source.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", _TIMEOUT, 0))
        source.send(_HELLO)  # both ends know each other before time is taken
        with subprocess.Popen(_SINK, stdin=target.fileno(), stdout=subprocess.PIPE) as sink:
            assert sink.stdout is not None
            assert sink.stdout.readline() == b"ready\n", "the receiver did not begin"
            before = _cpu(resource.RUSAGE_CHILDREN)
            begun, cpu = time.perf_counter(), time.process_time()
            data, send = bytes(DATAGRAM), source.send
            while time.perf_counter() - begun < SECONDS:
                for _ in range(_BURST):
                    send(data)
            elapsed, cpu = time.perf_counter() - begun, time.process_time() - cpu
            received = int(sink.communicate(timeout=_TIMEOUT)[0])
    return _speed(received, elapsed, cpu + _cpu(resource.RUSAGE_CHILDREN) - before)


def round_trip(lane: Lane) -> tuple[float, float]:
    """Microseconds from a byte to its echo over TCP: the median, and that of the slowest in 1000.

    Both ends are one thread, so that no waking up of another is in it: what is left is the path.
    """
    with _listening(lane) as server, _connected(lane, server) as source:
        taken, _ = server.accept()
        with taken:
            for each in (source, taken):
                each.setblocking(True)
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            times = sorted(_echo(source, taken) for _ in range(_ROUNDS))
    return 1e6 * statistics.median(times), 1e6 * times[int(_FEW * _ROUNDS)]


def connects(lane: Lane, virtual: str) -> tuple[float, float]:
    """Connections per second to the address itself, and to a virtual one that leads there.

    Made and reset by one thread; the kernel completes them for a listener that accepts later, so
    that nothing but the kernel's work and the calls' is timed.
    """
    with _listening(lane) as server:
        server.setblocking(False)
        port = server.getsockname()[1]
        rates = []
        for address in (lane.address, virtual):
            rates.append(netns.call_in(lane.source, partial(_connect_all, (address, port))))
            _drain(server)
    return rates[0], rates[1]


def _connect_all(to: tuple[str, int]) -> float:
    begun = time.perf_counter()
    for _ in range(_CONNECTS):
        with socket.socket() as made:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
            made.settimeout(_TIMEOUT)
            made.connect(to)
    return _CONNECTS / (time.perf_counter() - begun)


def _drain(server: socket.socket) -> None:
    while True:
        try:
            server.accept()[0].close()
        except BlockingIOError:
            return


def _echo(source: socket.socket, taken: socket.socket) -> float:
    begun = time.perf_counter()
    source.send(b"?")
    taken.recv(1)
    taken.send(b"!")
    source.recv(1)
    return time.perf_counter() - begun


def _listening(lane: Lane) -> socket.socket:
    made = netns.call_in(
        lane.target,
        lambda: socket.create_server((lane.address, 0), backlog=2 * _CONNECTS),
    )
    made.settimeout(_TIMEOUT)
    return made


def _connected(lane: Lane, server: socket.socket) -> socket.socket:
    made = netns.call_in(lane.source, socket.socket)
    made.settimeout(_TIMEOUT)
    made.connect(server.getsockname())
    return made


def _datagrams(address: str) -> socket.socket:
    made = socket.socket(type=socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
    made.bind((address, 0))
    return made


def _read(taken: socket.socket, received: list[int]) -> None:
    buffer = bytearray(_CHUNK)
    with taken:
        while count := taken.recv_into(buffer):
            received[0] += count


def _speed(received: int, elapsed: float, cpu: float) -> Speed:
    return Speed(8 * received / 1e9 / elapsed, cpu / (received / 1e9))


def _cpu(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime
