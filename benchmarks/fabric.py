"""The figures of a node's networks: what it costs to join one, and to know whom it reaches.

CPU of this process, the kernel's work for it included. Needs no lab: a namespace stands for the
host, another for its fabric; all go afterwards.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping

from api.v1 import network_pb2
from benchmarks.figure import Measured
from hostkit import netns
from hostkit.netlink import Netlink
from overlay_net.fabric import addresses, links
from overlay_net.fabric.fabric import Fabric
from overlay_net.fabric.sandboxes import Sandboxes
from overlay_net.fabric.wanted import Sandbox, Wanted

ME, OTHER = "me", "other"
OTHERS_HERE = 20
ATTACHED = 15
RUNS = 9
_ADDRESS = "10.99.0.1"
_NETWORK = network_pb2.NodeNetwork(id="front", name="front", driver="overlay", vni=4097)
_NETWORK.pools.add(subnet="10.64.0.0/10")


def measure_attach() -> Measured:
    """endpoint_attach; beside it, how much of it is the namespace."""
    with _host() as (fabric, name):
        wanted, sandboxes = _wanted(), Sandboxes(f"{name}-task-")
        runs, making = [], []
        for number in range(OTHERS_HERE + ATTACHED):
            begun = time.process_time()
            path = sandboxes.make(str(number))
            made = time.process_time()
            wanted.put_sandbox(str(number), Sandbox(path))
            wanted.put_endpoint(_endpoint(number, ME))
            assert not fabric.converge(wanted).failed
            runs.append(1000 * (time.process_time() - begun))
            making.append(1000 * (made - begun))
        for number in range(OTHERS_HERE + ATTACHED):
            sandboxes.remove(str(number))
    return Measured(runs[OTHERS_HERE:], {"namespace_ms": min(making)})


def measure_endpoints(count: int) -> Measured:
    """endpoints_*; beside it one endpoint more, and a restart that finds all right."""
    runs, more, restarts = zip(*(_endpoints(count) for _ in range(RUNS)), strict=True)
    return Measured(runs, {"one_more_ms": 1000 * min(more), "restart_s": min(restarts)})


def _endpoints(count: int) -> tuple[float, float, float]:
    with _host() as (fabric, _):
        wanted = _wanted()
        assert not fabric.converge(wanted).failed
        return (
            _cpu(lambda: _reach(fabric, wanted, range(count))),
            _cpu(lambda: _reach(fabric, wanted, range(count, count + 1))),
            _cpu(lambda: _converge(fabric, wanted)),
        )


MEASURES: Mapping[str, Callable[[], Measured]] = {
    "endpoint_attach": measure_attach,
    "endpoints_1k": lambda: measure_endpoints(1_000),
    "endpoints_10k": lambda: measure_endpoints(10_000),
}


def _reach(fabric: Fabric, wanted: Wanted, numbers: range) -> None:
    for number in numbers:
        wanted.put_endpoint(_endpoint(number, OTHER))
    assert not fabric.converge(wanted).failed


def _converge(fabric: Fabric, wanted: Wanted) -> None:
    assert not fabric.converge(wanted, fresh=True).failed


def _cpu(work: Callable[[], None]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def _wanted() -> Wanted:
    wanted = Wanted(ME)
    wanted.put_network(_NETWORK)
    for node, address in ((ME, _ADDRESS), (OTHER, "10.99.0.2")):
        wanted.put_peer(network_pb2.NetworkPeer(node_id=node, data_path_address=address))
    return wanted


def _endpoint(number: int, node: str) -> network_pb2.NetworkEndpoint:
    address = f"10.64.{number // 250 + 1}.{number % 250 + 2}/10"
    return network_pb2.NetworkEndpoint(
        network_id="front", task_id=str(number), node_id=node, addresses=[address]
    )


@contextlib.contextmanager
def a_host(name: str) -> Iterator[None]:
    """A namespace that stands for a host with an address in the underlay."""
    netns.create(name)
    try:
        with Netlink.inside(netns.path(name)) as host:
            host.ask(links.make_bridge("eth0", 1500))
            index = links.read_index(host.get(links.ask_link("eth0")))
            host.ask(addresses.put_address(index, f"{_ADDRESS}/24"))
            host.ask(*links.bring_up(index, link_local=False))
        yield
    finally:
        netns.delete(name)


@contextlib.contextmanager
def _host() -> Iterator[tuple[Fabric, str]]:
    """A host's fabric, and the name of its namespace."""
    name = f"bench-fabric-{os.getpid()}"
    with a_host(name), contextlib.ExitStack() as stack:
        stack.callback(netns.delete, f"{name}-own")
        # Rules are written once, by another program than those of a daemon's usual round.
        fabric = Fabric(
            lambda text: None,
            _ADDRESS,
            namespace=f"{name}-own",
            host=str(netns.path(name)),
        )
        with contextlib.closing(fabric):
            yield fabric, name
