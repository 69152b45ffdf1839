"""dns_gap and update_gap: for how long a task's network fails its programs, while things change.

`dns_gap`: the longest time between two answers of a container's name server, while the daemon of
its node restarts; beside it the datagrams that got lost meanwhile between two tasks. `update_gap`:
the longest time between two answers of a service that is updated, to a client that asks again and
again by its virtual address; beside it how many of its questions failed.
"""

import asyncio
import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import stacks
from benchmarks.dns import NAME_SERVER, question
from benchmarks.figure import Measured
from benchmarks.stacks import Stack
from benchmarks.swarm import WEB, Swarm, all_ready, nodes, until
from benchmarks.update import update
from hostkit import netns

RUNS = 7
TASKS = 4
_APART = 3.0
"""Seconds between restarts: a node may register three times in eight."""
_BEFORE, _AFTER = 0.3, 0.5
_STEP = 0.001
_TIMEOUT = 1.0
_REQUEST = b"GET /cgi-bin/index.cgi HTTP/1.0\r\n\r\n"


class Loop:
    """Does something again and again in a thread, until the end of the block.

    `times`: when it succeeded; `failed`: how often it did not.
    """

    def __init__(self, once: Callable[[], None]) -> None:
        self._once = once
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, name="loop")
        self._error: BaseException | None = None
        self.times: list[float] = []
        self.failed = 0

    @property
    def longest(self) -> float:
        """Seconds between two successes."""
        return max(after - before for before, after in itertools.pairwise(self.times))

    def __enter__(self) -> "Loop":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        while not self._ends.wait(_STEP):
            try:
                self._once()
            except OSError:
                self.failed += 1
            except BaseException as error:  # carried over to whoever waits, whatever it is
                self._error = error
                return
            else:
                self.times.append(time.perf_counter())


async def measure(swarm: Swarm) -> dict[str, Measured]:
    """Both; who asks is on the worker, whose daemon restarts."""
    async with stacks.network(swarm):
        asking, client = await stacks.stack_on(swarm, "w1")
        found = {
            "update_gap": await _updates(swarm, client),
            "dns_gap": await _restarts(swarm, client),
        }
        await swarm.until_gone(asking.id)
    return found


async def _restarts(swarm: Swarm, client: Stack) -> Measured:
    web, server = await stacks.stack_on(swarm, "m1")
    worker, asked = swarm.lab.host("w1"), question(web.spec.annotations.name)
    gaps, lost = [], 0
    for _ in range(RUNS):
        with (
            netns.call_in(client.path, _to_name_server) as sock,
            _flow(client, server) as echoes,
            Loop(lambda sock=sock: _ask(sock, asked)) as names,  # type: ignore[misc]
        ):
            await asyncio.sleep(_BEFORE)
            await worker.stop_daemon()
            stopped = len(names.times)
            await worker.start_daemon()
            await until(lambda: len(names.times) > stopped, "no name is answered")  # noqa: B023
            await asyncio.sleep(_AFTER)
        gaps.append(names.longest)
        lost += echoes.failed
        await all_ready(swarm, len(nodes(swarm.lab)))
        await asyncio.sleep(_APART)
    await swarm.until_gone(web.id)
    return Measured(gaps, {"datagrams_lost": lost})


async def _updates(swarm: Swarm, client: Stack) -> Measured:
    web = await stacks.create(swarm, stacks.spec_on("", TASKS), TASKS)
    virtual = await stacks.virtual_address(swarm, web.id)
    gaps, failed = [], 0
    for run in range(RUNS):
        with Loop(lambda: _get(client.path, virtual)) as loop:
            await asyncio.sleep(_BEFORE)
            await update(swarm, web.id, WEB[(run + 1) % 2])
            await asyncio.sleep(_AFTER)
        gaps.append(loop.longest)
        failed += loop.failed
    await swarm.until_gone(web.id)
    return Measured(gaps, {"failed": failed})


def _to_name_server() -> socket.socket:
    made = socket.socket(type=socket.SOCK_DGRAM)
    made.settimeout(_TIMEOUT)
    made.connect(NAME_SERVER)
    return made


def _ask(sock: socket.socket, asked: bytes) -> None:
    """OSError if the name server is not there."""
    sock.send(asked)
    if sock.recv(512)[7] == 0:
        raise OSError("the name is not known")


@contextlib.contextmanager
def _flow(client: Stack, server: Stack) -> Iterator[Loop]:
    """Datagrams from one task to another and back, one after another."""
    with (
        netns.call_in(server.path, lambda: socket.socket(type=socket.SOCK_DGRAM)) as far,
        netns.call_in(client.path, lambda: socket.socket(type=socket.SOCK_DGRAM)) as near,
    ):
        far.bind((server.address, 0))
        near.connect(far.getsockname())
        for each in (near, far):
            each.settimeout(_TIMEOUT)

        def echo() -> None:
            near.send(b"?")
            far.sendto(*far.recvfrom(64))
            near.recv(64)

        with Loop(echo) as loop:
            yield loop


def _get(inside: Path, address: str) -> None:
    """OSError if the service does not answer in full."""
    with netns.call_in(inside, socket.socket) as made:
        made.settimeout(_TIMEOUT)
        made.connect((address, 80))
        made.sendall(_REQUEST)
        answer = b""
        while piece := made.recv(4096):
            answer += piece
    if b" 200 OK" not in answer or b"web " not in answer:
        raise OSError("the answer is cut short")
