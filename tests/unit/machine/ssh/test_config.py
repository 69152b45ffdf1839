"""~/.ssh/config is read as OpenSSH reads it."""

import subprocess
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from machine.ssh.config import hops_of, lookup
from machine.target import Target

CONFIG = """
Host first
    User one
    Include more/*.conf
    Port 2201

Host *.example !no.example
    ProxyJump jump@hop:2202
    IdentityFile ~/.ssh/special
    IdentitiesOnly yes

Match host later
    User matched

Host *
    User fallback
    HostName 10.0.%h
"""
MORE = """
HostName 10.1.1.1
Host second
    User two
"""
NEXT = """
IdentitiesOnly yes
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "a.conf").write_text(MORE)
    (tmp_path / "more" / "b.conf").write_text(NEXT)
    (tmp_path / "config").write_text(CONFIG.replace("more/", f"{tmp_path}/more/"))
    return tmp_path / "config"


@pytest.mark.root  # with OpenSSH's programs
@pytest.mark.parametrize("host", ["first", "second", "a.example", "no.example", "later", "x"])
def test_hosts_are_what_ssh_takes_them_for(config: Path, host: str) -> None:
    told = subprocess.run(
        ["ssh", "-G", "-F", str(config), host], check=True, stdout=subprocess.PIPE, timeout=20
    )
    words = [line.split(" ", 1) for line in told.stdout.decode().splitlines() if " " in line]
    openssh = dict(words)
    hop = hops_of(Target(host), lookup(config))[-1]
    assert (hop.host, str(hop.port), hop.user) == tuple(
        openssh[key] for key in ("hostname", "port", "user")
    )
    assert hop.only_keys == (openssh["identitiesonly"] == "yes")
    jumps = [str(each) for each in hops_of(Target(host), lookup(config))[:-1]]
    assert jumps == (
        [openssh["proxyjump"].replace("hop", "10.0.hop")] if "proxyjump" in openssh else []
    )


def test_no_file_says_nothing(tmp_path: Path) -> None:
    (hop,) = hops_of(Target("h"), lookup(tmp_path / "none"))
    assert (hop.host, hop.port, hop.user) == ("h", 22, "root")


@pytest.mark.parametrize("text", ["Include config\n", "Host\n", "\0\n"])
def test_an_odd_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(SwarmError) as failed:
        hops_of(Target("h"), lookup(path))
    assert failed.value.code is Code.INVALID
    assert str(path) in str(failed.value)


def test_no_command_is_run_to_find_a_host(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(f"Match exec 'touch {tmp_path}/run'\n  User x\nHost *\n  User y\n")
    (hop,) = hops_of(Target("h"), lookup(path))
    assert hop.user == "y"
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ('ProxyCommand=nc -X "~" %h %p', 'nc -X "~" a.example 7'),
        ("ProxyCommand NONE", ""),
        ("ProxyJump none\nProxyCommand nc %h", ""),
    ],
)
def test_a_proxy_command_is_taken_as_it_stands(tmp_path: Path, text: str, command: str) -> None:
    path = tmp_path / "config"
    path.write_text(f"Host a\n HostName a.example\n {text}\n Port 9\nHost *\n ProxyCommand x\n")
    (hop,) = hops_of(Target("a", port=7), lookup(path))
    assert hop.command == command
