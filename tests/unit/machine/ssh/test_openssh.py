from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from machine.ssh.openssh import configuration
from machine.ssh.route import Hop

COMMON = """\
Host *
UserKnownHostsFile "/store/known_hosts"
GlobalKnownHostsFile /dev/null
StrictHostKeyChecking yes
UpdateHostKeys no
CheckHostIP no
VerifyHostKeyDNS no
ConnectTimeout 10
ServerAliveInterval 15
ServerAliveCountMax 3
ProxyCommand none
"""


def test_each_machine_has_its_hops_and_all_the_same_known_hosts() -> None:
    jump = Hop("jump", 2222, "me", keys=("~/k",), agent_socket="/run/agent", alias="hop")
    last = Hop("::1", 22, "root", keys=("key",), only_keys=True, agent=False, via="hop")
    text = configuration([("h1", (jump, last), Path("/store/h1"))], Path("/store/known_hosts"))
    home = Path.home()
    assert text == (
        f"""\
Host h1_jump1
HostName "jump"
Port 2222
User "me"
HostKeyAlias "hop"
IdentitiesOnly no
IdentityAgent "/run/agent"
IdentityFile "{home}/k"
IdentityFile "{home}/.ssh/id_ed25519"
IdentityFile "{home}/.ssh/id_ecdsa"
IdentityFile "{home}/.ssh/id_rsa"
ProxyJump none
Host h1
HostName "::1"
Port 22
User "root"
HostKeyAlias "::1_via_hop"
IdentitiesOnly yes
IdentityAgent none
IdentityFile "/store/h1/key"
ProxyJump h1_jump1
"""
        + COMMON
    )


def test_what_would_add_a_line_is_refused() -> None:
    with pytest.raises(SwarmError) as failed:
        configuration([("h1", (Hop("h\nProxyCommand x", 22, "u"),), Path("/"))], Path("/k"))
    assert failed.value.code is Code.INVALID


def test_a_command_stands_in_place_of_a_jump() -> None:
    hop = Hop("h", 22, "root", command='nc -x "a b" 100%')
    text = configuration([("h1", (hop,), Path("/"))], Path("/k"))
    assert 'ProxyCommand nc -x "a b" 100%%\nHost *' in text
    assert "ProxyJump" not in text
