"""Makes published ports so, on the node and in its tasks. It decides only which connections end."""

import ipaddress
from collections.abc import Iterable
from pathlib import Path

from overlay_net import conntrack, ruleset, sysctls
from overlay_net.failures import told
from overlay_net.ingress import host, routes, standing, task
from overlay_net.ingress.host import Node
from overlay_net.ingress.ports import Mesh
from overlay_net.ingress.task import Task
from overlay_net.nft import LibNft
from overlay_net.strays import is_stray
from overlay_net.tables import Tables


class Ingress:
    """One per daemon, one call at a time. Each blocks for milliseconds: no work for the event
    loop.
    """

    def __init__(self, nft: LibNft) -> None:
        self._nft = nft
        self._tables = Tables(nft)
        self._published: dict[Path, tuple[Node, Mesh]] = {}
        self._prepared: set[Task] = set()
        self._mended: list[str] = []

    def apply_node(self, node: Node, mesh: Mesh, *, look: bool = False) -> None:
        """This node's ports. What another daemon left is found the first time.

        `look`: believe the kernel, not the memory, as when another program may have flushed the
        rules. SwarmError if the kernel refuses; the next call does what this one has not done.
        """
        if self._published.get(node.namespace) != (node, mesh) or look:
            with told("publishing this node's ports"):
                self._apply_node(node, mesh, look)

    def apply_task(self, published: Task, macs: Iterable[str], *, look: bool = False) -> None:
        """A task's way back. `macs`: of all nodes' legs in the ingress network, this one's too.

        `look` and errors as of `apply_node`; a leg that was made anew needs a look.
        """
        with told("leading a published task's answers back"):
            self._apply_task(published, macs, look)

    def _apply_node(self, node: Node, mesh: Mesh, look: bool) -> None:
        before = self._published.pop(node.namespace, None)  # nothing is known if this fails
        # First no new connection goes to a task, then those that exist end: else they come back.
        base, content = host.base(node), host.content(node, mesh)
        done = self._tables.apply(node.namespace, base, content, look=look)
        changed = sysctls.apply(node.namespace, host.sysctls(node))
        missing = standing.missing_of_node(node)
        if missing:
            routes.apply_node(node)
        if before is not None and before[0] == node:
            self._mended += [*changed, *(f"no {each}" for each in missing)]
        if before is None or ruleset.is_anew(base, done):
            pools = [ipaddress.ip_network(pool) for pool in node.pools]
            conntrack.cut_where(node.namespace, lambda entry: is_stray(entry, pools, mesh.living))
        else:
            conntrack.cut_from(node.namespace, before[1].living - mesh.living)
        self._published[node.namespace] = (node, mesh)

    def _apply_task(self, published: Task, macs: Iterable[str], look: bool) -> None:
        if published not in self._prepared:
            sysctls.apply(published.namespace, task.sysctls(published))
            routes.apply(published)
        elif look:
            self._mend(published)
        base, egress = task.base(published), task.egress_base(published)
        found = self._tables.found(published.namespace, base, look=look)
        held = {mac: int(number) for (at, mac), number in found.elements.items() if at == "zones"}
        given = task.numbers(macs, held)
        if gone := {task.MARK | number for mac, number in held.items() if mac not in given}:
            conntrack.cut_where(published.namespace, lambda entry: entry.mark in gone)
        # Frames first: a connection that is marked can be answered.
        self._tables.apply(published.namespace, egress, task.egress_content(given), look=look)
        self._tables.apply(published.namespace, base, task.content(given), look=look)
        self._prepared.add(published)

    def renew(self, namespace: Path) -> None:
        """A leg there was made anew: its routes, settings and hooks went with the old one."""
        self._published.pop(namespace, None)
        self._prepared = {each for each in self._prepared if each.namespace != namespace}
        self._tables.forget(namespace)

    def _mend(self, published: Task) -> None:
        self._mended += sysctls.apply(published.namespace, task.sysctls(published))
        if missing := standing.missing_of_task(published):
            self._mended += [f"no {each}" for each in missing]
            routes.apply(published)

    def take_mended(self) -> list[str]:
        """What looks found other than it was left, and put right, in words; each is told once."""
        mended, self._mended = self._mended, []
        return mended + self._tables.take_mended()

    def node_differences(self, node: Node, mesh: Mesh) -> list[str]:
        """How this node's ports differ from what is wished, in words; nothing is changed."""
        told = self._tables.differences(node.namespace, host.base(node), host.content(node, mesh))
        told += sysctls.differences(node.namespace, host.sysctls(node))
        return told + [f"no {each}" for each in standing.missing_of_node(node)]

    def task_differences(self, published: Task, macs: Iterable[str]) -> list[str]:
        """The same of a task's way back."""
        namespace, base = published.namespace, task.base(published)
        found = self._tables.found(namespace, base)
        held = {mac: int(number) for (at, mac), number in found.elements.items() if at == "zones"}
        given = task.numbers(macs, held)
        told = self._tables.differences(namespace, base, task.content(given))
        egress = task.egress_base(published), task.egress_content(given)
        told += self._tables.differences(namespace, *egress)
        told += sysctls.differences(namespace, task.sysctls(published))
        return told + [f"no {each}" for each in standing.missing_of_task(published)]

    def remove_node(self, node: Node) -> None:
        """This node publishes nothing more, as when it leaves the swarm. Connections that it led to
        tasks end: nothing leads them any more.
        """
        before = self._published.pop(node.namespace, None)
        with told("publishing no more ports"):
            sysctls.apply(node.namespace, host.closing(node))
            self._tables.remove(node.namespace, host.base(node))
            if before is not None:
                conntrack.cut_from(node.namespace, before[1].living)
            elif pools := [ipaddress.ip_network(pool) for pool in node.pools]:
                conntrack.cut_where(node.namespace, lambda entry: is_stray(entry, pools, ()))
            routes.remove_node(node)

    def forget(self, namespace: Path) -> None:
        """A task is gone; its namespace may end."""
        self.renew(namespace)
        self._nft.forget(namespace)
