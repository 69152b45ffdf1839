"""Another firewall of a host: named once, and let pass by its own commands only when asked."""

import contextlib
import logging
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostkit import netns
from overlay_net.nft import LibNft
from overlay_net.obstacles.findings import Need
from tests.support.wires import Wires
from worker.obstacle_watch import ObstacleWatch

pytestmark = pytest.mark.root

NEED = Need(devices=("ing0",), reached=(("udp", 4789),))


class Host:
    """A namespace, and the watch over it."""

    def __init__(self, net: Wires) -> None:
        self.path: Path = net.namespace("host")
        self.nft = LibNft()
        self.watch = ObstacleWatch(self.nft, str(self.path))

    def drop(self, what: str = "forward") -> None:
        hook = f"{{ type filter hook {what} priority 0; policy drop; }}"
        self.nft.run(self.path, f"add table inet other\nadd chain inet other gate {hook}\n")

    def with_its_own_nft(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        """The daemon's own `nft` works on the daemon's host: here that is a namespace."""
        inside = folder / "nft"
        inside.write_text(f'#!/bin/sh\nexec nsenter --net={self.path} /usr/sbin/nft "$@"\n')
        inside.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:/usr/sbin:/usr/bin:/sbin:/bin")


@pytest.fixture
def host() -> Iterator[Host]:
    net = Wires()
    with contextlib.closing(net):
        made = Host(net)
        with contextlib.closing(made.nft):
            yield made


def test_what_is_in_the_way_is_named_once(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    assert host.watch.look(NEED) == []
    host.drop()
    (found,) = host.watch.look(NEED)
    assert found.what == "table inet other drops what this host forwards"
    assert host.watch.look(NEED) == [found]
    host.nft.run(host.path, "add table inet unrelated")
    assert host.watch.look(NEED, always=True) == [found]
    assert caplog.text.count("drops what this host forwards") == 1
    host.nft.run(host.path, "delete table inet other")
    assert host.watch.look(NEED) == []


def test_it_is_let_pass_by_the_command_that_is_told(
    host: Host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    host.drop()
    host.with_its_own_nft(monkeypatch, tmp_path)
    (fix,) = host.watch.let_pass(NEED)
    assert (fix.after, fix.error) == (
        "it passes until the next reboot, unless you save the rule",
        "",
    )
    assert 'nft insert rule inet other gate iifname "ing0" accept' in fix.command
    assert host.watch.look(NEED) == []
    assert host.watch.let_pass(NEED) == []


def test_it_is_let_pass_again_and_again_where_that_is_wanted(
    host: Host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    host.with_its_own_nft(monkeypatch, tmp_path)
    opens = ObstacleWatch(host.nft, str(host.path), opens=True)
    for _ in range(2):  # as before and after a reboot
        host.drop()
        host.watch.tend(NEED)
        assert len(host.watch.look(NEED, always=True)) == 1
        opens.tend(NEED)
        assert host.watch.look(NEED, always=True) == []
        host.nft.run(host.path, "delete table inet other")


def test_no_door_of_the_host_is_opened_without_being_asked(
    host: Host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    host.with_its_own_nft(monkeypatch, tmp_path)
    opens = ObstacleWatch(host.nft, str(host.path), opens=True)
    host.drop("input")
    opens.tend(NEED)
    (found,) = opens.look(NEED, always=True)
    assert (found.mends, found.incoming) == (True, True)


def test_a_command_that_fails_is_told(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.drop()
    monkeypatch.setenv("PATH", "/nowhere")
    (fix,) = host.watch.let_pass(NEED)
    assert "nft" in fix.error
    assert "No such file" in fix.error


def test_a_manager_has_to_be_reached_by_its_ports(host: Host) -> None:
    hook = "{ type filter hook input priority 0; policy drop; }"
    host.nft.run(
        host.path,
        f"add table inet other\nadd chain inet other door {hook}\n"
        "add rule inet other door udp dport 4789 accept\n",
    )
    assert host.watch.look(NEED) == []
    with contextlib.ExitStack() as stack:
        for port in (2377, 2378):
            server = netns.call_in(
                host.path,
                lambda port=port: socket.create_server(("", port)),  # type: ignore[misc]
            )
            stack.enter_context(server)
        (found,) = host.watch.look(NEED, always=True)
    assert "2377/tcp, 2378/tcp" in found.why
