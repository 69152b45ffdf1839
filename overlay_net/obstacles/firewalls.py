"""Rules of other programs that drop what networks need. Pure.

An accept in one table does not undo a drop in another, so these have to let us pass themselves.
What a program's rules mean in full is not worked out: a chain that drops what nothing accepts is a
finding unless a rule of its table accepts what we need, by nothing else.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

JsonObject = dict[str, Any]

_ALL = "*"
_AND = " && "
_PLAIN = re.compile(r"[A-Za-z0-9_.-]+")
_OWN = ("swarm",)  # what names of our tables begin with
_ENDS = "a reboot, or a restart of what made the chain, ends it"
_LASTING = ("firewalld", "ufw")  # whose own commands write down what they change


@dataclass(frozen=True, slots=True)
class Finding:
    """What stands in the way, why, what to do, and a command that does or shows it.

    `mends`: the command does it, and may be run as it is; `lasts`: what it adds outlives a reboot.
    `note`: networks are as they ought to be. `incoming`: it is about what comes to this host, which
    other rules may let in after all.
    """

    what: str
    why: str
    remedy: str
    command: str
    mends: bool = False
    lasts: bool = False
    note: bool = False
    incoming: bool = False


@dataclass(frozen=True, slots=True)
class Pass:
    """What has to pass: packets that come in or go out by a device, or that come to a port."""

    hook: str  # forward, input
    key: tuple[str, str]  # as `_accepted` finds it in a rule
    name: str
    legacy: str  # as iptables writes it
    words: Mapping[str, str]  # of the commands


def devices(names: Iterable[str]) -> list[Pass]:
    """To be forwarded from and to each of these devices."""
    ways = (("iifname", "-i", "in"), ("oifname", "-o", "out"))
    return [
        Pass(
            "forward",
            (key, name),
            name,
            f"{flag} {name}",
            {"match": f'{key} "{name}"', "device": name, "direction": direction},
        )
        for name in names
        for key, flag, direction in ways
    ]


def ports(wanted: Iterable[tuple[str, int]]) -> list[Pass]:
    """To come to each of these ports, given as protocol and number."""
    return [
        Pass(
            "input",
            (protocol, str(port)),
            f"{port}/{protocol}",
            f"-p {protocol} -m {protocol} --dport {port}",
            {"match": f"{protocol} dport {port}", "port": f"{port}/{protocol}"},
        )
        for protocol, port in wanted
    ]


def findings(
    ruleset: Sequence[JsonObject], legacy: str, wanted: Sequence[Pass]
) -> Iterator[Finding]:
    """`ruleset`: of `nft -j list ruleset`; `legacy`: what `iptables-legacy -S` says, or ""."""
    for hook in ("forward", "input"):
        needed = [each for each in wanted if each.hook == hook]
        for chain in _dropping(ruleset, hook):
            accepted = set(_accepted_in(ruleset, chain))
            whole = set(_accepted_whole(ruleset, chain))
            lacking = [each for each in needed if each.key not in accepted]
            lacking = [each for each in lacking if not {each.key[0], _ALL} & whole]
            if lacking:
                yield _finding(ruleset, chain, lacking)
        chain_name = hook.upper()
        if f"-P {chain_name} DROP" in legacy:
            lacking = [each for each in needed if f"{each.legacy} -j ACCEPT" not in legacy]
            if lacking:
                form = f"iptables-legacy -I {chain_name} {{legacy}} -j ACCEPT"
                yield _about("iptables (legacy)", chain_name, form, lacking)


def _dropping(ruleset: Iterable[JsonObject], hook: str) -> Iterator[JsonObject]:
    """Chains of a hook that drop by policy, or as firewalld by their last rule."""
    last: dict[tuple[str, str, str], JsonObject] = {}
    for each in ruleset:
        if rule := each.get("rule"):
            last[rule["family"], rule["table"], rule["chain"]] = rule
    for each in ruleset:
        chain = each.get("chain")
        if chain is None or chain.get("hook") != hook or chain["table"].startswith(_OWN):
            continue
        final = last.get((chain["family"], chain["table"], chain["name"]))
        if chain.get("policy") == "drop" or (final and _refuses_all(final)):
            yield chain


def _refuses_all(rule: JsonObject) -> bool:
    words = [word for part in rule["expr"] for word in part if word != "counter"]
    return words in (["drop"], ["reject"])


def _accepted_in(ruleset: Iterable[JsonObject], chain: JsonObject) -> Iterator[tuple[str, str]]:
    for each in ruleset:
        rule = each.get("rule")
        if rule and (rule["family"], rule["table"]) == (chain["family"], chain["table"]):
            yield from _accepted(rule)


def _accepted(rule: JsonObject) -> Iterator[tuple[str, str]]:
    """What a rule accepts by nothing else: direction and device, or protocol and port."""
    matches = _matches(rule)
    if matches is None:
        return
    if len(matches) > 1:  # some say first that it is TCP, then the port of TCP
        matches = [each for each in matches if not _names_a_protocol(each)]
    if len(matches) != 1 or matches[0]["op"] != "==":
        return
    left, right = matches[0]["left"], matches[0]["right"]
    values = right.get("set", ()) if isinstance(right, dict) else (right,)
    if "meta" in left:
        yield from ((left["meta"]["key"], str(value)) for value in values)
    elif left.get("payload", {}).get("field") == "dport":
        yield from ((left["payload"]["protocol"], str(value)) for value in values)


def _accepted_whole(ruleset: Iterable[JsonObject], chain: JsonObject) -> Iterator[str]:
    """The protocols of which a chain itself accepts everything; _ALL: all of them."""
    at = (chain["family"], chain["table"], chain["name"])
    for each in ruleset:
        rule = each.get("rule")
        if rule is None or (rule["family"], rule["table"], rule["chain"]) != at:
            continue
        matches = _matches(rule)
        if matches == []:
            yield _ALL
        elif matches and len(matches) == 1 and _names_a_protocol(matches[0]):
            yield str(matches[0]["right"])


def _matches(rule: JsonObject) -> list[JsonObject] | None:
    """What a rule accepts; None if it accepts nothing, or asks for more than can be read here."""
    parts = [part for part in rule["expr"] if "counter" not in part]
    accepts = any("accept" in part or "goto" in part for part in parts)
    known = all(part.keys() <= {"match", "accept", "goto"} for part in parts)
    return [part["match"] for part in parts if "match" in part] if accepts and known else None


def _names_a_protocol(match: JsonObject) -> bool:
    """Whether it asks for the protocol alone, which a port's match says too."""
    left = match["left"]
    by_meta = left.get("meta", {}).get("key") == "l4proto"
    return by_meta or left.get("payload", {}).get("field") in ("protocol", "nexthdr")


def _finding(ruleset: Iterable[JsonObject], chain: JsonObject, lacking: list[Pass]) -> Finding:
    names = {
        str(each["chain"]["name"])
        for each in ruleset
        if "chain" in each and each["chain"]["table"] == chain["table"]
    }
    owner, form = _owner(chain, names)
    # What others call their chains becomes part of a command.
    plain = all(_PLAIN.fullmatch(chain[key]) for key in ("name", "table"))
    return _about(owner, chain["name"], form, lacking, mends=plain)


def _owner(chain: JsonObject, names: Collection[str]) -> tuple[str, str]:
    """Whose chain it is, and the form of its command; what follows && is said once, at the end."""
    forward = chain["hook"] == "forward"
    tool = "ip6tables" if chain["family"] == "ip6" else "iptables"
    if chain["table"] == "firewalld":
        what = "--zone=trusted --add-interface={device}" if forward else "--add-port={port}"
        return "firewalld", f"firewall-cmd --permanent {what} && firewall-cmd --reload"
    if any(name.startswith(("ufw-", "ufw6-")) for name in names):
        return "ufw", "ufw route allow {direction} on {device}" if forward else "ufw allow {port}"
    if forward and "DOCKER-USER" in names:
        return "Docker", tool + " -I DOCKER-USER {legacy} -j ACCEPT"
    if chain["table"] == "filter" and chain["name"].isupper():
        return tool, f"{tool} -I {chain['name']} {{legacy}} -j ACCEPT"
    at = f"{chain['family']} {chain['table']}"
    return f"table {at}", f"nft insert rule {at} {chain['name']} {{match}} accept"


def _about(
    owner: str, chain_name: str, form: str, lacking: Sequence[Pass], *, mends: bool = True
) -> Finding:
    names = ", ".join(dict.fromkeys(each.name for each in lacking))
    what = "this host forwards" if lacking[0].hook == "forward" else "comes to this host"
    each_one, _, at_last = form.partition(_AND)
    commands = [each_one.format(legacy=each.legacy, **each.words) for each in lacking]
    lasts = owner in _LASTING
    return Finding(
        f"{owner} drops what {what}",
        f"its chain {chain_name} drops what no rule accepts, and none accepts {names}",
        "let it pass" if lasts else f"let it pass, and save the rule: {_ENDS}",
        _AND.join(filter(None, dict.fromkeys([*commands, at_last]))),
        mends=mends,
        lasts=lasts,
        incoming=lacking[0].hook == "input",
    )
