"""overlay_tcp: how fast TCP is through our overlay, over one laid out as Docker does.

Two hosts of namespaces on one bridge. On each stand a task of our fabric and one behind a bridge
with a VXLAN device, made with `ip`. The two are measured in turns, so that a noisy machine is noisy
to both; congestion control is cubic, for bbr hides what an overlay costs.
"""

import contextlib
import os
import statistics
import subprocess
from collections.abc import Iterator, Mapping

from api.v1 import network_pb2
from benchmarks import pump
from benchmarks.figure import Measured
from benchmarks.pump import Lane, Speed
from hostkit import netns
from overlay_net.fabric.fabric import Fabric
from overlay_net.fabric.sandboxes import Sandboxes
from overlay_net.fabric.wanted import Sandbox, Wanted

ROUNDS = 9
_TIMEOUT = 20
_PREFIX = f"bench-tcp-{os.getpid()}-"
_HOSTS = (1, 2)


def measure() -> Measured:
    """The figure; beside it the medians of each side."""
    with _laid() as lanes:
        rounds = [_round(lanes, number) for number in range(ROUNDS)]
    beside = {}
    for name in lanes:
        beside[f"{name}_gbit"] = statistics.median(each[name].gbit for each in rounds)
        beside[f"{name}_cpu_s_per_gb"] = statistics.median(each[name].cpu_per_gb for each in rounds)
    return Measured([each["ours"].gbit / each["as_docker"].gbit for each in rounds], beside)


def _round(lanes: Mapping[str, Lane], number: int) -> dict[str, Speed]:
    """Each lane once; every other round the other way round."""
    order = sorted(lanes, reverse=bool(number % 2))
    return {name: pump.tcp(lanes[name]) for name in order}


@contextlib.contextmanager
def _laid() -> Iterator[dict[str, Lane]]:
    with contextlib.ExitStack() as stack:
        stack.callback(_remove)
        _namespace("wire")
        _ip("wire", "link add br0 type bridge forward_delay 0", "link set br0 up")
        for number in _HOSTS:
            _host(number)
        for number in _HOSTS:
            stack.enter_context(contextlib.closing(_ours(number)))
            _as_docker(number, 3 - number)
        yield {
            "ours": _lane("h1-1", "h2-2", "10.1.1.2"),
            "as_docker": _lane("d1", "d2", "10.2.1.2"),
            "underlay": _lane("h1", "h2", "10.99.0.2"),
        }


def _lane(source: str, target: str, address: str) -> Lane:
    return Lane(netns.path(_PREFIX + source), netns.path(_PREFIX + target), address)


def _host(number: int) -> None:
    _namespace(f"h{number}")
    _ip(
        "wire",
        f"link add p{number} type veth peer name eth0 netns {_PREFIX}h{number}",
        f"link set p{number} master br0 up",
    )
    _ip(f"h{number}", f"addr add 10.99.0.{number}/24 dev eth0", "link set eth0 up")


def _ours(number: int) -> Fabric:
    """A task in an overlay of our fabric, in a namespace named for host and task."""
    name = f"{_PREFIX}h{number}"
    wanted = Wanted(f"h{number}")
    network = network_pb2.NodeNetwork(id="n", name="n", driver="overlay", vni=100, internal=True)
    network.pools.add(subnet="10.1.1.0/24")
    wanted.put_network(network)
    for each in _HOSTS:
        wanted.put_peer(
            network_pb2.NetworkPeer(node_id=f"h{each}", data_path_address=f"10.99.0.{each}")
        )
        wanted.put_endpoint(
            network_pb2.NetworkEndpoint(
                network_id="n",
                task_id=str(each),
                node_id=f"h{each}",
                addresses=[f"10.1.1.{each}/24"],
            )
        )
    wanted.put_sandbox(str(number), Sandbox(Sandboxes(f"{name}-").make(str(number))))
    fabric = Fabric(
        lambda text: None,
        f"10.99.0.{number}",
        namespace=f"{name}-own",
        host=str(netns.path(name)),
    )
    assert not fabric.converge(wanted).failed
    return fabric


def _as_docker(number: int, other: int) -> None:
    """A sandbox with a bridge and a VXLAN device, and a task behind it."""
    for name in (f"s{number}", f"d{number}"):
        _namespace(name)
    mac, remote = f"02:42:0a:02:01:0{number}", f"02:42:0a:02:01:0{other}"
    _ip(
        f"h{number}",
        f"link add vx type vxlan id 200 local 10.99.0.{number} dstport 4789 nolearning proxy "
        "l2miss l3miss",
        f"link set vx netns {_PREFIX}s{number}",
    )
    _ip(
        f"s{number}",
        "link add br0 type bridge forward_delay 0 mcast_snooping 0",
        "link set vx mtu 1450 master br0 up",
        f"link add v0 mtu 1450 type veth peer name eth0 mtu 1450 address {mac} "
        f"netns {_PREFIX}d{number}",
        "link set v0 master br0 up",
        "link set br0 mtu 1450 up",
        f"neigh add 10.2.1.{other} lladdr {remote} dev vx nud permanent",
    )
    fdb = f"fdb add {remote} dev vx dst 10.99.0.{other} self permanent"
    _run("bridge", "-n", f"{_PREFIX}s{number}", *fdb.split())
    _ip(f"d{number}", f"addr add 10.2.1.{number}/24 dev eth0", "link set eth0 up")


def _namespace(name: str) -> None:
    netns.create(_PREFIX + name)


def _ip(name: str, *commands: str) -> None:
    for command in commands:
        _run("ip", "-n", _PREFIX + name, *command.split())


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True, timeout=_TIMEOUT)


def _remove() -> None:
    for path in list(netns.DIRECTORY.iterdir()):
        if path.name.startswith(_PREFIX):
            netns.delete(path.name)
