"""One nftables table as it is wished, as it is found, and the transaction from one to the other.
Pure.

Chains that hold rules carry a digest of them in their name, and are made or removed, never changed.
So the names of chains and the elements of maps say all there is to know: the difference to what
another process left is found without reading one rule, and a change of one service touches that
service's chain alone.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

Element = tuple[str, str]  # the name of a map or set, and a key in it as nft writes it

_VERSION = "version-"
_DIGEST_BYTES = 8
_CHAIN = re.compile(r"chain (\S+) \{$")
_HOOK = "type "  # how the line begins that hooks a chain


@dataclass(frozen=True, slots=True)
class Base:
    """What a table always holds.

    `body`: its sets, maps and hooked chains. `maps` and `sets`: those of them that get elements.
    """

    family: str
    name: str
    body: str
    maps: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()

    @property
    def version(self) -> str:
        """The name of the empty chain that says which body the table was made of."""
        return _VERSION + _digest(self.body)

    @property
    def hooked(self) -> frozenset[str]:
        """The chains that the kernel enters by itself. One of a device goes with its device."""
        return frozenset(self.counts)

    @property
    def counts(self) -> Mapping[str, int]:
        """How many rules each of them has."""
        return counted(self.body)

    @property
    def at(self) -> str:
        """Family and name, as commands take them."""
        return f"{self.family} {self.name}"


@dataclass(frozen=True, slots=True)
class Content:
    """What changes: rules by the name of their chain (see `chain`), and values of elements."""

    chains: Mapping[str, str] = field(default_factory=dict)
    elements: Mapping[Element, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Held:
    """What the kernel holds of a table. `version`: "" if there is none that we know.

    `counts`: how many rules each chain has; empty where that was not looked at.
    """

    version: str = ""
    chains: frozenset[str] = frozenset()
    elements: Mapping[Element, str] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)


def chain(prefix: str, rules: str) -> str:
    """The name of a chain with these rules; `prefix` tells people what it is for."""
    return f"{prefix}-{_digest(rules)}"


def held(base: Base, content: Content) -> Held:
    """What the kernel holds after `plan` was carried out."""
    return Held(base.version, frozenset(content.chains), content.elements)


def amended(held: Held, gone: Held, fresh: Held) -> Held:
    """What the kernel holds after `gone` was taken out and `fresh` was put in."""
    left = dict(held.elements)
    for each in gone.elements:
        left.pop(each, None)
    chains = held.chains - gone.chains | fresh.chains
    return replace(held, chains=chains, elements={**left, **fresh.elements})


def plan(base: Base, wished: Content, found: Held) -> str:
    """The transaction that makes `wished` of `found`; "" if they are the same.

    A table that lost rules is made anew: what else it lost, its names do not say.
    """
    if found.version != base.version or _miscounted(base, wished, found):
        return "".join(_anew(base, wished))
    return "".join(_changes(base, wished, found))


def removal(base: Base) -> str:
    """The transaction that removes the table, whether it is there or not."""
    return f"add table {base.at}\ndelete table {base.at}\n"


def is_anew(base: Base, transaction: str) -> bool:
    """Whether it makes the table from nothing, so that what rules had gathered in it is lost."""
    return transaction.startswith(removal(base))


def parse(base: Base, listed: Iterable[Mapping[str, Any]]) -> Held:
    """What `list table` says in JSON. A table that lacks a hooked chain is none that we know."""
    found: Counter[str] = Counter()
    elements: dict[Element, str] = {}
    for each in listed:
        if "chain" in each:
            found[str(each["chain"]["name"])] += 0
        elif "rule" in each:
            found[str(each["rule"]["chain"])] += 1
        for kind in each.keys() & {"map", "set"}:
            body = each[kind]
            if body["name"] in (*base.maps, *base.sets):
                for element in body.get("elem", ()):
                    key, value = element if kind == "map" else (element, None)
                    elements[body["name"], _key(key)] = _value(value)
    versions = {name for name in found if name.startswith(_VERSION)}
    version = "".join(versions) if base.hooked <= found.keys() else ""
    chains = frozenset(found.keys() - versions - base.hooked)
    return Held(version, chains, elements, dict(found))


def differences(base: Base, wished: Content, found: Held) -> list[str]:
    """What `plan` would change, in words."""
    if not found.version:
        return [f"table {base.at} is not there, or lacks chains"]
    if found.version != base.version:
        return [f"table {base.at} is of another version"]
    told = [
        f"chain {name} of table {base.at} has {has} rules instead of {wants}"
        for name, has, wants in _miscounted(base, wished, found)
    ]
    told += [
        f"chain {name} of table {base.at} is missing"
        for name in wished.chains
        if name not in found.chains
    ]
    for (at, key), value in wished.elements.items():
        has = found.elements.get((at, key))
        if has is None:
            told.append(f"{at} of table {base.at} lacks {_pair(key, value)}")
        elif has != value:
            told.append(f"{at} of table {base.at} has {_pair(key, has)} instead of {value}")
    gone = found.elements.keys() - wished.elements.keys()
    told += [f"{at} of table {base.at} has {key}, which is nobody's" for at, key in sorted(gone)]
    return told


def counted(text: str) -> dict[str, int]:
    """How many rules each chain of a text has, which has one to a line, as ours do."""
    found: dict[str, int] = {}
    chain = ""
    for line in map(str.strip, text.splitlines()):
        if opened := _CHAIN.match(line):
            chain = opened[1]
            found[chain] = 0
        elif line == "}":
            chain = ""
        elif chain and line and not line.startswith(_HOOK):
            found[chain] += 1
    return found


def _anew(base: Base, wished: Content) -> Iterator[str]:
    yield removal(base)
    yield f"table {base.at} {{\n{base.body}chain {base.version} {{ }}\n}}\n"
    yield from _changes(base, wished, Held(base.version))


def _miscounted(base: Base, wished: Content, found: Held) -> list[tuple[str, int, int]]:
    """Chains that have another number of rules than they were made with: has, wants."""
    if not found.counts:
        return []
    wants = dict(base.counts)
    wants |= {name: len(rules.splitlines()) for name, rules in wished.chains.items()}
    return [
        (name, found.counts[name], count)
        for name, count in wants.items()
        if name in found.counts and found.counts[name] != count
    ]


def _changes(base: Base, wished: Content, found: Held) -> Iterator[str]:
    for name, rules in wished.chains.items():
        if name not in found.chains:
            yield f"table {base.at} {{\nchain {name} {{\n{rules}}}\n}}\n"
    gone = [each for each, value in found.elements.items() if wished.elements.get(each) != value]
    fresh = [each for each, value in wished.elements.items() if found.elements.get(each) != value]
    for name in (*base.maps, *base.sets):
        yield from _elements("delete", base, name, (key for at, key in gone if at == name))
        yield from _elements(
            "add",
            base,
            name,
            (_pair(key, wished.elements[at, key]) for at, key in fresh if at == name),
        )
    # Last, for a chain that an element leads to cannot be removed.
    for name in sorted(found.chains - wished.chains.keys()):
        yield f"delete chain {base.at} {name}\n"


def _elements(verb: str, base: Base, name: str, elements: Iterable[str]) -> Iterator[str]:
    if joined := ", ".join(elements):
        yield f"{verb} element {base.at} {name} {{ {joined} }}\n"


def _pair(key: str, value: str) -> str:
    return f"{key} : {value}" if value else key


def _key(key: object) -> str:
    if isinstance(key, dict):
        return " . ".join(str(part) for part in key["concat"])
    return str(key)


def _value(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, dict):
        return f"goto {value['goto']['target']}"
    return str(value)


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=_DIGEST_BYTES).hexdigest()
