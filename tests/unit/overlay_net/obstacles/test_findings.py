"""Other firewalls, ports and tunnels, as dumps show them."""

from typing import Any

import pytest

from overlay_net.obstacles.findings import Host, Need, Socket, Tunnel, findings
from overlay_net.obstacles.look import parse_sockets

NEED = Need(devices=("ing0",))


def chain(
    name: str = "FORWARD",
    *,
    table: str = "filter",
    family: str = "ip",
    hook: str = "forward",
    policy: str = "drop",
) -> dict[str, Any]:
    more = {"hook": hook, "policy": policy, "type": "filter"} if hook else {}
    return {"chain": {"family": family, "table": table, "name": name, **more}}


def rule(
    at: str, *parts: dict[str, Any], table: str = "filter", family: str = "ip"
) -> dict[str, Any]:
    return {"rule": {"family": family, "table": table, "chain": at, "expr": list(parts)}}


def by(key: str, device: object = "ing0") -> dict[str, Any]:
    return {"match": {"op": "==", "left": {"meta": {"key": key}}, "right": device}}


def port(protocol: str, number: object) -> dict[str, Any]:
    left = {"payload": {"protocol": protocol, "field": "dport"}}
    return {"match": {"op": "==", "left": left, "right": number}}


COUNTER: dict[str, Any] = {"counter": {"packets": 1}}
ACCEPT: dict[str, Any] = {"accept": None}
REJECT: dict[str, Any] = {"reject": {}}


@pytest.mark.parametrize(
    ("ruleset", "owner", "command"),
    [
        (
            [chain()],
            "iptables",
            "iptables -I FORWARD -i ing0 -j ACCEPT && iptables -I FORWARD -o ing0 -j ACCEPT",
        ),
        (
            [chain("fwd", table="mine", family="inet")],
            "table inet mine",
            'nft insert rule inet mine fwd iifname "ing0" accept && '
            'nft insert rule inet mine fwd oifname "ing0" accept',
        ),
        (
            [chain(), chain("DOCKER-USER", hook="")],
            "Docker",
            "iptables -I DOCKER-USER -i ing0 -j ACCEPT && "
            "iptables -I DOCKER-USER -o ing0 -j ACCEPT",
        ),
        (
            [chain(family="ip6"), chain("DOCKER-USER", hook="", family="ip6")],
            "Docker",
            "ip6tables -I DOCKER-USER -i ing0 -j ACCEPT && "
            "ip6tables -I DOCKER-USER -o ing0 -j ACCEPT",
        ),
        (
            [chain(), chain("ufw-before-forward", hook="")],
            "ufw",
            "ufw route allow in on ing0 && ufw route allow out on ing0",
        ),
        (
            [
                chain("filter_FORWARD", table="firewalld", family="inet", policy="accept"),
                rule("filter_FORWARD", REJECT, table="firewalld", family="inet"),
            ],
            "firewalld",
            "firewall-cmd --permanent --zone=trusted --add-interface=ing0 && firewall-cmd --reload",
        ),
        (
            [chain(), chain("DOCKER-USER", hook=""), rule("DOCKER-USER", by("iifname"), ACCEPT)],
            "Docker",
            "iptables -I DOCKER-USER -o ing0 -j ACCEPT",
        ),
    ],
)
def test_who_drops_and_what_lets_us_pass(
    ruleset: list[dict[str, Any]], owner: str, command: str
) -> None:
    (found,) = findings(Host(ruleset=ruleset), NEED)
    assert found.what == f"{owner} drops what this host forwards"
    assert "ing0" in found.why
    assert found.command == command
    assert found.lasts is (owner in ("ufw", "firewalld"))
    assert ("reboot" in found.remedy) is not found.lasts


@pytest.mark.parametrize(
    "ruleset",
    [
        [],
        [chain(policy="accept")],
        [chain(hook="input")],
        [chain(table="swarm_x")],
        [chain(), rule("FORWARD", by("iifname"), COUNTER, ACCEPT),
         rule("FORWARD", by("oifname", {"set": ["x", "ing0"]}), ACCEPT)],
    ],
)  # fmt: skip
def test_what_is_no_obstacle(ruleset: list[dict[str, Any]]) -> None:
    assert findings(Host(ruleset=ruleset), NEED) == []


def test_a_rule_that_accepts_less_than_all_is_not_enough() -> None:
    narrow = rule("FORWARD", by("iifname"), by("oifname", "eth0"), ACCEPT)
    (found,) = findings(Host(ruleset=[chain(), narrow]), NEED)
    assert "-i" not in found.command.split("&&")[1]


def test_a_port_may_be_let_in_by_protocol_and_number() -> None:
    protocol = {"match": {"op": "==", "left": {"meta": {"key": "l4proto"}}, "right": "udp"}}
    rules = [chain("INPUT", hook="input"), rule("INPUT", protocol, port("udp", 4789), ACCEPT)]
    need = Need(reached=(("udp", 4789),))
    assert findings(Host(ruleset=rules), need) == []
    (found,) = findings(Host(ruleset=rules[:1]), need)
    assert found.incoming
    from_one = {"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}}}
    narrow = [rules[0], rule("INPUT", from_one, port("udp", 4789), ACCEPT)]
    assert findings(Host(ruleset=narrow), need) == [found]


XT: dict[str, Any] = {"xt": {"type": "match", "name": "conntrack"}}
IS_UDP = {"match": {"op": "==", "left": {"meta": {"key": "l4proto"}}, "right": "udp"}}
IS_TCP = {"match": {"op": "==", "left": {"meta": {"key": "l4proto"}}, "right": "tcp"}}


@pytest.mark.parametrize(
    ("parts", "passes"),
    [
        ((IS_UDP, ACCEPT), True),
        ((COUNTER, ACCEPT), True),
        ((IS_TCP, ACCEPT), False),
        ((IS_UDP, XT, ACCEPT), False),
        ((port("udp", 4789), XT, ACCEPT), False),
        ((XT, ACCEPT), False),
    ],
)
def test_rules_that_accept_much_and_rules_that_ask_for_more(
    parts: tuple[dict[str, Any], ...], passes: bool
) -> None:
    rules = [chain("INPUT", hook="input"), rule("INPUT", *parts)]
    found = findings(Host(ruleset=rules), Need(reached=(("udp", 4789),)))
    assert (found == []) is passes
    elsewhere = [chain("INPUT", hook="input"), rule("other", *parts)]
    assert findings(Host(ruleset=elsewhere), Need(reached=(("udp", 4789),))) != []


@pytest.mark.parametrize(("name", "mends"), [("my-gate", True), ("x; flush ruleset", False)])
def test_a_command_is_run_only_if_it_is_what_it_seems(name: str, mends: bool) -> None:
    (found,) = findings(Host(ruleset=[chain(name, table="mine")]), NEED)
    assert found.mends is mends


def test_iptables_legacy() -> None:
    (found,) = findings(Host(legacy="-P FORWARD DROP\n-A FORWARD -i ing0 -j ACCEPT\n"), NEED)
    assert found.command == "iptables-legacy -I FORWARD -o ing0 -j ACCEPT"
    assert findings(Host(legacy="-P FORWARD ACCEPT\n"), NEED) == []


@pytest.mark.parametrize(
    ("ruleset", "owner", "command"),
    [
        (
            [chain("INPUT", hook="input")],
            "iptables",
            "iptables -I INPUT -p udp -m udp --dport 4789 -j ACCEPT",
        ),
        (
            [chain("INPUT", hook="input"), chain("ufw-user-input", hook="")],
            "ufw",
            "ufw allow 4789/udp",
        ),
        (
            [
                chain("filter_INPUT", table="firewalld", family="inet", hook="input"),
                rule("filter_INPUT", port("tcp", 4789), ACCEPT, table="firewalld", family="inet"),
            ],
            "firewalld",
            "firewall-cmd --permanent --add-port=4789/udp && firewall-cmd --reload",
        ),
        (
            [chain("in", table="mine", family="inet", hook="input")],
            "table inet mine",
            "nft insert rule inet mine in udp dport 4789 accept",
        ),
    ],
)
def test_ports_at_which_nodes_are_reached(
    ruleset: list[dict[str, Any]], owner: str, command: str
) -> None:
    need = Need(reached=[("udp", 4789)])
    (found,) = findings(Host(ruleset=ruleset), need)
    assert found.what == f"{owner} drops what comes to this host"
    assert "4789/udp" in found.why
    assert found.command == command
    table, family = ruleset[0]["chain"]["table"], ruleset[0]["chain"]["family"]
    opened = rule("x", port("udp", {"set": [53, 4789]}), ACCEPT, table=table, family=family)
    assert findings(Host(ruleset=[*ruleset, opened]), need) == []


def test_a_legacy_firewall_before_the_nodes_ports() -> None:
    need = Need(reached=[("tcp", 2377)])
    (found,) = findings(Host(legacy="-P INPUT DROP\n-P FORWARD DROP\n"), need)
    assert found.command == "iptables-legacy -I INPUT -p tcp -m tcp --dport 2377 -j ACCEPT"


def test_ports_that_are_taken() -> None:
    need = Need(opening={("tcp", 2377): "the swarm", ("udp", 4789): "overlay networks"})
    sockets = [Socket("tcp", 2377, "::"), Socket("udp", 4789, "::")]
    found = findings(Host(sockets=sockets), need)
    assert [each.what for each in found] == ["port 2377/tcp is taken", "port 4789/udp is taken"]
    assert found[1].command == "ss -nlp -u sport = :4789"
    # Tunnels of other numbers share the port.
    assert len(findings(Host(sockets=sockets, tunnels=[Tunnel("vx9", 9, 4789)]), need)) == 1


def test_numbers_of_tunnels_that_are_taken() -> None:
    tunnels = [Tunnel("vx-001001-ab", 4097, 4789), Tunnel("vx9", 9, 4789)]
    need = Need(vnis={4097: "front", 4098: "back"})
    (found,) = findings(Host(tunnels=tunnels), need)
    assert found.what == "VXLAN number 4097 is taken"
    assert found.command == "ip link del vx-001001-ab"


def test_a_program_behind_a_published_port_hears_nothing_more() -> None:
    host = Host(sockets=[Socket("tcp", 80, "::")])
    (found,) = findings(host, Need(published=[("tcp", 80), ("udp", 80)]))
    assert found.what.startswith("port 80/tcp is published")


def test_a_container_that_is_no_task_keeps_its_port() -> None:
    (found,) = findings(Host(), Need(published=[("tcp", 80)], kept=[("tcp", 80)]))
    assert found.what == "port 80/tcp is published, and a container of this host has it"
    assert found.note, "networks are as they ought to be"


def test_sockets_of_proc() -> None:
    table = """\
  sl  local_address rem_address   st tx_queue
   0: 0100007F:0050 00000000:0000 0A 00000000:00000000
   1: 0100007F:0051 0100007F:1234 01 00000000:00000000
"""
    table6 = "head\n 0: 00000000000000000000000001000000:14E9 0:0 07 0:0\n"
    assert list(parse_sockets("tcp", table)) == [Socket("tcp", 80, "127.0.0.1")]
    assert list(parse_sockets("udp", table6)) == [Socket("udp", 5353, "::1")]
