"""The figures of the way between tasks: between two nodes, on one node, and beside it between the
nodes themselves, all in turns within one run.

Sockets are this process', inside the network stacks of real tasks that the daemons of the lab
joined to an overlay network; a noisy machine is noisy to all lanes of a round.
"""

import asyncio
import statistics
from collections.abc import Callable, Mapping
from typing import TypeVar

from benchmarks import pump, stacks
from benchmarks.figure import Measured
from benchmarks.pump import Lane
from benchmarks.swarm import Swarm

T = TypeVar("T")

ROUNDS = 7
FIGURES = ("path_tcp", "path_udp", "path_rtt", "path_cpu", "vip_connects")
_OVERLAY, _UNDERLAY, _SAME = "overlay", "underlay", "same_node"


async def measure(swarm: Swarm) -> dict[str, Measured]:
    """All of them, with tasks on the manager and on the worker."""
    async with stacks.network(swarm):
        asking, client = await stacks.stack_on(swarm, "m1")
        near, neighbour = await stacks.stack_on(swarm, "m1")
        far, server = await stacks.stack_on(swarm, "w1")
        hosts = [stacks.of_host(swarm.lab.host(name)) for name in ("m1", "w1")]
        virtual = await stacks.virtual_address(swarm, far.id)
        lanes = {
            _OVERLAY: Lane(client.path, server.path, server.address),
            _UNDERLAY: Lane(hosts[0].path, hosts[1].path, hosts[1].address),
            _SAME: Lane(client.path, neighbour.path, neighbour.address),
        }
        found = await asyncio.to_thread(_measure, lanes, virtual)
        for each in (asking, near, far):
            await swarm.until_gone(each.id)
    return found


def _measure(lanes: Mapping[str, Lane], virtual: str) -> dict[str, Measured]:
    tcp = _rounds(pump.tcp, lanes)
    udp = _rounds(pump.udp, lanes)
    trips = _rounds(pump.round_trip, lanes)
    rates = [pump.connects(lanes[_OVERLAY], virtual) for _ in range(ROUNDS)]
    costs = {name: [each.cpu_per_gb for each in tcp[name]] for name in lanes}
    udp_costs = {f"udp_{name}": [each.cpu_per_gb for each in udp[name]] for name in lanes}
    medians = {name: [each[0] for each in trips[name]] for name in lanes}
    slowest = {f"{name}_p999": [each[1] for each in trips[name]] for name in lanes}
    return {
        "path_tcp": _shares({name: [each.gbit for each in tcp[name]] for name in lanes}),
        "path_udp": _shares({name: [each.gbit for each in udp[name]] for name in lanes}),
        "path_rtt": _beside(medians, slowest),
        "path_cpu": _beside(costs, udp_costs),
        "vip_connects": Measured(
            [through / direct for direct, through in rates],
            {"per_second": statistics.median(through for _, through in rates)},
        ),
    }


def _rounds(run: Callable[[Lane], T], lanes: Mapping[str, Lane]) -> dict[str, list[T]]:
    """Each lane once a round, one after another; every other round the other way round."""
    found: dict[str, list[T]] = {name: [] for name in lanes}
    for number in range(ROUNDS):
        for name in sorted(lanes, reverse=bool(number % 2)):
            found[name].append(run(lanes[name]))
    return found


def _shares(gbit: Mapping[str, list[float]]) -> Measured:
    """The overlay's as a share of the underlay's, round by round."""
    pairs = zip(gbit[_OVERLAY], gbit[_UNDERLAY], strict=True)
    beside = {f"{name}_gbit": statistics.median(runs) for name, runs in gbit.items()}
    return Measured([overlay / underlay for overlay, underlay in pairs], beside)


def _beside(runs: dict[str, list[float]], more: dict[str, list[float]]) -> Measured:
    """The overlay's own, with the others' medians."""
    others = {name: each for name, each in (runs | more).items() if name != _OVERLAY}
    return Measured(
        runs[_OVERLAY], {name: statistics.median(each) for name, each in others.items()}
    )
