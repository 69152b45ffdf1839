"""Hosts made of namespaces on one bridge, each with a fabric; and what travels between their tasks.

The underlay is laid with `ip`, not with the code under test. Everything ends with the test.
"""

import contextlib
import itertools
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from api.v1 import network_pb2
from hostkit import netns
from overlay_net.fabric.fabric import Done, Fabric
from overlay_net.fabric.hardware import GATEWAY_BRIDGE
from overlay_net.fabric.sandboxes import Sandboxes
from overlay_net.fabric.wanted import Sandbox, Wanted

PREFIX = f"tfab{os.getpid()}-"
_PORTS = itertools.count(20000)
PATIENCE = 20.0
"""Seconds in which who is to be reached has answered, be the machine as busy as it likes."""
NOT_REACHED = 0.4
"""The same where nobody is to: who is reached takes microseconds."""


@dataclass
class FabricHost:
    """A host: its namespace, its fabric, and what it was told."""

    name: str
    address: str
    fabric: Fabric
    wanted: Wanted
    sandboxes: Sandboxes

    @property
    def path(self) -> str:
        return str(netns.path(self.name))

    def converge(self, *, fresh: bool = False) -> Done:
        done = self.fabric.converge(self.wanted, fresh=fresh)
        assert done.failed == ()
        return done

    def ways_out(self) -> dict[str, str]:
        """The address, with prefix length, that each sandbox has at the gateway bridge, by path."""
        return {
            path: address
            for path in self.sandboxes.all().values()
            for leg in self.fabric.legs(path)
            if leg.parent == GATEWAY_BRIDGE
            for address in leg.addresses
        }

    def end(self) -> None:
        """The daemon's end; what it made stays."""
        self.fabric.close()

    def restart(self) -> None:
        """The daemon's end and its next start: it is told everything again."""
        self.end()
        self.fabric = _fabric(self.name, self.address)


@dataclass
class Underlay:
    """All hosts; what is told is told to each of them."""

    hosts: list[FabricHost]
    sandboxes: dict[str, str] = field(default_factory=dict)  # by task

    def tell(self, what: Callable[[Wanted], None]) -> None:
        for host in self.hosts:
            what(host.wanted)

    def network(
        self, id: str, vni: int, subnet: str, *, internal: bool = False, ingress: bool = False
    ) -> None:
        """An overlay."""
        network = network_pb2.NodeNetwork(
            id=id, name=id, driver="overlay", vni=vni, internal=internal, ingress=ingress
        )
        network.pools.add(subnet=subnet)
        self.tell(lambda wanted: wanted.put_network(network))

    def task(self, task: str, host: FabricHost, **addresses: str) -> str:
        """A task with endpoints (network=its addresses, separated by blanks); its sandbox."""
        path = host.sandboxes.make(task)
        host.wanted.put_sandbox(task, Sandbox(path, tuple(addresses)))
        self.sandboxes[task] = path
        for network, given in addresses.items():
            self.endpoint(task, host, network, given)
        return path

    def endpoint(self, task: str, host: FabricHost, network: str, given: str) -> None:
        endpoint = network_pb2.NetworkEndpoint(
            network_id=network, task_id=task, node_id=host.name, addresses=given.split()
        )
        self.tell(lambda wanted: wanted.put_endpoint(endpoint))

    def ingress(self) -> None:
        """An ingress network, in which host n is 10.255.0.n."""
        self.network("ingress", 4096, "10.255.0.0/16", ingress=True)
        for number, host in enumerate(self.hosts, 1):
            self._introduce(host, f"10.255.0.{number}")

    def introduce(self) -> None:
        """Everybody to everybody."""
        for host in self.hosts:
            self._introduce(host)

    def _introduce(self, host: FabricHost, *ingress: str) -> None:
        peer = network_pb2.NetworkPeer(
            node_id=host.name, data_path_address=host.address, ingress_addresses=ingress
        )
        self.tell(lambda wanted: wanted.put_peer(peer))

    def converge(self) -> None:
        for host in self.hosts:
            host.converge()


@contextlib.contextmanager
def underlay(count: int, *, mtu: int = 1500, ipv6: bool = False) -> Iterator[Underlay]:
    """So many hosts at 10.99.0.1 and up, or fd99::1 and up."""
    with contextlib.ExitStack() as stack:
        wire = PREFIX + "wire"
        stack.callback(remove_namespaces, PREFIX)
        netns.create(wire)
        ip(wire, f"link add br0 mtu {mtu} type bridge forward_delay 0", "link set br0 up")
        hosts = [_host(stack, wire, number, mtu, ipv6) for number in range(1, count + 1)]
        laid = Underlay(hosts)
        laid.introduce()
        yield laid


def _host(stack: contextlib.ExitStack, wire: str, number: int, mtu: int, ipv6: bool) -> FabricHost:
    name = f"{PREFIX}h{number}"
    address = f"fd99::{number}" if ipv6 else f"10.99.0.{number}"
    netns.create(name)
    ip(wire, f"link add p{number} mtu {mtu} type veth peer name eth0 mtu {mtu} netns {name}")
    ip(wire, f"link set p{number} master br0 up")
    nodad = " nodad" if ipv6 else ""
    ip(name, "link set lo up", f"addr add {address}/{64 if ipv6 else 24} dev eth0{nodad}")
    ip(name, "link set eth0 up")
    host = FabricHost(
        name, address, _fabric(name, address), Wanted(name), Sandboxes(f"{name}-task-")
    )
    stack.callback(host.end)
    return host


def _fabric(name: str, address: str) -> Fabric:
    return Fabric(
        lambda text: nft(name, text),
        address,
        namespace=f"{name}-fabric",
        host=str(netns.path(name)),
    )


def look(namespace: str, what: str) -> str:
    """What `ip` shows of a namespace."""
    done = subprocess.run(
        ["ip", "-n", namespace, *what.split()],
        check=True,
        capture_output=True,
        text=True,
        timeout=20,
    )
    return done.stdout


def remove_namespaces(prefix: str) -> None:
    """All whose names begin so."""
    for path in list(netns.DIRECTORY.iterdir()) if netns.DIRECTORY.is_dir() else []:
        if path.name.startswith(prefix):
            netns.delete(path.name)


def ip(namespace: str, *commands: str) -> None:
    """Commands of `ip` inside a namespace."""
    subprocess.run(
        ["ip", "-n", namespace, "-batch", "-"],
        input="\n".join(commands) + "\n",
        check=True,
        text=True,
        timeout=20,
    )


def nft(namespace: str, text: str) -> None:
    """Commands of nft inside a namespace, as one transaction."""
    subprocess.run(
        ["nsenter", f"--net={netns.path(namespace)}", "nft", "-f", "-"],
        input=text.encode(),
        check=True,
        timeout=20,
    )


def bridge(namespace: str, command: str) -> str:
    """What `bridge` says inside a namespace."""
    done = subprocess.run(
        ["bridge", "-n", namespace, *command.split()],
        check=True,
        capture_output=True,
        text=True,
        timeout=20,
    )
    return done.stdout


def listening(path: str | Path, address: str = "::", port: int = 0) -> socket.socket:
    """A TCP socket that listens inside a namespace."""

    def make() -> socket.socket:
        made = socket.create_server(
            (address, port or next(_PORTS)),
            family=socket.AF_INET6 if ":" in address else socket.AF_INET,
            dualstack_ipv6=address == "::",
        )
        made.settimeout(PATIENCE)
        return made

    return netns.call_in(path, make)


def connected(
    path: str | Path, address: str, port: int, patience: float = PATIENCE
) -> socket.socket | None:
    """A TCP connection from inside a namespace; None if there is no answer in time."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = netns.call_in(path, lambda: socket.socket(family, socket.SOCK_STREAM))
    made.settimeout(patience)
    try:
        made.connect((address, port))
    except OSError:
        made.close()
        return None
    made.settimeout(PATIENCE)
    return made


def cut_off(source: str, target: str, address: str) -> bool:
    """The contrary of `reaches`, soon told."""
    return not reaches(source, target, address, NOT_REACHED)


def reaches(source: str, target: str, address: str, patience: float = PATIENCE) -> bool:
    """Whether who is in `source` and asks for `address` talks with who is in `target`."""
    with listening(target) as server:
        port = server.getsockname()[1]
        made = connected(source, address, port, patience)
        if made is None:
            return False
        with made, server.accept()[0] as taken:
            taken.settimeout(PATIENCE)
            made.sendall(b"ask")
            asked = taken.recv(3)
            taken.sendall(b"answer")
            return (asked, made.recv(6)) == (b"ask", b"answer")


def seen_as(source: str, target: str, address: str) -> str:
    """The address under which `target` sees who is in `source`."""
    with listening(target) as server:
        made = connected(source, address, server.getsockname()[1])
        assert made is not None
        with made, server.accept()[0] as taken:
            peer: str = taken.getpeername()[0]
            return peer.removeprefix("::ffff:")


class Talk:
    """A TCP connection that is held, and used from time to time."""

    def __init__(self, source: str, target: str, address: str) -> None:
        with listening(target) as server:
            made = connected(source, address, server.getsockname()[1])
            assert made is not None, f"{address} does not answer"
            self._ends = (made, server.accept()[0])
        self._ends[1].settimeout(PATIENCE)

    def goes_on(self, size: int = 300_000) -> bool:
        """Whether so many bytes still come through, both ways."""
        return all(self._through(*ends, size) for ends in (self._ends, self._ends[::-1]))

    def _through(self, source: socket.socket, target: socket.socket, size: int) -> bool:
        left = got = size
        while got:
            if left:
                left -= source.send(bytes(min(left, 20_000)))
            got -= len(target.recv(1 << 20))
        return True

    def close(self) -> None:
        for end in self._ends:
            end.close()


class Datagrams:
    """A way of one task to another, by which they are sent and counted."""

    def __init__(self, source: str, target: str, address: str) -> None:
        def made(at: str) -> socket.socket:
            return netns.call_in(at, lambda: socket.socket(type=socket.SOCK_DGRAM))

        self._out, self._in = made(source), made(target)
        self._in.bind(("", 0))
        self._in.settimeout(PATIENCE)
        self._out.connect((address, self._in.getsockname()[1]))
        self._under_way = 0

    def __enter__(self) -> "Datagrams":
        return self

    def __exit__(self, *_: object) -> None:
        self._out.close()
        self._in.close()

    def send(self, many: int) -> None:
        for _ in range(many):
            self._out.send(b"x")
        self._under_way += many

    def received(self) -> int:
        """How many came since the last call: all that are sent, or until none comes for a while."""
        many = 0
        with contextlib.suppress(TimeoutError):
            while many < self._under_way:
                self._in.recv(9)
                many += 1
        self._under_way -= many
        return many
