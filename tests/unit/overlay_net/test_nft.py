import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from hostkit import netns
from overlay_net import tables, written
from overlay_net.nfnetlink import Table
from overlay_net.nft import LibNft
from overlay_net.ruleset import Base, Content
from tests.support.nft_command import NftCommand
from tests.support.wires import Wires

pytestmark = pytest.mark.root

OTHERS = NftCommand()
BASE = Base("inet", "swarm_t", "set s { type inet_service; }\n", sets=("s",))


@pytest.fixture
def net() -> Iterator[Wires]:
    made = Wires()
    with contextlib.closing(made):
        yield made


@pytest.fixture
def nft() -> Iterator[LibNft]:
    made = LibNft()
    with contextlib.closing(made):
        yield made


def names(nft: LibNft, target: Path) -> list[str]:
    return [each["table"]["name"] for each in nft.ask(target, "list tables")]


def test_a_context_stays_in_its_namespace(net: Wires, nft: LibNft) -> None:
    first, second = net.namespace("a"), net.namespace("b")
    nft.run(first, "add table inet x")
    assert names(nft, first) == ["x"]
    assert names(nft, second) == []


def test_more_namespaces_than_contexts_that_are_kept(net: Wires, nft: LibNft) -> None:
    targets = [net.namespace(str(number)) for number in range(8)]
    for target in targets:
        nft.run(target, f"add table inet {target.name}")
    nft.forget(targets[-1])
    for target in reversed(targets):
        assert names(nft, target) == [target.name]


def test_a_transaction_happens_wholly_or_not_at_all(net: Wires, nft: LibNft) -> None:
    target = net.namespace("a")
    with pytest.raises(SwarmError, match="No such file") as refused:
        nft.run(target, "add table inet x\nadd chain inet absent c\n")
    assert refused.value.code is Code.NOT_FOUND
    assert names(nft, target) == []


def test_a_syntax_error_says_where(net: Wires, nft: LibNft) -> None:
    with pytest.raises(SwarmError, match="syntax error") as refused:
        nft.run(net.namespace("a"), "add nonsense\n")
    assert refused.value.code is Code.INTERNAL
    assert "\n" not in str(refused.value)


def test_a_name_that_stands_for_another_namespace(net: Wires, nft: LibNft) -> None:
    target = net.namespace("a")
    nft.run(target, "add table inet x")
    netns.delete(target.name)
    with pytest.raises(SwarmError) as gone:
        nft.ask(target, "list tables")
    assert gone.value.code is Code.NOT_FOUND
    netns.create(target.name)
    assert names(nft, target) == []


def test_tables_believe_their_memory_unless_told_to_look(net: Wires, nft: LibNft) -> None:
    target = net.namespace("a")
    kept = tables.Tables(nft)
    wished = Content({}, {("s", "80"): ""})
    assert kept.apply(target, BASE, wished)
    assert kept.apply(target, BASE, wished) == ""
    OTHERS.run(target, "flush ruleset")
    assert kept.apply(target, BASE, wished) == ""
    assert kept.apply(target, BASE, wished, look=True)
    assert tables.Tables(nft).apply(target, BASE, wished) == ""


def test_a_change_that_was_refused_is_made_from_what_is_there(net: Wires, nft: LibNft) -> None:
    target = net.namespace("a")
    kept = tables.Tables(nft)
    kept.apply(target, BASE, Content())
    OTHERS.run(target, "flush ruleset")
    wished = Content({}, {("s", "80"): ""})
    assert "chain version-" in kept.apply(target, BASE, wished)
    kept.remove(target, BASE)
    assert names(nft, target) == []
    assert kept.apply(target, BASE, wished)


def test_each_change_is_another_generation(net: Wires, nft: LibNft) -> None:
    first, second = net.namespace("a"), net.namespace("b")
    numbers = [nft.generation(first)]
    nft.run(first, "add table inet x")
    numbers.append(nft.generation(first))
    assert nft.generation(first) == numbers[-1], "a question is no change"
    nft.run(first, "flush ruleset")
    numbers.append(nft.generation(first))
    assert len(set(numbers)) == 3
    before = nft.generation(second)
    nft.run(first, "add table inet x")
    assert nft.generation(second) == before


def test_what_we_change_ourselves_is_nothing_foreign(net: Wires, nft: LibNft) -> None:
    target = net.namespace("a")
    table = Table("swarm_t")
    before = nft.foreign(target)
    nft.run(target, "add table inet x")
    nft.send(target, [table.begin(), table.chain("c")])
    assert nft.foreign(target) == before
    OTHERS.run(target, "add table inet y")
    now = nft.foreign(target)
    assert now != before
    OTHERS.run(target, "add table inet z")
    nft.run(target, "delete table inet z")  # what others did just before is theirs
    assert nft.foreign(target) not in {before, now}


@pytest.mark.parametrize("damage", ["flush ruleset", "flush table inet swarm_t"])
def test_a_look_sees_what_others_changed(net: Wires, nft: LibNft, damage: str) -> None:
    target, made = net.namespace("a"), tables.Tables(nft)
    hook = "type filter hook output priority 0; policy accept;"
    base = Base("inet", "swarm_t", f"chain c {{\n{hook}\nip daddr 10.0.0.9 drop\n}}\n")
    made.apply(target, base, Content())
    assert made.apply(target, base, Content(), look=True) == ""
    OTHERS.run(target, damage)
    assert made.apply(target, base, Content()) == ""
    assert made.differences(target, base, Content()) != []
    made.found(target, base, look=True)
    assert made.apply(target, base, Content(), look=True) != ""
    assert made.differences(target, base, Content()) == []


def test_a_table_that_is_written_whole(net: Wires, nft: LibNft) -> None:
    target, kept = net.namespace("a"), written.Written(nft)
    text = (
        "add table ip t\ndelete table ip t\ntable ip t {\n chain c {\n"
        "  type filter hook output priority 0; policy accept;\n  ip daddr 10.0.0.9 drop\n }\n}\n"
    )
    assert not kept.stands(target, "ip t", text)
    kept.write(target, "ip t", text)
    for damage in ("flush table ip t", "delete table ip t"):
        assert kept.stands(target, "ip t", text)
        assert not kept.stands(target, "ip t", text.replace(".9", ".8"))
        OTHERS.run(target, damage)
        assert not kept.stands(target, "ip t", text)
        kept.write(target, "ip t", text)
