"""Three hosts of namespaces, and what their tasks reach: the fabric in a real kernel."""

import contextlib
import errno
import pickle
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from api.errors import Code
from api.v1 import network_pb2
from hostkit import netns
from overlay_net.fabric.sandboxes import Sandboxes
from overlay_net.fabric.wanted import Sandbox
from tests.support.fabric_hosts import (
    PATIENCE,
    Talk,
    Underlay,
    bridge,
    cut_off,
    ip,
    listening,
    look,
    reaches,
    seen_as,
    underlay,
)

pytestmark = pytest.mark.root


@pytest.fixture
def laid() -> Iterator[Underlay]:
    with underlay(3) as found:
        found.network("front", 4097, "10.0.1.0/24")
        yield found


@pytest.fixture
def two(laid: Underlay) -> tuple[str, str]:
    """A task on each of the first two hosts, in network front."""
    one = laid.task("one", laid.hosts[0], front="10.0.1.5/24 fd01::5/64")
    two = laid.task("two", laid.hosts[1], front="10.0.1.6/24 fd01::6/64")
    laid.converge()
    return one, two


def test_tasks_of_a_network_meet_wherever_they_are(laid: Underlay, two: tuple[str, str]) -> None:
    beside = laid.task("beside", laid.hosts[0], front="10.0.1.7/24 fd01::7/64")
    laid.converge()
    everybody = {"5": two[0], "6": two[1], "7": beside}
    for source in everybody.values():
        for number, target in everybody.items():
            assert reaches(source, target, f"10.0.1.{number}")
            assert reaches(source, target, f"fd01::{number}")
    assert seen_as(two[0], two[1], "10.0.1.6") == "10.0.1.5"


def test_networks_are_apart(laid: Underlay, two: tuple[str, str]) -> None:
    laid.network("back", 4098, "10.0.2.0/24", internal=True)
    same_node = laid.task("b1", laid.hosts[0], back="10.0.2.5/24")
    other_node = laid.task("b2", laid.hosts[1], back="10.0.2.6/24")
    laid.converge()
    assert reaches(same_node, other_node, "10.0.2.6")
    for source, target, address in (
        (same_node, two[0], "10.0.1.5"),
        (same_node, two[1], "10.0.1.6"),
        (two[0], same_node, "10.0.2.5"),
        (two[0], other_node, "10.0.2.6"),
        (laid.hosts[0].path, two[0], "10.0.1.5"),
        (laid.hosts[0].path, two[1], "10.0.1.6"),
    ):
        assert cut_off(source, target, address)


def test_a_task_in_two_networks(laid: Underlay, two: tuple[str, str]) -> None:
    laid.network("back", 4098, "10.0.2.0/24")
    both = laid.task("both", laid.hosts[2], back="10.0.2.5/24", front="10.0.1.9/24")
    far = laid.task("far", laid.hosts[0], back="10.0.2.6/24")
    laid.converge()
    assert reaches(both, two[0], "10.0.1.5")
    assert reaches(both, far, "10.0.2.6")
    shown = look(Path(both).name, "-o -4 addr show")
    assert "eth0    inet 10.0.2.5/24" in shown
    assert "eth1    inet 10.0.1.9/24" in shown
    assert "eth2    inet 172.18." in shown


def test_frames_are_as_large_as_the_underlay_lets_them_be() -> None:
    with underlay(2, mtu=1400) as laid:
        laid.network("front", 4097, "10.0.1.0/24")
        one = laid.task("one", laid.hosts[0], front="10.0.1.5/24")
        two = laid.task("two", laid.hosts[1], front="10.0.1.6/24")
        laid.converge()
        assert largest(one, two, "10.0.1.6") == 1350
        with contextlib.closing(Talk(one, two, "10.0.1.6")) as talk:
            assert talk.goes_on(2_000_000)


def test_frames_too_small_for_ipv6(laid: Underlay) -> None:
    small = network_pb2.NodeNetwork(id="small", name="small", driver="overlay", vni=4100, mtu=1000)
    small.pools.add(subnet="10.0.4.0/24")
    laid.tell(lambda wanted: wanted.put_network(small))
    bridged = network_pb2.NodeNetwork(id="sbr", name="sbr", driver="bridge", mtu=1000)
    bridged.pools.add(subnet="10.5.0.0/24", gateway="10.5.0.1")
    laid.tell(lambda wanted: wanted.put_network(bridged))
    one = laid.task("one", laid.hosts[0], small="10.0.4.5/24", sbr="10.5.0.5/24")
    two = laid.task("two", laid.hosts[1], small="10.0.4.6/24")
    laid.converge()
    assert largest(one, two, "10.0.4.6") == 1000
    assert seen_as(one, laid.hosts[1].path, "10.99.0.2") == laid.hosts[0].address


def largest(source: str, target: str, address: str) -> int:
    """The largest IPv4 packet that goes through in one piece."""

    def sender() -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.setsockopt(socket.IPPROTO_IP, 10, 2)  # IP_MTU_DISCOVER, IP_PMTUDISC_DO
        return made

    def receiver() -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind((address, 0))
        made.settimeout(PATIENCE)
        return made

    with netns.call_in(source, sender) as sent, netns.call_in(target, receiver) as got:
        size = 2000
        while True:
            try:
                sent.sendto(bytes(size), got.getsockname())
            except OSError as error:
                if error.errno != errno.EMSGSIZE:
                    raise
                size -= 1
                continue
            assert len(got.recv(3000)) == size
            return size + 28


def test_an_underlay_of_ipv6() -> None:
    with underlay(2, ipv6=True) as laid:
        laid.network("front", 4097, "10.0.1.0/24")
        one = laid.task("one", laid.hosts[0], front="10.0.1.5/24 fd01::5/64")
        two = laid.task("two", laid.hosts[1], front="10.0.1.6/24 fd01::6/64")
        laid.converge()
        assert reaches(one, two, "10.0.1.6")
        assert reaches(two, one, "fd01::5")
        assert largest(one, two, "10.0.1.6") == 1430


def test_an_address_that_moves_to_another_node(laid: Underlay, two: tuple[str, str]) -> None:
    assert reaches(two[0], two[1], "10.0.1.6")
    laid.hosts[1].wanted.drop_sandbox("two")
    laid.tell(lambda wanted: wanted.drop_endpoint("front", "two"))
    heir = laid.task("heir", laid.hosts[2], front="10.0.1.6/24 fd01::6/64")
    laid.converge()
    assert reaches(two[0], heir, "10.0.1.6")
    assert reaches(two[0], heir, "fd01::6")
    back = laid.task("back", laid.hosts[0], front="10.0.1.6/24")
    laid.hosts[2].wanted.drop_sandbox("heir")
    laid.tell(lambda wanted: wanted.drop_endpoint("front", "heir"))
    laid.converge()
    assert reaches(two[0], back, "10.0.1.6")


def test_a_dead_node_leaves_no_entry(laid: Underlay, two: tuple[str, str]) -> None:
    first = laid.hosts[0]
    dead = laid.hosts[1]
    laid.ingress()
    laid.converge()
    assert dead.address in entries_of(first.name)
    first.wanted.drop_peer(dead.name)
    first.converge()
    left = entries_of(first.name)
    assert dead.address not in left
    assert "10.0.1.6" not in left
    assert "10.255.0.2" not in left
    assert "10.255.0.3" in left


def entries_of(host: str) -> str:
    """All that the fabric's tunnels of a host know."""
    fabric = f"{host}-fabric"
    return bridge(fabric, "fdb show") + look(fabric, "neigh show")


def test_a_restart_disturbs_no_flow(laid: Underlay, two: tuple[str, str]) -> None:
    talks = [Talk(two[0], two[1], "10.0.1.6"), Talk(two[1], laid.hosts[2].path, "10.99.0.3")]
    for host in laid.hosts:
        host.restart()
        assert all(talk.goes_on() for talk in talks)
        done = host.converge()
        assert [str(step) for step in done.operations if "packet filter" not in str(step)] == []
        assert host.converge().operations == ()
        assert all(talk.goes_on() for talk in talks)
    with ThreadPoolExecutor(1) as pool:
        flow = pool.submit(talks[0].goes_on, 30_000_000)
        while not flow.done():
            for host in laid.hosts:
                host.converge(fresh=True)
        assert flow.result()
    for talk in talks:
        talk.close()


_ANOTHER = """
import pickle, sys
from overlay_net.fabric.fabric import Fabric
name, address, host = sys.argv[1:]
fabric = Fabric(lambda text: None, address, namespace=name, host=host)
done = fabric.converge(pickle.load(sys.stdin.buffer))
assert not done.failed, done.failed
"""


def test_it_outlives_the_process_that_made_it(laid: Underlay) -> None:
    one = laid.task("one", laid.hosts[0], front="10.0.1.5/24")
    two = laid.task("two", laid.hosts[1], front="10.0.1.6/24")
    for host in laid.hosts:
        host.end()
        command = [sys.executable, "-c", _ANOTHER, f"{host.name}-fabric", host.address, host.path]
        subprocess.run(command, input=pickle.dumps(host.wanted), check=True, timeout=30)
    with contextlib.closing(Talk(one, two, "10.0.1.6")) as talk:
        laid.hosts[0].restart()
        laid.hosts[0].converge()
        assert talk.goes_on()


def test_leftovers_go(laid: Underlay, two: tuple[str, str]) -> None:
    host = laid.hosts[0]
    fabric = f"{host.name}-fabric"
    laid.network("old", 4099, "10.0.3.0/24")
    host.converge()
    leaver = laid.task("leaver", host, front="10.0.1.8/24")
    host.converge()
    # It was to leave its network, and the daemon died before it saw to that.
    laid.tell(lambda wanted: wanted.drop_endpoint("front", "leaver"))
    ip(
        fabric,
        "link set vx4097 mtu 1400",
        "neigh add 10.0.1.99 lladdr 02:42:0a:00:01:63 dev vx4097 nud permanent",
        "neigh replace 10.0.1.6 lladdr 02:42:0a:00:01:63 dev vx4097 nud permanent",
    )
    bridge(fabric, "fdb add 02:42:0a:00:01:63 dev vx4097 dst 10.99.0.3 self permanent")
    bridge(fabric, "fdb replace 02:42:0a:00:01:06 dev vx4097 dst 10.99.0.3 self permanent")
    ip(host.name, "link add swpstray type veth peer name other", "link set swb-gateway down")
    ip(Path(two[0]).name, "addr add 10.0.1.77/24 dev eth0", "route del default")
    laid.hosts[0].wanted.drop_network("old")
    host.restart()
    host.converge()
    assert "10.0.1.99" not in entries_of(host.name)
    assert "10.99.0.3" not in entries_of(host.name)
    assert "swpstray" not in look(host.name, "link show")
    assert "10.0.1.77" not in look(Path(two[0]).name, "addr show")
    assert "eth" not in look(Path(leaver).name, "link show")
    assert "vx4099" not in look(fabric, "link show")
    assert reaches(two[0], two[1], "10.0.1.6")
    assert seen_as(two[0], laid.hosts[2].path, "10.99.0.3") == host.address
    assert largest(two[0], two[1], "10.0.1.6") == 1450


def test_the_way_out_is_the_hosts_and_nobody_meets_there(
    laid: Underlay, two: tuple[str, str]
) -> None:
    beside = laid.task("beside", laid.hosts[0], front="10.0.1.7/24")
    laid.hosts[0].converge()
    ways_out = laid.hosts[0].ways_out()
    assert seen_as(two[0], laid.hosts[2].path, "10.99.0.3") == "10.99.0.1"
    assert ways_out.keys() == {two[0], beside}
    outer = ways_out[beside].removesuffix("/16")
    assert reaches(laid.hosts[0].path, beside, outer)
    assert cut_off(two[0], beside, outer)
    assert reaches(two[0], laid.hosts[0].path, "172.18.0.1")


def test_the_very_first_frame_goes_through(laid: Underlay) -> None:
    """Unless they are waited for, bridges and IPv6 addresses let nothing through at first."""
    host, other = laid.hosts[:2]
    for number in range(2, 32):
        name, own, far = f"n{number}", f"fd01:{number}::2", f"fd01:{number}::3"
        laid.network(name, 5000 + number, f"10.1.{number}.0/24")
        near = laid.task(f"near{number}", host, **{name: f"10.1.{number}.2/24 {own}/64"})
        away = laid.task(f"away{number}", other, **{name: f"10.1.{number}.3/24 {far}/64"})
        other.converge()
        host.converge()
        outer = host.ways_out()[near].removesuffix("/16")
        assert reaches(host.path, near, outer)
        assert reaches(away, near, own)


def test_bridges_are_a_hosts_own(laid: Underlay) -> None:
    host = laid.hosts[0]
    for id, number, internal in (("red", 5, False), ("blue", 6, False), ("shut", 7, True)):
        network = network_pb2.NodeNetwork(id=id, name=id, driver="bridge", internal=internal)
        network.pools.add(subnet=f"10.{number}.0.0/24", gateway=f"10.{number}.0.1")
        network.pools.add(subnet=f"fd0{number}::/64", gateway=f"fd0{number}::1")
        host.wanted.put_network(network)
    red = laid.task("red1", host, red="10.5.0.5/24 fd05::5/64")
    red_too = laid.task("red2", host, red="10.5.0.6/24 fd05::6/64")
    blue = laid.task("blue1", host, blue="10.6.0.5/24 fd06::5/64")
    shut = laid.task("shut1", host, shut="10.7.0.5/24 fd07::5/64")
    shut_too = laid.task("shut2", host, shut="10.7.0.6/24 fd07::6/64")
    host.converge()
    for each, number in ((host, 1), (laid.hosts[2], 3)):
        ip(each.name, f"addr add fd98::{number}/64 dev eth0 nodad")
    outside = laid.hosts[2].path
    assert reaches(red, red_too, "10.5.0.6")
    assert reaches(shut, shut_too, "10.7.0.6")
    assert reaches(red, red_too, "fd05::6")
    assert seen_as(red, outside, "10.99.0.3") == host.address
    assert seen_as(red, outside, "fd98::3") == "fd98::1"
    assert reaches(host.path, red, "10.5.0.5")
    for source, target, address in (
        (red, blue, "10.6.0.5"),
        (blue, red, "10.5.0.5"),
        (red, blue, "fd06::5"),
        (shut, outside, "fd98::3"),
        (red, shut, "10.7.0.5"),
        (shut, red, "10.5.0.5"),
        (shut, outside, "10.99.0.3"),
    ):
        assert cut_off(source, target, address)
    ip(laid.hosts[2].name, f"route add 10.5.0.0/24 via {host.address}")
    assert cut_off(outside, red, "10.5.0.5")
    assert "dadfailed" not in look(Path(red).name, "addr show")  # a port sends back what came by it


def test_a_bridge_changes_in_place(laid: Underlay) -> None:
    host = laid.hosts[0]

    def network(**fields: Any) -> None:
        made = network_pb2.NodeNetwork(id="red", name="red", driver="bridge", **fields)
        made.pools.add(subnet="10.5.0.0/24", gateway=f"10.5.0.{len(fields) + 1}")
        host.wanted.put_network(made)
        host.converge()

    red = laid.task("red1", host, red="10.5.0.5/24")
    network()
    assert "default via 10.5.0.1" in look(Path(red).name, "route show")
    with contextlib.closing(Talk(red, laid.hosts[2].path, "10.99.0.3")) as talk:
        network(mtu=1400)
        assert "10.5.0.1/24" not in look(host.name, "addr show")
        assert "default via 10.5.0.2" in look(Path(red).name, "route show")
        assert "mtu 1400" in look(Path(red).name, "link show eth0")
        assert talk.goes_on()
    network(mtu=1400, internal=True)
    assert "default" not in look(Path(red).name, "route show")
    assert reaches(host.path, red, "10.5.0.5")


def test_macvlan_stands_on_a_device_of_the_host(laid: Underlay) -> None:
    network = network_pb2.NodeNetwork(id="lan", name="lan", driver="macvlan")
    network.driver_options["parent"] = "eth0"
    network.pools.add(subnet="10.99.0.0/24", gateway="10.99.0.3")
    laid.tell(lambda wanted: wanted.put_network(network))
    one = laid.task("one", laid.hosts[0], lan="10.99.0.50/24")
    laid.converge()
    assert seen_as(one, laid.hosts[1].path, "10.99.0.2") == "10.99.0.50"
    assert reaches(laid.hosts[1].path, one, "10.99.0.50")
    assert "default via 10.99.0.3" in look(Path(one).name, "route show")
    laid.hosts[0].restart()
    assert str(laid.hosts[0].converge().operations).count("Leg") == 0


def test_a_running_task_is_connected_and_disconnected(laid: Underlay, two: tuple[str, str]) -> None:
    first = laid.hosts[0]
    with contextlib.closing(Talk(two[0], two[1], "10.0.1.6")) as talk:
        laid.network("back", 4098, "10.0.2.0/24")
        far = laid.task("far", laid.hosts[2], back="10.0.2.6/24")
        laid.endpoint("one", first, "back", "10.0.2.5/24")
        laid.converge()
        assert reaches(two[0], far, "10.0.2.6")
        assert talk.goes_on()
        assert "eth2    inet 10.0.2.5/24" in look(Path(two[0]).name, "-o -4 addr show")
        laid.tell(lambda wanted: wanted.drop_endpoint("back", "one"))
        laid.converge()
        assert cut_off(two[0], far, "10.0.2.6")
        assert talk.goes_on()
        assert seen_as(two[0], laid.hosts[2].path, "10.99.0.3") == first.address


def test_the_host_stands_in_the_ingress_network(laid: Underlay) -> None:
    laid.ingress()
    near = laid.task("near", laid.hosts[0], ingress="10.255.0.20/16")
    far = laid.task("far", laid.hosts[1], ingress="10.255.0.21/16")
    laid.converge()
    host = laid.hosts[0].path
    assert "10.255." not in look(laid.hosts[0].name, "route show"), "its routes are its own"
    look(laid.hosts[0].name, "route add 10.255.0.0/16 dev ing0 src 10.255.0.1")
    assert seen_as(host, near, "10.255.0.20") == "10.255.0.1"
    assert seen_as(host, far, "10.255.0.21") == "10.255.0.1"
    assert reaches(far, host, "10.255.0.1")
    assert "ing0" in look(Path(far).name, "link show")
    laid.hosts[0].restart()
    laid.hosts[0].converge()
    assert "default" not in look(laid.hosts[0].name, "route show")


def test_what_fails_hinders_nothing_else_and_is_mended(laid: Underlay) -> None:
    host = laid.hosts[0]
    good = laid.task("good", host, front="10.0.1.5/24")
    host.wanted.put_sandbox("gone", Sandbox(f"/run/netns/{host.name}-task-gone"))
    laid.endpoint("gone", host, "front", "10.0.1.6/24")
    broken = netns.path(f"{host.name}-task-broken")
    broken.touch()  # what a crash may leave
    host.wanted.put_sandbox("broken", Sandbox(str(broken)))
    laid.endpoint("broken", host, "front", "10.0.1.7/24")
    done = host.fabric.converge(host.wanted)
    assert done.failed
    codes = {failed.error.code for failed in done.failed}
    assert codes == {Code.NOT_FOUND, Code.INTERNAL}
    assert all("10.0.1.5" not in str(failed.operation) for failed in done.failed)
    assert "10.0.1.5/24" in look(Path(good).name, "addr show")
    gone = host.sandboxes.make("gone")
    host.sandboxes.make("broken")
    assert host.converge().operations
    assert reaches(good, gone, "10.0.1.6")


def test_what_went_by_itself_is_no_failure(laid: Underlay, two: tuple[str, str]) -> None:
    host = laid.hosts[0]
    fabric = f"{host.name}-fabric"
    bridge(fabric, "fdb del 02:42:0a:00:01:06 dev vx4097 dst 10.99.0.2 self")
    laid.tell(lambda wanted: wanted.drop_endpoint("front", "two"))
    assert host.converge().operations
    assert "10.0.1.6" not in entries_of(host.name)
    ip(Path(two[0]).name, "link del eth0")
    ip(fabric, "link del vx4097")
    host.wanted.drop_sandbox("one")
    host.wanted.drop_network("front")
    assert host.converge().operations
    assert host.converge(fresh=True).operations


def test_an_address_that_something_unseen_holds(laid: Underlay, two: tuple[str, str]) -> None:
    host = laid.hosts[0]
    with open(two[0], "rb"):  # as a process would that outlives its sandbox's name
        host.sandboxes.remove("one")
        host.wanted.drop_sandbox("one")
        laid.tell(lambda wanted: wanted.drop_endpoint("front", "one"))
        host.restart()
        laid.task("heir", host, front="10.0.1.5/24")
        (failed,) = host.fabric.converge(host.wanted).failed
        assert failed.error.code is Code.EXISTS
        assert "lsns -t net" in failed.error.remedy


def test_entries_that_the_kernel_refuses(laid: Underlay) -> None:
    host = laid.hosts[0]
    laid.endpoint("odd", laid.hosts[1], "front", "10.0.1.9/24")
    laid.endpoint("six", laid.hosts[1], "front", "10.0.1.8/24")
    peer = network_pb2.NetworkPeer(node_id=laid.hosts[1].name, data_path_address="fd99::2")
    host.wanted.put_peer(peer)  # the tunnel is of IPv4
    (failed,) = host.fabric.converge(host.wanted).failed
    assert "entries of vx4097" in str(failed.operation)
    assert "10.0.1.8" in entries_of(host.name)  # one that is refused stops none of the others


def test_more_sandboxes_than_sockets_are_kept(laid: Underlay) -> None:
    host = laid.hosts[0]
    paths = [laid.task(f"t{n}", host, front=f"10.0.1.{n}/24") for n in range(10, 80)]
    host.converge()
    assert reaches(paths[0], paths[-1], "10.0.1.79")
    assert reaches(paths[-1], paths[0], "10.0.1.10")


def test_a_number_that_something_else_uses(laid: Underlay) -> None:
    host = laid.hosts[0]
    ip(host.name, "link add theirs type vxlan id 4097 dstport 4789 local 10.99.0.1")
    (failed,) = host.fabric.converge(host.wanted).failed
    assert failed.error.code is Code.EXISTS
    assert "ip -d link show type vxlan" in failed.error.remedy
    ip(host.name, "link del theirs")
    assert host.converge().operations


def test_sandboxes_are_made_kept_and_removed(laid: Underlay) -> None:
    sandboxes = Sandboxes(f"{laid.hosts[0].name}-kept-")
    path = sandboxes.make("t1")
    inode = Path(path).stat().st_ino
    assert sandboxes.make("t1") == path
    assert Path(path).stat().st_ino == inode
    assert sandboxes.all() == {"t1": path}
    with listening(path, "127.0.0.1") as server:
        assert server.getsockname()[0] == "127.0.0.1"
        assert reaches(path, path, "127.0.0.1")
    ip(Path(path).name, "link set lo down")
    sandboxes.make("t1")
    assert reaches(path, path, "127.0.0.1")
    netns.path(f"{laid.hosts[0].name}-kept-t2").touch()  # what a crash may leave
    assert reaches(sandboxes.make("t2"), str(netns.path(f"{laid.hosts[0].name}-kept-t2")), "::1")
    for task in ("t1", "t2", "t2"):
        sandboxes.remove(task)
    assert sandboxes.all() == {}
