"""Rules of other programs that drop what networks forward. Pure.

An accept in one table does not undo a drop in another, so these have to let our packets pass
themselves. What a program's rules mean in full is not worked out: a chain that drops what nothing
accepts is a finding unless one of its table's rules accepts our device in that direction.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

JsonObject = dict[str, Any]

_OWN = ("swarm",)  # what names of our tables begin with
_DIRECTIONS = {"iifname": "-i", "oifname": "-o"}
_WORDS = {"-i": "in", "-o": "out"}


@dataclass(frozen=True, slots=True)
class Finding:
    """What stands in the way, why, what to do, and a command that does or shows it."""

    what: str
    why: str
    remedy: str
    command: str


def findings(
    ruleset: Sequence[JsonObject], legacy_forward: str, devices: Collection[str]
) -> Iterator[Finding]:
    """`ruleset`: what `nft -j list ruleset` says; `devices`: those that have to be forwarded."""
    for chain in _dropping(ruleset):
        lacking = _lacking(ruleset, chain, devices)
        if lacking:
            yield _finding(ruleset, chain, lacking)
    if legacy_forward.startswith("-P FORWARD DROP"):
        lacking = [
            (device, way)
            for device in devices
            for way in _DIRECTIONS.values()
            if f"{way} {device} -j ACCEPT" not in legacy_forward
        ]
        if lacking:
            yield Finding(
                "iptables (legacy) drops what this host forwards",
                f"its policy for FORWARD is DROP, and no rule accepts {_named(lacking)}",
                "let our devices pass, and keep the rule over restarts",
                _commands("iptables-legacy -I FORWARD {way} {device} -j ACCEPT", lacking),
            )


def _dropping(ruleset: Iterable[JsonObject]) -> Iterator[JsonObject]:
    """Chains that see forwarded packets and drop by policy, or as firewalld by their last rule."""
    last: dict[tuple[str, str, str], JsonObject] = {}
    for each in ruleset:
        if rule := each.get("rule"):
            last[rule["family"], rule["table"], rule["chain"]] = rule
    for each in ruleset:
        chain = each.get("chain")
        if chain is None or chain.get("hook") != "forward" or chain["table"].startswith(_OWN):
            continue
        final = last.get((chain["family"], chain["table"], chain["name"]))
        if chain.get("policy") == "drop" or (final and _refuses_all(final)):
            yield chain


def _refuses_all(rule: JsonObject) -> bool:
    words = [word for part in rule["expr"] for word in part if word != "counter"]
    return words in (["drop"], ["reject"])


def _lacking(
    ruleset: Iterable[JsonObject], chain: JsonObject, devices: Collection[str]
) -> list[tuple[str, str]]:
    accepted = {
        found
        for each in ruleset
        if (rule := each.get("rule"))
        and (rule["family"], rule["table"]) == (chain["family"], chain["table"])
        for found in _accepted(rule)
    }
    return [
        (device, way)
        for device in devices
        for key, way in _DIRECTIONS.items()
        if (key, device) not in accepted
    ]


def _accepted(rule: JsonObject) -> Iterator[tuple[str, str]]:
    """Direction and devices of a rule that accepts by nothing else."""
    parts = [part for part in rule["expr"] if "counter" not in part]
    matches = [part["match"] for part in parts if "match" in part]
    if len(matches) != 1 or not any("accept" in part or "goto" in part for part in parts):
        return
    left, right = matches[0]["left"], matches[0]["right"]
    key = left.get("meta", {}).get("key") if isinstance(left, dict) else None
    if key in _DIRECTIONS and matches[0]["op"] == "==":
        names = right.get("set", ()) if isinstance(right, dict) else (right,)
        yield from ((key, name) for name in names)


def _finding(
    ruleset: Iterable[JsonObject], chain: JsonObject, lacking: list[tuple[str, str]]
) -> Finding:
    names = {
        str(each["chain"]["name"])
        for each in ruleset
        if "chain" in each and each["chain"]["table"] == chain["table"]
    }
    tool = "iptables" if chain["family"] != "ip6" else "ip6tables"
    if chain["table"] == "firewalld":
        owner, command = (
            "firewalld",
            (
                "firewall-cmd --permanent --zone=trusted --add-interface={device} && "
                "firewall-cmd --reload"
            ),
        )
    elif any(name.startswith(("ufw-", "ufw6-")) for name in names):
        owner, command = "ufw", "ufw route allow {direction} on {device}"
    elif "DOCKER-USER" in names:
        owner, command = "Docker", tool + " -I DOCKER-USER {way} {device} -j ACCEPT"
    else:
        owner = f"table {chain['family']} {chain['table']}"
        command = (
            f"nft insert rule {chain['family']} {chain['table']} {chain['name']} "
            '{key} "{device}" accept'
        )
    return Finding(
        f"{owner} drops what this host forwards",
        f"its chain {chain['name']} accepts nothing else, and no rule accepts {_named(lacking)}",
        "let our devices pass, and keep the rule over restarts",
        _commands(command, lacking),
    )


def _named(lacking: Iterable[tuple[str, str]]) -> str:
    return ", ".join(dict.fromkeys(device for device, _ in lacking))


def _commands(form: str, lacking: Iterable[tuple[str, str]]) -> str:
    keys = {way: key for key, way in _DIRECTIONS.items()}
    filled = (
        form.format(way=way, device=device, key=keys[way], direction=_WORDS[way])
        for device, way in lacking
    )
    return " && ".join(dict.fromkeys(filled))
