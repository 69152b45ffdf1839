"""Tables of nftables that are always written whole, and whether they still stand so."""

from collections.abc import Callable
from pathlib import Path

from api.errors import Code, SwarmError
from overlay_net import ruleset
from overlay_net.nft import Nft


class Written:
    """Remembers what it wrote: what a former daemon wrote it does not know, and writes anew."""

    def __init__(self, nft: Nft) -> None:
        self._nft = nft
        self._texts: dict[tuple[Path, str], str] = {}
        self._looked: dict[tuple[Path, str], int] = {}

    def write(
        self, target: Path, table: str, text: str, send: Callable[[], None] | None = None
    ) -> None:
        """Commands that make the table (family and name) anew, or remove it: one transaction.

        `send` does the same in another way; if the kernel refuses it so, it is told in commands.
        """
        key = target, table
        self._texts.pop(key, None)
        self._looked.pop(key, None)
        foreign = self._nft.foreign(target)
        if send is None or not _done(send):
            self._nft.run(target, text)
        self._texts[key] = text
        self._looked[key] = foreign

    def stands(self, target: Path, table: str, text: str) -> bool:
        """Whether this was written last, and the kernel's chains have as many rules."""
        key = target, table
        if self._texts.get(key) != text:
            return False
        foreign = self._nft.foreign(target)
        if self._looked.get(key) == foreign:
            return True
        stands = self._counts(target, table) == ruleset.counted(text)
        if stands:
            self._looked[key] = foreign
        return stands

    def forget(self, target: Path) -> None:
        """The namespace has ended, or will be another one under the same name."""
        for key in [key for key in self._texts if key[0] == target]:
            del self._texts[key]
            self._looked.pop(key, None)

    def _counts(self, target: Path, table: str) -> dict[str, int]:
        try:
            listed = self._nft.ask(target, f"list table {table}")
        except SwarmError as error:
            if error.code is not Code.NOT_FOUND:
                raise
            return {}
        counts = {str(each["chain"]["name"]): 0 for each in listed if "chain" in each}
        for each in listed:
            if "rule" in each:
                counts[str(each["rule"]["chain"])] += 1
        return counts


def _done(send: Callable[[], None]) -> bool:
    try:
        send()
    except SwarmError:
        return False
    return True
