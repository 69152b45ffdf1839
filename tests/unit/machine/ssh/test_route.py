from collections.abc import Mapping
from typing import Any

import pytest

from api.errors import Code, SwarmError
from machine.ssh.route import Hop, route
from machine.target import Target

Said = Mapping[str, Mapping[str, Any]]


def way(target: Target, said: Said | None = None) -> list[Hop]:
    return list(route(target, lambda host: (said or {}).get(host, {}), local_user="me"))


def shown(hops: list[Hop]) -> list[str]:
    return [str(hop) for hop in hops]


def test_a_bare_address_is_entered_as_root() -> None:
    assert way(Target("10.0.0.1")) == [Hop("10.0.0.1", 22, "root")]


def test_what_is_said_counts_over_the_configuration() -> None:
    said = {"web": {"hostname": "10.1.1.1", "user": "deb", "port": "2222", "identityfile": ["k"]}}
    assert way(Target("web"), said) == [Hop("10.1.1.1", 2222, "deb", keys=("k",))]
    hop = Hop("10.1.1.1", 22, "op", keys=("mine",), only_keys=True, named=True)
    assert way(Target("web", "op", 22, "mine"), said) == [hop]


def test_a_key_of_the_configuration_is_not_the_operators_own_word() -> None:
    said = {"web": {"identityfile": ["k"], "identitiesonly": "yes"}}
    assert way(Target("web"), said) == [Hop("web", 22, "root", keys=("k",), only_keys=True)]


def test_jump_hosts_are_gone_through_in_their_order_and_are_the_users_own() -> None:
    said = {"b": {"user": "bob", "hostname": "10.0.0.2"}}
    hops = way(Target("10.9.9.9", jump=("alice@a:2201", "b")), said)
    assert shown(hops) == ["alice@a:2201", "bob@10.0.0.2:22", "root@10.9.9.9:22"]
    assert shown(way(Target("h", jump=("a",)))) == ["me@a:22", "root@h:22"]


def test_jump_hosts_of_the_configuration_may_have_jump_hosts() -> None:
    said = {"h": {"proxyjump": "a,x@[fe80::1]:7"}, "a": {"proxyjump": "z"}, "z": {}}
    assert shown(way(Target("h"), said)) == ["me@z:22", "me@a:22", "x@[fe80::1]:7", "root@h:22"]
    assert shown(way(Target("h", jump=("q",)), said)) == ["me@q:22", "root@h:22"]
    assert shown(way(Target("h"), {"h": {"proxyjump": "none"}})) == ["root@h:22"]


def test_the_key_and_the_fingerprint_of_the_host() -> None:
    first, last = way(Target("h", key="k", host_key="SHA256:x", jump=("a",), agent=False))
    assert (first.keys, first.only_keys, first.host_key, first.agent) == (("k",), False, "", False)
    assert (last.keys, last.only_keys, last.host_key) == (("k",), True, "SHA256:x")


def test_names_in_known_hosts() -> None:
    assert Hop("Host", 22, "u").known_as == "host"
    assert Hop("::1", 22, "u").known_as == "::1"
    assert Hop("::1", 2222, "u").known_as == "[::1]:2222"
    assert Hop("h", 2222, "u", alias="Other").known_as == "other"
    hops = way(Target("10.0.0.5", jump=("a:2201", "10.0.0.1")))
    assert [hop.known_as for hop in hops] == [
        "[a]:2201",
        "10.0.0.1_via_[a]:2201",
        "10.0.0.5_via_10.0.0.1_via_[a]:2201",
    ]


@pytest.mark.parametrize(
    ("socket", "agent", "path"),
    [("none", False, ""), ("SSH_AUTH_SOCK", True, ""), ("/run/a", True, "/run/a")],
)
def test_the_agent_of_the_configuration(socket: str, agent: bool, path: str) -> None:
    (hop,) = way(Target("h"), {"h": {"identityagent": socket}})
    assert (hop.agent, hop.agent_socket) == (agent, path)


@pytest.mark.parametrize(
    ("target", "said", "code"),
    [
        (Target("h", jump=("a b",)), {}, Code.INVALID),
        (Target("h", jump=("a:0",)), {}, Code.INVALID),
        (Target("h"), {"h": {"port": "x"}}, Code.INVALID),
        (Target("a"), {"a": {"proxyjump": "b"}, "b": {"proxyjump": "a"}}, Code.INVALID),
        (Target("h"), {"h": {"proxycommand": "nc %d"}}, Code.INVALID),
        (Target("h"), {"h": {"proxycommand": "nc %"}}, Code.INVALID),
    ],
)
def test_a_way_that_cannot_be_gone_is_refused(target: Target, said: Said, code: Code) -> None:
    with pytest.raises(SwarmError) as failed:
        way(target, said)
    assert failed.value.code is code


def test_a_proxy_command_leads_to_the_first_hop_alone() -> None:
    said = {"h": {"hostname": "i-07", "proxycommand": "aws ssm %h %p %r %n 100%%"}}
    (hop,) = way(Target("h", user="ops", port=2222), said)
    assert hop.command == "aws ssm i-07 2222 ops h 100%"
    first, last = way(Target("x", jump=("h",)), said)
    assert (first.command, last.command) == ("aws ssm i-07 22 me h 100%", "")
    (dialled,) = way(Target("h"), {"h": {"proxycommand": None}})
    assert dialled.command == ""
    named = way(Target("h", jump=("q",)), said)
    assert [hop.command for hop in named] == ["", ""]


def test_of_proxy_command_and_jump_the_first_one_counts() -> None:
    both = {"proxycommand": "nc %h %p", "proxyjump": "j"}
    assert [hop.command for hop in way(Target("h"), {"h": both})] == ["nc h 22"]
    turned = dict(reversed(both.items()))
    assert [hop.command for hop in way(Target("h"), {"h": turned})] == ["", ""]
    assert [hop.command for hop in way(Target("h"), {"h": turned | {"proxyjump": "none"}})] == [""]


@pytest.mark.parametrize("host", ["a;b", "$(x)", "-oProxyCommand=x", "a b", "a`b`", "a\nb", "'"])
def test_nothing_gets_into_a_proxy_command_that_a_shell_would_read(host: str) -> None:
    with pytest.raises(SwarmError) as failed:
        way(Target(host), {host: {"proxycommand": "nc %h %p"}})
    assert failed.value.code is Code.REFUSED
    (hop,) = way(Target(host), {host: {"proxycommand": "nc fixed 22"}})
    assert hop.command == "nc fixed 22"
