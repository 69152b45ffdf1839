"""What the messages make is what libnftables makes of the same as text."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from api.errors import SwarmError
from overlay_net import ruleset
from overlay_net.balance import beginning, views
from overlay_net.balance.views import Service
from overlay_net.dns import redirect
from overlay_net.nft import LibNft
from overlay_net.ruleset import Content, Held
from tests.support.wires import Wires

pytestmark = pytest.mark.root

FOUR = tuple(f"10.0.{number // 250}.{number % 250 + 1}" for number in range(5))
SIX = tuple(f"fd00::{number + 1:x}" for number in range(5))
MANY = tuple(f"10.1.{number // 250}.{number % 250 + 1}" for number in range(2500))
SOME = MANY[: views.MOST]
VIRTUAL = ("10.9.0.1", "fd09::1")


class Kernel:
    """A namespace with the table of virtual addresses, or an empty one."""

    def __init__(self, net: Wires, name: str, nft: LibNft, *, empty: bool = False) -> None:
        self.path = net.namespace(name)
        self._nft = nft
        if not empty:
            nft.run(self.path, ruleset.plan(views.BASE, Content(), Held()))

    def text(self, gone: Sequence[Service], fresh: Sequence[Service]) -> None:
        out, into = views.held(views.led(gone, "me")), views.part(views.led(fresh, "me"))
        found = Held(views.BASE.version, out.chains, out.elements)
        self._nft.run(self.path, ruleset.plan(views.BASE, into, found))

    def messages(self, gone: Sequence[Service], fresh: Sequence[Service]) -> None:
        self._nft.send(self.path, views.messages(views.led(gone, "me"), views.led(fresh, "me")))

    def listing(self) -> list[Any]:
        """All that the table holds, as libnftables understands it."""
        return [_unnumbered(each) for each in self._nft.ask(self.path, "list ruleset")]


def _unnumbered(found: Any) -> Any:
    """Without handles, which say in what order things came to be."""
    if isinstance(found, dict):
        kept = {key: _unnumbered(value) for key, value in found.items() if key != "handle"}
        if isinstance(kept.get("elem"), list):
            kept["elem"] = sorted(kept["elem"], key=str)
        return kept
    return [_unnumbered(each) for each in found] if isinstance(found, list) else found


@pytest.fixture
def net() -> Iterator[Wires]:
    made = Wires()
    with contextlib.closing(made):
        yield made


@pytest.fixture
def kernels(net: Wires) -> Iterator[tuple[Kernel, Kernel]]:
    with contextlib.closing(LibNft()) as nft:
        yield Kernel(net, "text", nft), Kernel(net, "messages", nft)


@pytest.mark.parametrize(
    "serving",
    [(), FOUR[:1], FOUR, SIX, (*FOUR, *SIX), MANY],
    ids=["nobody", "one", "ipv4", "ipv6", "both", "many"],
)
def test_messages_say_what_the_text_says(
    kernels: tuple[Kernel, Kernel], serving: tuple[str, ...]
) -> None:
    web = Service("web", VIRTUAL, serving, sticky=False)
    other = Service("db", ("10.9.0.2",), FOUR[2:], sticky=False)
    changed = Service("web", VIRTUAL, (*serving[1:], "10.2.0.1"), sticky=False)
    by_text, by_messages = kernels
    steps: list[tuple[list[Service], list[Service]]] = [([], [web, other]), ([web], [changed])]
    for gone, fresh in [*steps, ([changed, other], [])]:
        by_text.text(gone, fresh)
        by_messages.messages(gone, fresh)
        assert by_messages.listing() == by_text.listing()


def test_a_table_begins_as_its_text_says(kernels: tuple[Kernel, Kernel], net: Wires) -> None:
    by_text, _ = kernels
    with contextlib.closing(LibNft()) as nft:
        begun = Kernel(net, "begun", nft, empty=True)
        web = views.led([Service("web", VIRTUAL, FOUR, sticky=False)], "me")
        nft.send(begun.path, [*beginning.messages(), *views.messages((), web)])
        by_text.text([], [each.service for each in web])
        assert begun.listing() == by_text.listing()


def test_the_way_to_the_name_server_is_as_its_text_says(net: Wires) -> None:
    with contextlib.closing(LibNft()) as nft:
        text, sent = (Kernel(net, name, nft, empty=True) for name in ("text", "sent"))
        for udp, tcp in ((40_000, 50_000), (40_001, 50_001)):
            nft.run(text.path, redirect.ruleset(udp, tcp))
            nft.send(sent.path, redirect.messages(udp, tcp))
            assert sent.listing() == text.listing()


def test_a_transaction_that_is_refused_changes_nothing(kernels: tuple[Kernel, Kernel]) -> None:
    _, kernel = kernels
    web, db = (Service(name, (f"10.9.0.{n}",), FOUR, sticky=False) for n, name in enumerate("ab"))
    kernel.messages([], [web])
    before = kernel.listing()
    with pytest.raises(SwarmError, match="a change of nftables failed"):
        kernel.messages([db], [Service("c", ("10.9.0.9",), FOUR, sticky=False)])
    assert kernel.listing() == before
    kernel.messages([web], [db])


def test_members_of_a_set() -> None:
    net, name, name6 = Wires(), views.used(FOUR[0]), views.used(SIX[0])
    with contextlib.closing(net), contextlib.closing(LibNft()) as nft:
        kernel = Kernel(net, "set", nft)
        assert nft.members(kernel.path, views.TABLE, name) == frozenset()
        elements = ", ".join(SOME)
        nft.run(kernel.path, f"add element {views.BASE.at} {name} {{ {elements} }}\n")
        nft.run(kernel.path, f"add element {views.BASE.at} {name6} {{ fd00::1 }}\n")
        assert nft.members(kernel.path, views.TABLE, name) == set(SOME)
        assert nft.members(kernel.path, views.TABLE, name6) == {"fd00::1"}
        nft.send(kernel.path, views.TABLE.delete(name, SOME[1:]))
        assert nft.members(kernel.path, views.TABLE, name) == {SOME[0]}
