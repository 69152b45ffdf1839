"""What a check of a cluster file tells of hosts."""

from machine.provisioning import Problem
from machine.swarm.seen import HostSeen, Seen
from machine.swarm.wanted import HostWanted, SwarmWanted
from machine.target import Target
from swarmctl.cli.commands.machine.cluster_check import problems


def test_a_host_that_is_to_be_no_node_need_not_be_reached() -> None:
    gone = HostWanted("m2", Target("m2"), is_absent=True)
    hosts = {name: HostWanted(name, Target(name)) for name in ("m1", "w1")}
    old = HostSeen(problems=(Problem("no sudo", "install it"),))
    off = HostSeen(error="no route")
    found = problems(
        SwarmWanted("s", {**hosts, "m2": gone}), Seen({"m1": off, "w1": old, "m2": off})
    )
    assert list(found) == [("m1", "no route", "", True), ("w1", "no sudo", "install it", True)]
