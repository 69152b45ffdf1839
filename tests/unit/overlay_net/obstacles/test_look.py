"""A host whose firewall drops what it forwards, and the commands that a finding gives."""

import contextlib
import subprocess
from collections.abc import Iterator

import pytest

from overlay_net.obstacles.findings import Need, Socket, Tunnel, findings
from overlay_net.obstacles.look import look
from tests.support import wires
from tests.support.mesh import CLIENT, MeshLab
from tests.support.wires import Wires

pytestmark = pytest.mark.root


@pytest.fixture
def lab() -> Iterator[MeshLab]:
    net = Wires()
    with contextlib.closing(net):
        made = MeshLab(net, nodes=(1,), tasks={11: 1})
        with contextlib.closing(made.nft):
            yield made


@pytest.mark.parametrize("iptables", ["iptables-nft", "iptables-legacy"])
def test_the_commands_of_a_finding_let_the_mesh_through(lab: MeshLab, iptables: str) -> None:
    lab.tell(lab.mesh([11]))
    host, need = lab.hosts[1], Need(devices=("ing0",), reached=[("udp", 4789)])
    assert findings(look(host, lab.nft), need) == []
    inside = ["ip", "netns", "exec", host.name]
    for chain in ("FORWARD", "INPUT"):
        subprocess.run([*inside, iptables, "-P", chain, "DROP"], check=True, timeout=30)
    with wires.datagrams(lab.client, "10.97.0.1", 8080) as flow:
        flow.settimeout(0.3)
        flow.send(b"?")
        with pytest.raises(TimeoutError):
            flow.recv(100)
    found = findings(look(host, lab.nft), need)
    assert len(found) == 2
    commands = [command for each in found for command in each.command.split(" && ")]
    for command in commands:
        subprocess.run([*inside, *command.replace('"', "").split()], check=True, timeout=30)
    assert findings(look(host, lab.nft), need) == []
    assert lab.ask(1) == ("t11", CLIENT)


def test_listeners_and_tunnels_are_seen(lab: MeshLab) -> None:
    host = lab.hosts[1]
    lab.net.ip(host, "link add other type vxlan id 77 dstport 4789 dev eth0")
    lab.net.serve(host, "other", 2377)
    found = look(host, lab.nft)
    assert Socket("tcp", 2377, "::") in found.sockets
    assert list(found.tunnels) == [Tunnel("other", 77, 4789)]
