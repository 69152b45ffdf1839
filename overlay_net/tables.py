"""Tables of nftables kept as wished. What to change is decided in ruleset; this obeys."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from api.errors import Code, SwarmError
from overlay_net import ruleset
from overlay_net.failures import legible
from overlay_net.nft import Nft
from overlay_net.ruleset import Base, Content, Held


class Tables:
    """Remembers what it programmed, so that only the first look at a namespace costs a dump."""

    def __init__(self, nft: Nft) -> None:
        self._nft = nft
        self._held: dict[tuple[Path, str], Held] = {}
        self._mended: list[str] = []
        self._looked: dict[tuple[Path, str], int] = {}  # at which changes by others they were right

    def apply(self, target: Path, base: Base, wished: Content, *, look: bool = False) -> str:
        """Makes the table in the namespace of file `target` what is wished; the transaction that
        did it.

        `look`: believe the kernel, not the memory, as when another program may have flushed the
        rules. That costs a dump only if somebody else changed rules there since the last look.
        """
        known = self._known(target, base, look=look)
        if known is not None:
            try:
                return self._change(target, base, wished, known)
            except SwarmError:
                pass  # the memory was wrong
        # Asked before: what others change meanwhile is read at the next look.
        foreign = self._nft.foreign(target)
        found, held = self._read(target, base), self._held.get(self._key(target, base))
        text = self._change(target, base, wished, found)
        if text and look and held is not None:
            self._mended += ruleset.differences(base, wished, found)
        self._looked[self._key(target, base)] = foreign
        return text

    def begin(self, target: Path, base: Base, held: Held, send: Callable[[], None]) -> bool:
        """Makes a table where none is: `send` does so, and the kernel holds this of it then.

        False, and nothing is done, if the kernel refuses: `apply` all then.
        """
        try:
            foreign = self._nft.foreign(target)
            send()
        except SwarmError:
            return False
        key = self._key(target, base)
        self._held[key] = replace(held, version=base.version)
        self._looked[key] = foreign
        return True

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
        return self._known(target, base, look=look) or self._read(target, base)

    def differences(self, target: Path, base: Base, wished: Content) -> list[str]:
        """How the table differs from what is wished, in words; nothing is changed."""
        return ruleset.differences(base, wished, self._read(target, base))

    def take_mended(self) -> list[str]:
        """What looks found other than it was left, and put right, in words; each is told once."""
        mended, self._mended = self._mended, []
        return mended

    def remove(self, target: Path, base: Base) -> None:
        """The table is gone afterwards."""
        self._held.pop(self._key(target, base), None)
        self._nft.run(target, ruleset.removal(base))

    def forget(self, target: Path) -> None:
        """The namespace has ended, or will be another one under the same name."""
        for key in [key for key in self._held.keys() | self._looked.keys() if key[0] == target]:
            self._held.pop(key, None)
            self._looked.pop(key, None)

    def _known(self, target: Path, base: Base, *, look: bool) -> Held | None:
        """What is remembered, unless somebody may have changed it since it was looked at."""
        key = self._key(target, base)
        held = self._held.get(key)
        if held is None or not look:
            return held
        return held if self._looked.get(key) == self._nft.foreign(target) else None

    def _change(self, target: Path, base: Base, wished: Content, found: Held) -> str:
        key = self._key(target, base)
        self._held.pop(key, None)  # if the change fails, nothing is known
        if text := ruleset.plan(base, wished, found):
            self._nft.run(target, text)
        self._held[key] = ruleset.held(base, wished)
        return text

    def _read(self, target: Path, base: Base) -> Held:
        try:
            listed = self._nft.ask(target, f"list table {base.at}")
        except SwarmError as error:
            if error.code is not Code.NOT_FOUND:
                raise
            listed = []
        with legible(f"table {base.at}"):
            return ruleset.parse(base, listed)

    @staticmethod
    def _key(target: Path, base: Base) -> tuple[Path, str]:
        return target, base.at
