"""The look itself, as the script that hosts run; in place of programs that take long are others."""

import asyncio
import socket
from pathlib import Path

import pytest

from hostkit.clock import wall
from machine.facts import look
from machine.facts.facts import Facts
from machine.local import LocalRemote

UFW = """\
Status: active

To                         Action      From
--                         ------      ----
2377/tcp                   ALLOW       Anywhere
4789,51820/udp             ALLOW       Anywhere
2378                       ALLOW       Anywhere
2379/tcp                   DENY        Anywhere
2377/tcp (v6)              ALLOW       Anywhere (v6)
"""


@pytest.fixture(autouse=True)
def _quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ufw.conf").write_text("ENABLED=yes\n")
    for name, said in (("apt-get", ""), ("python3", ""), ("ufw", UFW)):
        (tmp_path / name).write_text(f"#!/bin/sh\ncat <<'END'\n{said}END\n")
        (tmp_path / name).chmod(0o755)
    script = look._script().decode().replace("PATH=", f"PATH={tmp_path}:", 1)
    script = script.replace("/etc/ufw/ufw.conf", f"{tmp_path}/ufw.conf")
    monkeypatch.setattr(look, "_script", script.encode)


def facts() -> Facts:
    return asyncio.run(look.look(LocalRemote("h1"), wall))


def test_whoever_listens_is_seen_at_any_port() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
    ):
        udp.bind(("127.0.0.1", 0))
        seen = {(each.protocol, each.port) for each in facts().listeners}
        assert {("tcp", tcp.getsockname()[1]), ("udp", udp.getsockname()[1])} <= seen


def test_what_a_firewall_lets_in_is_told_with_its_protocol() -> None:
    found = facts()
    assert found.firewalls == ("ufw",)
    assert found.opened == ("2377/tcp", "4789/udp", "51820/udp", "2378")
