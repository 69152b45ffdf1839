"""Transactions against a model of what the kernel would hold."""

import re
from collections.abc import Iterator
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from overlay_net import ruleset
from overlay_net.ruleset import Base, Content, Held

BASE = Base(
    "inet",
    "t",
    "map m { type ipv4_addr : verdict; }\nchain output {\ntype nat hook output priority 0;\n}\n",
    maps=("m",),
    sets=("s",),
)


class Kernel:
    """Obeys what `plan` writes, and refuses what nftables would."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.version = ""
        self.chains: dict[str, str] = {}
        self.elements: dict[ruleset.Element, str] = {}

    def run(self, text: str) -> None:
        if text.startswith(ruleset.removal(BASE)):
            self.clear()
            text = text.removeprefix(ruleset.removal(BASE)).replace(BASE.body, "")
        for match in re.finditer(r"chain (version-\w+) \{ \}", text):
            self.version = match[1]
        for match in re.finditer(r"^chain (\S+) \{\n((?:.+\n)*?)\}\n\}\n", text, re.MULTILINE):
            assert match[1] not in self.chains
            self.chains[match[1]] = match[2]
        for verb, name, listed in re.findall(r"(add|delete) element inet t (\w) \{ (.*) \}", text):
            for element in listed.split(", "):
                key, _, value = element.partition(" : ")
                if verb == "delete":
                    del self.elements[name, key]
                else:
                    assert (name, key) not in self.elements
                    assert not value or value.removeprefix("goto ") in self.chains
                    self.elements[name, key] = value
        for name in re.findall(r"delete chain inet t (\S+)", text):
            assert f"goto {name}" not in self.elements.values()
            del self.chains[name]

    def holds(self, content: Content) -> bool:
        return (self.chains, self.elements) == (content.chains, content.elements)


@st.composite
def contents(draw: st.DrawFn) -> Content:
    services = draw(st.dictionaries(st.integers(1, 9), st.sampled_from(["a", "b", "c"])))
    chains, elements = {}, {}
    for key, word in services.items():
        name = ruleset.chain(f"s-{word}", f"rule {word}\n")
        chains[name] = f"rule {word}\n"
        elements["m", f"10.0.0.{key}"] = f"goto {name}"
    for key in draw(st.sets(st.integers(1, 5))):
        elements["s", str(key)] = ""
    return Content(chains, elements)


@given(st.lists(contents(), min_size=1, max_size=6))
def test_each_transaction_leads_to_what_is_wished(steps: list[Content]) -> None:
    kernel, held = Kernel(), Held()
    for wished in steps:
        kernel.run(ruleset.plan(BASE, wished, held))
        held = ruleset.held(BASE, wished)
        assert kernel.version == BASE.version
        assert kernel.holds(wished)
        assert ruleset.plan(BASE, wished, held) == ""


@given(contents())
def test_a_table_of_another_version_is_made_anew(wished: Content) -> None:
    other = Base("inet", "t", "map m { type ipv6_addr : verdict; }\n", maps=("m",))
    kernel = Kernel()
    kernel.run(ruleset.plan(BASE, wished, Held()))
    held = ruleset.held(BASE, wished)
    text = ruleset.plan(other, Content(), held)
    assert text.startswith("add table inet t\ndelete table inet t\n")
    assert other.version in text


def test_a_change_of_one_service_touches_no_other() -> None:
    before = {("m", f"10.0.0.{n}"): f"goto s{n}" for n in (1, 2)}
    after = before | {("m", "10.0.0.2"): "goto s3"}
    held = ruleset.held(BASE, Content({"s1": "a\n", "s2": "b\n"}, before))
    text = ruleset.plan(BASE, Content({"s1": "a\n", "s3": "c\n"}, after), held)
    assert text.splitlines() == [
        "table inet t {",
        "chain s3 {",
        "c",
        "}",
        "}",
        "delete element inet t m { 10.0.0.2 }",
        "add element inet t m { 10.0.0.2 : goto s3 }",
        "delete chain inet t s2",
    ]


def listed(family: str, table: str, name: str, **more: str) -> dict[str, object]:
    return {"chain": {"family": family, "table": table, "name": name, **more}}


def chains() -> Iterator[dict[str, object]]:
    yield {"metainfo": {}}
    yield listed("inet", "t", "output", hook="output")
    yield listed("inet", "t", BASE.version)
    yield listed("inet", "t", "s-web-1")
    yield {"rule": {"family": "inet", "table": "t", "chain": "s-web-1", "expr": []}}


def test_what_a_dump_says() -> None:
    sets: list[dict[str, Any]] = [
        {
            "map": {
                "name": "m",
                "elem": [
                    ["10.0.0.1", {"goto": {"target": "s-web-1"}}],
                    [{"concat": ["10.0.0.9", "tcp", 80]}, {"goto": {"target": "s-web-1"}}],
                    [1073741825, "02:42:0a:ff:00:01"],
                ],
            }
        },
        {"set": {"name": "s", "elem": ["gw0", 8080]}},
        {"set": {"name": "empty"}},
    ]
    unknown = {"set": {"name": "used", "elem": ["10.0.0.1"]}}
    assert ruleset.parse(BASE, [*chains(), *sets, unknown]) == Held(
        BASE.version,
        frozenset({"s-web-1"}),
        {
            ("m", "10.0.0.1"): "goto s-web-1",
            ("m", "10.0.0.9 . tcp . 80"): "goto s-web-1",
            ("m", "1073741825"): "02:42:0a:ff:00:01",
            ("s", "gw0"): "",
            ("s", "8080"): "",
        },
        {"output": 0, BASE.version: 0, "s-web-1": 1},
    )


def test_a_table_that_lost_a_hooked_chain_is_made_anew() -> None:
    left = [each for each in chains() if "hook" not in str(each)]
    assert ruleset.parse(BASE, left).version == ""


WEB = Content({"s-web-1": "a\nb\n"}, {("m", "10.0.0.1"): "goto s-web-1"})


def found(**counts: int) -> Held:
    chains, elements = frozenset(WEB.chains), WEB.elements
    wants = {"output": 0, "s-web-1": 2}
    return Held(
        BASE.version, chains, elements, {**wants, **{_name(k): n for k, n in counts.items()}}
    )


def _name(word: str) -> str:
    return word.replace("_", "-")


def test_rules_are_counted_in_texts() -> None:
    text = """table inet t {
  map m { type ipv4_addr : verdict; }
  chain first {
    type filter hook output priority 0; policy accept;
    ip daddr { 10.0.0.1 } drop
    ct status & dnat != 0 add @used4 { ip daddr }
  }
  chain second {
  }
}
"""
    assert ruleset.counted(text) == {"first": 2, "second": 0}


def test_a_table_that_lost_rules_is_made_anew() -> None:
    assert ruleset.plan(BASE, WEB, found()) == ""
    for lost in (found(s_web_1=1), found(output=1)):
        assert ruleset.is_anew(BASE, ruleset.plan(BASE, WEB, lost))


def test_differences_in_words() -> None:
    assert ruleset.differences(BASE, WEB, found()) == []
    assert ruleset.differences(BASE, WEB, Held()) == ["table inet t is not there, or lacks chains"]
    assert ruleset.differences(BASE, WEB, Held("other")) == ["table inet t is of another version"]
    assert ruleset.differences(BASE, WEB, found(s_web_1=0)) == [
        "chain s-web-1 of table inet t has 0 rules instead of 2"
    ]
    elements = {("m", "10.0.0.2"): "goto s-web-1", ("m", "10.0.0.3"): "goto s-web-1"}
    wished = Content({**WEB.chains, "s-new": "c\n"}, {("m", "10.0.0.2"): "goto s-new"})
    held = Held(BASE.version, frozenset(WEB.chains), elements)
    assert ruleset.differences(BASE, wished, held) == [
        "chain s-new of table inet t is missing",
        "m of table inet t has 10.0.0.2 : goto s-web-1 instead of goto s-new",
        "m of table inet t has 10.0.0.3, which is nobody's",
    ]


@given(contents(), contents())
def test_what_is_held_after_a_part_was_put_in_and_taken_out(
    before: Content, fresh: Content
) -> None:
    held, part = ruleset.held(BASE, before), ruleset.held(BASE, fresh)
    both = ruleset.amended(held, Held(), part)
    assert both.chains == held.chains | part.chains
    assert both.elements == {**held.elements, **part.elements}
    left = ruleset.amended(both, part, Held())
    assert left.version == BASE.version
    assert left.chains == held.chains - part.chains
    assert left.elements.keys() == held.elements.keys() - part.elements.keys()


def test_whether_what_rules_had_gathered_is_lost() -> None:
    content = Content({}, {("s", "80"): ""})
    assert ruleset.is_anew(BASE, ruleset.plan(BASE, content, Held()))
    assert not ruleset.is_anew(BASE, ruleset.plan(BASE, content, ruleset.held(BASE, Content())))


@pytest.mark.parametrize("others", [[], [listed("inet", "t", "version-0000")]])
def test_no_table_or_an_unknown_one(others: list[dict[str, object]]) -> None:
    found = ruleset.parse(BASE, others)
    assert found.version != BASE.version
