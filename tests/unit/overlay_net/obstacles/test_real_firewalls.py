"""What ufw, firewalld and Docker really write is understood, and what is to be done about it works.

Their rulesets, before and after those commands, were taken from the programs themselves (see
`tests/golden/firewalls/capture`), and stand here in the namespace of a host that carries a mesh.
"""

import contextlib
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from overlay_net.fabric import rules
from overlay_net.obstacles.findings import Need, findings
from overlay_net.obstacles.look import look
from tests.support import wires
from tests.support.mesh import CLIENT, PUBLISHED, MeshLab, address
from tests.support.traffic import at_once
from tests.support.wires import Wires

pytestmark = pytest.mark.root

FIREWALLS = Path(__file__).parents[3] / "golden" / "firewalls"
NEED = Need(devices=("ing0", "swb-gateway"), reached=[("udp", 4789), ("tcp", 2377), ("tcp", 2378)])
SILENT = 4.0
"""Seconds after which who has not answered is barred."""
OWNERS = {"ufw": "ufw", "firewalld": "firewalld", "docker": "Docker"}
WHO = {"t11", "t12", "t11 by IPv6", "t12 by IPv6", "world", "manager"}
"""A task of the host that is asked, one of another host through it; the world from a task; and a
manager on it.
"""
BARRED = {
    "ufw": WHO,
    # It lets pass what was led elsewhere, and out what comes by devices that it does not know.
    "firewalld": {"t12", "t12 by IPv6", "manager"},
    # IPv6, and what comes to the host itself, are not its affair.
    "docker": {"t11", "t12", "world"},
}
"""Who of them is not reached."""


@pytest.fixture
def lab() -> Iterator[MeshLab]:
    """Node 1, which gets a firewall, and node 2, each with a task; and tunnels between them."""
    net = Wires()
    with contextlib.closing(net):
        made = MeshLab(net, nodes=(1, 2), tasks={11: 1, 12: 2}, tunnels=True)
        with contextlib.closing(made.nft):
            way_out = rules.Way("swb-gateway", "172.18.0.0/16", internal=False)
            made.nft.run(made.hosts[1], rules.text([way_out]))
            net.serve(made.client, "world")
            net.serve(made.hosts[1], "manager", 2377)
            made.tell(made.mesh([11, 12]))
            for _ in range(2):
                made.ask(1, six=True)  # addresses of new links answer after a moment
            yield made


def load(host: Path, folder: Path, name: str) -> None:
    """Puts a ruleset that was saved in place of what there is of that program's."""
    inside = ("ip", "netns", "exec", host.name)
    for suffix, argv in (
        ("nft", ("nft", "-f", "-")),
        ("v4", ("iptables-restore",)),
        ("v6", ("ip6tables-restore",)),
    ):
        saved = folder / f"{name}.{suffix}"
        if saved.exists():
            text = saved.read_text()
            if suffix == "nft":
                text = f"add table inet firewalld\ndelete table inet firewalld\n{text}"
            subprocess.run([*inside, *argv], input=text, text=True, check=True, timeout=30)


def barred(lab: MeshLab, patience: float = 20.0) -> set[str]:
    """What does not arrive now."""
    answers: set[str] = set()

    def ask(target: Path, where: str, port: int) -> None:
        label, _ = wires.ask(target, where, port, patience=patience)
        answers.add(f"{label} by IPv6" if ":" in where else label)

    here, six, task = address(1), address(1, six=True), lab.tasks[11].path
    ways = {f"in {turn}": partial(ask, lab.client, here, PUBLISHED) for turn in range(4)}
    ways |= {f"six {turn}": partial(ask, lab.client, six, PUBLISHED) for turn in range(4)}
    ways |= {"out": partial(ask, task, CLIENT, 80), "host": partial(ask, lab.client, here, 2377)}
    at_once(ways)
    return WHO - answers


@pytest.mark.parametrize("name", OWNERS)
def test_what_is_said_of_a_firewall_opens_it(lab: MeshLab, name: str) -> None:
    host, folder = lab.hosts[1], FIREWALLS / name
    assert barred(lab) == set()
    load(host, folder, "before")
    assert barred(lab, SILENT) == BARRED[name]
    found = findings(look(host, lab.nft), NEED)
    assert {each.what.partition(" drops ")[0] for each in found} == {OWNERS[name]}
    assert all(each.mends for each in found)
    commands = [command for each in found for command in each.command.split(" && ")]
    assert commands == (folder / "commands").read_text().splitlines()
    load(host, folder, "after")
    assert findings(look(host, lab.nft), NEED) == []
    assert barred(lab) == set()
