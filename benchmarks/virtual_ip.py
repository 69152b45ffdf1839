"""The figures vip_program_*: what it costs the daemon to tell one container of a service's change.

A network namespace, no swarm; what virtual addresses cost their clients is measured in `traffic`.
"""

import contextlib
import os
import resource
import statistics
import time
from collections.abc import Callable, Iterator, Mapping

from benchmarks.figure import Measured
from hostkit import netns
from overlay_net.balance.shell import Balance, Sandbox
from overlay_net.balance.views import Service, View
from overlay_net.nft import LibNft

RUNS = 7
_CHANGES = 20


def program(tasks: int) -> Measured:
    """vip_program_*: milliseconds of CPU for each change of one task among so many."""
    addresses = tuple(f"10.0.{2 + n // 250}.{1 + n % 250}" for n in range(tasks))
    found, walls = [], []
    with _client() as tell:
        tell(addresses)
        for _ in range(RUNS):
            before, begun = _cpu(), time.perf_counter()
            for n in range(_CHANGES):
                tell(addresses[:-1] if n % 2 == 0 else addresses)
            walls.append((time.perf_counter() - begun) / _CHANGES * 1000)
            found.append((_cpu() - before) / _CHANGES * 1000)
    return Measured(found, {"wall_ms": statistics.median(walls)})


MEASURES: Mapping[str, Callable[[], Measured]] = {
    "vip_program_10": lambda: program(10),
    "vip_program_100": lambda: program(100),
    "vip_program_1k": lambda: program(1000),
}


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


@contextlib.contextmanager
def _client() -> Iterator[Callable[[tuple[str, ...]], None]]:
    """A container's namespace; it is told who serves."""
    name = f"bench-{os.getpid()}-client"
    netns.create(name)
    try:
        with contextlib.closing(LibNft()) as nft:
            balance = Balance(nft)
            sandbox = Sandbox("bench", netns.path(name), ("n",), ("10.0.0.0/16",))

            def tell(addresses: tuple[str, ...]) -> None:
                service = Service("web", ("10.0.1.2",), addresses, sticky=False)
                balance.apply(sandbox, {"n": View((service,), frozenset(addresses))})

            yield tell
    finally:
        netns.delete(name)
