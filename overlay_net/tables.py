"""Tables of nftables kept as wished. What to change is decided in ruleset; this obeys."""

from collections.abc import Callable
from pathlib import Path

from api.errors import Code, SwarmError
from overlay_net import ruleset
from overlay_net.nft import Nft
from overlay_net.ruleset import Base, Content, Held


class Tables:
    """Remembers what it programmed, so that only the first look at a namespace costs a dump."""

    def __init__(self, nft: Nft) -> None:
        self._nft = nft
        self._held: dict[tuple[Path, str], Held] = {}

    def apply(self, target: Path, base: Base, wished: Content, *, look: bool = False) -> str:
        """Makes the table in the namespace of file `target` what is wished; the transaction that
        did it.

        `look`: believe the kernel, not the memory, as when another program may have flushed the
        rules.
        """
        known = None if look else self._held.get(self._key(target, base))
        try:
            return self._change(target, base, wished, known or self._read(target, base))
        except SwarmError:
            if known is None:
                raise
            return self._change(target, base, wished, self._read(target, base))

    def amend(
        self, target: Path, base: Base, gone: Held, fresh: Held, send: Callable[[], None]
    ) -> bool:
        """Takes something out of the table and puts something else in, whatever else it holds:
        `send` does so.

        False, and nothing is done, if it is not what was left here, as when another program flushed
        it: `apply` all then.
        """
        key = self._key(target, base)
        held = self._held.pop(key, None)
        if held is None:
            return False
        try:
            send()
        except SwarmError:
            return False
        self._held[key] = ruleset.amended(held, gone, fresh)
        return True

    def found(self, target: Path, base: Base, *, look: bool = False) -> Held:
        """What the kernel holds of the table, as far as `plan` needs to know."""
        known = None if look else self._held.get(self._key(target, base))
        return known or self._read(target, base)

    def remove(self, target: Path, base: Base) -> None:
        """The table is gone afterwards."""
        self._held.pop(self._key(target, base), None)
        self._nft.run(target, ruleset.removal(base))

    def forget(self, target: Path) -> None:
        """The namespace has ended, or will be another one under the same name."""
        for key in [key for key in self._held if key[0] == target]:
            del self._held[key]

    def _change(self, target: Path, base: Base, wished: Content, found: Held) -> str:
        key = self._key(target, base)
        self._held.pop(key, None)  # if the change fails, nothing is known
        if text := ruleset.plan(base, wished, found):
            self._nft.run(target, text)
        self._held[key] = ruleset.held(base, wished)
        return text

    def _read(self, target: Path, base: Base) -> Held:
        try:
            chains = self._nft.ask(target, f"list chains {base.family}")
            if ruleset.parse(base, chains, ()).version != base.version:
                return Held()  # it will be made anew, whatever it holds
            sets = [
                each
                for kind, names in (("map", base.maps), ("set", base.sets))
                for name in names
                for each in self._nft.ask(target, f"list {kind} {base.at} {name}")
            ]
        except SwarmError as error:
            if error.code is not Code.NOT_FOUND:
                raise
            return Held()
        return ruleset.parse(base, chains, sets)

    @staticmethod
    def _key(target: Path, base: Base) -> tuple[Path, str]:
        return target, base.at
