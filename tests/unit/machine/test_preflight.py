"""Which findings are in the way of a node, and what is said of them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from machine.facts.facts import Disk, Facts, Listener
from machine.preflight import FEATURES, judge, ports
from machine.provisioning import Wanted

GIB = 1024**3
GOOD = Facts(
    os="debian",
    os_version="12",
    os_name="Debian GNU/Linux 12 (bookworm)",
    arch="x86_64",
    kernel="6.1.0",
    hostname="h1",
    python="3.11.2",
    init="systemd",
    memory=GIB,
    disks=(Disk("/opt", 9 * GIB, "/"), Disk("/var/lib", 9 * GIB, "/")),
    features=dict.fromkeys((*FEATURES, "wireguard", "tun"), "loadable"),
    controllers=("cpu", "memory", "pids", "io"),
    mirror="reached",
    index="reached",
    skew=(-0.1, 0.2),
)
WANTED = Wanted("0.1.0")


def said(wanted: Wanted = WANTED, **found: Any) -> list[tuple[bool, str, str]]:
    return [(p.fatal, p.what, p.remedy) for p in judge(replace(GOOD, **found), wanted)]


def test_a_good_host_has_no_problem() -> None:
    assert said() == []
    assert said(os="ubuntu", os_version="24.04", python="3.12.3") == []
    assert said(os_version="13", python="3.13.5", arch="aarch64") == []
    assert said(python="") == []  # it will be installed


@pytest.mark.parametrize(
    ("found", "what", "remedy"),
    [
        ({"os": "ubuntu", "os_version": "22.04"}, "not supported", "Debian 12 or 13"),
        ({"os": "fedora", "os_version": "41"}, "not supported", "Debian 12 or 13"),
        ({"os_version": ""}, "not supported", "Debian 12 or 13"),
        ({"arch": "armv7l"}, "armv7l", "aarch64"),
        ({"python": "3.14.1"}, "3.14.1", "3.11 to 3.13"),
        ({"init": "runit"}, "process 1 is runit", "systemd-sysv"),
        ({"memory": 100 * 1024**2}, "100 MiB of memory", "220"),
        ({"read_only": ("/opt",)}, "/opt is read-only", "remount,rw"),
        ({"disks": (Disk("/opt", 5, "/opt"),)}, "0 MiB are free on /opt", "make room"),
        ({"features": {}}, "lacks overlay", "modprobe overlay"),
        ({"listeners": (Listener("tcp", 2377, "dockerd"),)}, "by dockerd", "docker swarm leave"),
        ({"listeners": (Listener("udp", 4789, ""),)}, "by the kernel", "ip -d link"),
        ({"listeners": (Listener("tcp", 2378, ""),)}, "by somebody", "ss -lnp"),
        ({"missing": ("crun",), "mirror": "no route"}, "crun", "apt-get update"),
        ({"index": "pypi.org: timed out"}, "timed out", "--bundle"),
        ({"skew": (3599.0, 3600.5)}, "3599 s ahead of", "set-ntp"),
        ({"skew": (-3600.0, -3599.0)}, "3599 s behind", "set-ntp"),
        ({"strays": (12,)}, "process 12", "kill 12"),
    ],
)
def test_what_cannot_be_is_fatal_and_has_a_remedy(
    found: dict[str, Any], what: str, remedy: str
) -> None:
    fatal, text, cure = said(**found)[0]
    assert fatal
    assert what in text
    assert remedy in cure


@pytest.mark.parametrize(
    ("found", "what"),
    [
        ({"controllers": ("cpu",)}, "memory, pids"),
        ({"missing": ("crun",), "apt_lock": "7 apt"}, "process 7 apt"),
        ({"missing": ("crun",), "dpkg_broken": "x is half"}, "x is half"),
        ({"firewalls": ("ufw",), "opened": ("2377/tcp", "2378")}, "4789/udp, 51820/udp"),
        (
            {"firewalls": ("ufw",), "opened": ("2377", "2378", "4789/udp", "51820/tcp")},
            "nobody in at 51820/udp",
        ),
        ({"firewalls": ("firewalld",)}, "firewalld lets nobody in"),
        ({"by_hand": True}, "not ours"),
        ({"unit": True}, "half of one"),
        ({"hostname": "localhost"}, "calls itself localhost"),
        (
            {"missing": ("wireguard-go",), "features": {**GOOD.features, "wireguard": "absent"}},
            "is",
        ),
    ],
)
def test_what_can_be_lived_with_is_told(found: dict[str, Any], what: str) -> None:
    assert [(fatal, what in text) for fatal, text, _ in said(**found)] == [(False, True)]


def test_what_is_not_needed_is_no_problem() -> None:
    assert said(missing=("wireguard-go",)) == []
    assert said(mirror="no route") == []  # nothing is missing
    assert said(index="no", versions=("0.1.0",)) == []
    assert said(WANTED, listeners=(Listener("tcp", 2377, "swarmd"),)) == []
    assert said(unit=True, current="1", manifest=True) == []
    assert said(Wanted("0.1.0", hostname="h1"), hostname="debian") == []
    assert said(WANTED, listeners=(Listener("tcp", 2376, "dockerd"),)) == []
    assert said(Wanted("0.1.0", bundle=Path("b")), index="no") == []
    moved = Wanted("0.1.0", {"wireguard_port": 51821})
    assert said(moved, listeners=(Listener("udp", 51820, ""),)) == []


def test_the_port_of_the_api_matters_where_there_is_one() -> None:
    with_api = Wanted("0.1.0", {"api_listen": "0.0.0.0:2376"})
    assert "2376/tcp" in said(with_api, listeners=(Listener("tcp", 2376, "dockerd"),))[0][1]
    without_port = Wanted("0.1.0", {"api_listen": "::1"})
    assert ("tcp", 2376) in ports(without_port)
    assert ("tcp", 1) not in ports(without_port)


def test_full_disks_do_not_matter_once_all_is_there() -> None:
    [(fatal, *_)] = said(disks=(Disk("/opt", 5, "/"),), versions=("0.1.0",))
    assert not fatal


def test_what_is_fatal_comes_first() -> None:
    found = said(controllers=(), arch="riscv64")
    assert [fatal for fatal, *_ in found] == [True, False]


@pytest.mark.parametrize("program", ["", "wireguard-go"])
def test_the_links_of_a_node_are_in_nobodys_way(program: str) -> None:
    held = tuple(Listener("udp", port, program) for port in (4789, 51820))
    assert said(listeners=held, manifest=True) == said(manifest=True)
    assert len(said(listeners=held)) > len(said())
