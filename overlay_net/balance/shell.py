"""Makes virtual addresses what the views say. It decides only which connections end."""

import ipaddress
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from overlay_net import conntrack, ruleset
from overlay_net.balance import views
from overlay_net.balance.views import View
from overlay_net.failures import told
from overlay_net.nft import LibNft
from overlay_net.strays import is_stray
from overlay_net.tables import Tables


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A container's network stack: the file of its namespace, and the networks (ids) it is joined
    to.

    `pools`: the subnets of those networks.
    """

    id: str
    namespace: Path
    networks: tuple[str, ...]
    pools: tuple[str, ...]


class Balance:
    """One per daemon, one call at a time. Each blocks for milliseconds: no work for the event
    loop.
    """

    def __init__(self, nft: LibNft) -> None:
        self._nft = nft
        self._tables = Tables(nft)
        self._seen: dict[str, Sequence[View]] = {}

    def apply(
        self, sandbox: Sandbox, known: Mapping[str, View], *, look: bool = False, new: bool = False
    ) -> None:
        """One container; `known`: the views by network. What another daemon left is found the first
        time.

        `look`: believe the kernel, not the memory, as when another program may have flushed the
        rules. `new`: the namespace was made just now, and has no connections yet; to look for some
        that have to end would be most of the cost. SwarmError if the kernel refuses; the next call
        does what this one has not done.
        """
        wished = [known.get(network, View()) for network in sandbox.networks]
        if self._seen.get(sandbox.id) != wished or look:
            with told(f"programming the virtual addresses of {sandbox.id}"):
                self._apply(sandbox, wished, look=look, new=new)

    def _apply(self, sandbox: Sandbox, wished: Sequence[View], *, look: bool, new: bool) -> None:
        before = self._seen.pop(sandbox.id, None)  # nothing is known if this fails
        # First no new connection goes to a task, then those that exist end: else they come back.
        content = views.content(wished, sandbox.id)
        done = self._tables.apply(sandbox.namespace, views.BASE, content, look=look)
        living = _living(wished)
        if before is None or ruleset.is_anew(views.BASE, done):
            if not new:
                self._cut_strays(sandbox, living)
        elif gone := _living(before) - living:
            self._cut(sandbox, gone)
        self._seen[sandbox.id] = wished

    def differences(self, sandbox: Sandbox, known: Mapping[str, View]) -> list[str]:
        """How a container's table differs from what is wished, in words; nothing is changed."""
        wished = [known.get(network, View()) for network in sandbox.networks]
        content = views.content(wished, sandbox.id)
        return self._tables.differences(sandbox.namespace, views.BASE, content)

    def take_mended(self) -> list[str]:
        """See Tables."""
        return self._tables.take_mended()

    def forget(self, sandbox: Sandbox) -> None:
        """The container is gone; its namespace may end."""
        self._seen.pop(sandbox.id, None)
        self._tables.forget(sandbox.namespace)
        self._nft.forget(sandbox.namespace)

    def _cut(self, sandbox: Sandbox, gone: frozenset[str]) -> None:
        """Only if the container was ever led to one of these tasks."""
        for name in views.USED:
            listed = self._nft.ask(sandbox.namespace, f"list set {views.BASE.at} {name}")
            if used := ruleset.members(listed) & gone:
                conntrack.cut_from(sandbox.namespace, used)
                elements = ", ".join(sorted(used))
                text = f"delete element {views.BASE.at} {name} {{ {elements} }}\n"
                self._nft.run(sandbox.namespace, text)

    @staticmethod
    def _cut_strays(sandbox: Sandbox, living: Collection[str]) -> None:
        pools = [ipaddress.ip_network(pool) for pool in sandbox.pools]
        conntrack.cut_where(sandbox.namespace, lambda entry: is_stray(entry, pools, living))


def _living(known: Sequence[View]) -> frozenset[str]:
    return frozenset().union(*(view.living for view in known))
