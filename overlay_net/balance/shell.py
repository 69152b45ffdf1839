"""Makes virtual addresses what the views say. It decides only which connections end."""

import ipaddress
import operator
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from overlay_net import conntrack, ruleset
from overlay_net.balance import beginning, views
from overlay_net.balance.views import Difference, View
from overlay_net.failures import told
from overlay_net.nft import LibNft
from overlay_net.strays import is_stray
from overlay_net.tables import Tables

_REMEMBERED = 64
"""Differences of networks: as many as may change at once, about."""


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


_NOBODY = View()


class Balance:
    """One per daemon, one call at a time. Each blocks for milliseconds: no work for the event
    loop.
    """

    def __init__(self, nft: LibNft) -> None:
        self._nft = nft
        self._tables = Tables(nft)
        self._seen: dict[str, Sequence[View]] = {}
        self._differences: deque[tuple[View, View, Difference]] = deque(maxlen=_REMEMBERED)

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
        wished = [known.get(network, _NOBODY) for network in sandbox.networks]
        if look or not _are(self._seen.get(sandbox.id, ()), wished):
            with told(f"programming the virtual addresses of {sandbox.id}"):
                self._apply(sandbox, wished, look=look, new=new)

    def _apply(self, sandbox: Sandbox, wished: Sequence[View], *, look: bool, new: bool) -> None:
        before = self._seen.pop(sandbox.id, None)  # nothing is known if this fails
        if new and before is None and self._begin(sandbox, wished):
            self._seen[sandbox.id] = wished
            return
        # First no new connection goes to a task, then those that exist end: else they come back.
        if not look and self._amend(sandbox, before, wished):
            self._seen[sandbox.id] = wished
            return
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
        if not sandbox.networks:
            return []  # it needs none, and may have one
        wished = [known.get(network, View()) for network in sandbox.networks]
        content = views.content(wished, sandbox.id)
        return self._tables.differences(sandbox.namespace, views.BASE, content)

    def take_mended(self) -> list[str]:
        """See Tables."""
        return self._tables.take_mended()

    def _begin(self, sandbox: Sandbox, wished: Sequence[View]) -> bool:
        """The first table of a container, in one go; False if that cannot be done."""
        services = [service for view in wished for service in view.services]
        if any(service.sticky for service in services):
            return False
        led = views.led(services, sandbox.id)
        messages = [*beginning.messages(), *views.messages((), led)]
        return self._tables.begin(
            sandbox.namespace,
            views.BASE,
            views.held(led),
            lambda: self._nft.send(sandbox.namespace, messages),
        )

    def _amend(
        self, sandbox: Sandbox, before: Sequence[View] | None, wished: Sequence[View]
    ) -> bool:
        """Changes what differs between the views alone; False if that cannot be done."""
        if before is None or len(before) != len(wished):
            return False
        found = [self._difference(*pair) for pair in zip(before, wished, strict=True)]
        gone = [service for each in found for service in each.gone]
        fresh = [service for each in found for service in each.fresh]
        former, new = (views.led(services, sandbox.id) for services in (gone, fresh))
        out, into = views.held(former), views.held(new)

        def send() -> None:
            if any(service.sticky for service in fresh):
                now = replace(out, version=views.BASE.version)
                text = ruleset.plan(views.BASE, views.part(new), now)
                self._nft.run(sandbox.namespace, text)
            elif gone or fresh:
                self._nft.send(sandbox.namespace, views.messages(former, new))

        if not self._tables.amend(sandbox.namespace, views.BASE, out, into, send):
            return False
        dead = (address for each in found for address in each.dead)
        if ended := frozenset(a for a in dead if not any(a in view.living for view in wished)):
            self._cut(sandbox, ended)
        return True

    def _difference(self, before: View, now: View) -> Difference:
        """Made once for all containers of a network."""
        for known in self._differences:
            if known[0] is before and known[1] is now:
                return known[2]
        made = views.difference(before, now)
        self._differences.append((before, now, made))
        return made

    def forget(self, sandbox: Sandbox) -> None:
        """The container is gone; its namespace may end."""
        self._seen.pop(sandbox.id, None)
        self._tables.forget(sandbox.namespace)
        self._nft.forget(sandbox.namespace)

    def _cut(self, sandbox: Sandbox, gone: frozenset[str]) -> None:
        """Only if the container was ever led to one of these tasks, as far as that is known."""
        for name in sorted({views.used(address) for address in gone}):
            seen = self._nft.members(sandbox.namespace, views.TABLE, name)
            if not views.knows_all(seen):
                conntrack.cut_from(sandbox.namespace, {a for a in gone if views.used(a) == name})
            elif used := seen & gone:
                conntrack.cut_from(sandbox.namespace, used)
                self._nft.send(sandbox.namespace, views.TABLE.delete(name, used))

    @staticmethod
    def _cut_strays(sandbox: Sandbox, living: Collection[str]) -> None:
        pools = [ipaddress.ip_network(pool) for pool in sandbox.pools]
        conntrack.cut_where(sandbox.namespace, lambda entry: is_stray(entry, pools, living))


def _are(seen: Sequence[View], wished: Sequence[View]) -> bool:
    """Whether they are the very same: to compare what is in them takes longer than to go on."""
    return len(seen) == len(wished) and all(map(operator.is_, seen, wished))


def _living(known: Sequence[View]) -> frozenset[str]:
    return frozenset().union(*(view.living for view in known))
