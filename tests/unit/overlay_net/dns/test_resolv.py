from pathlib import Path

import pytest

from api.v1 import specs_pb2
from overlay_net.dns.host_servers import LOOK, HostServers
from overlay_net.dns.resolv import container_text, name_servers
from tests.support.manual_clock import ManualClock

HOST = """\
# made by hand
; and
nameserver 10.0.0.53
search old.example
search corp.example lan
options ndots:2 edns0
"""


@pytest.mark.parametrize(
    ("search", "options", "host", "lines"),
    [
        ([], [], "", ["options ndots:0"]),
        ([], [], HOST, ["search corp.example lan", "options edns0 ndots:0"]),
        ([], [], "domain lan\n", ["search lan", "options ndots:0"]),
        (["a.b", "c"], [], HOST, ["search a.b c", "options edns0 ndots:0"]),
        (["."], [], HOST, ["options edns0 ndots:0"]),
        ([], ["timeout:1"], "", ["options timeout:1 ndots:0"]),
        ([], ["ndots:3", "rotate"], HOST, ["search corp.example lan", "options ndots:3 rotate"]),
    ],
)
def test_a_container_finds_us(
    search: list[str], options: list[str], host: str, lines: list[str]
) -> None:
    dns = specs_pb2.DnsConfig(nameservers=["9.9.9.9"], search=search, options=options)
    assert container_text(dns, host).splitlines() == ["nameserver 127.0.0.11", *lines]


@pytest.mark.parametrize(
    ("text", "servers"),
    [
        ("", ()),
        (HOST, ("10.0.0.53",)),
        ("nameserver\nnameserver nobody\nnameserver fe80::1%eth0\n", ("fe80::1%eth0",)),
        ("nameserver ::1\nnameserver ::1\n", ("::1",)),
        (
            "".join(f"nameserver 10.0.0.{n}\n" for n in range(5)),
            tuple(f"10.0.0.{n}" for n in range(3)),
        ),
    ],
)
def test_the_hosts_servers(text: str, servers: tuple[str, ...]) -> None:
    assert name_servers(text) == servers


def test_the_hosts_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    clock, path = ManualClock(), tmp_path / "resolv.conf"
    host = HostServers(clock, path)
    assert host.servers() == ()
    path.write_text("nameserver 10.0.0.1\n")
    assert host.servers() == ()  # looked a moment ago
    clock.advance(LOOK)
    assert host.servers() == ("10.0.0.1",)
    clock.advance(LOOK)
    assert host.servers() == ("10.0.0.1",)
    new = tmp_path / "new"
    new.write_text("nameserver 10.0.0.22\n")
    new.rename(path)
    clock.advance(LOOK)
    assert host.servers() == ("10.0.0.22",)
    path.unlink()
    clock.advance(LOOK)
    assert host.servers() == ()
