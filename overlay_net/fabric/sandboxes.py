"""Sandboxes: the network namespaces of tasks, each with a name. Joins none to a network.

A sandbox is made before its container and outlives the daemon. It has its loopback device and
nothing else; it forwards nothing, and believes no router that announces itself.
"""

import contextlib
import socket
from pathlib import Path

from hostkit import netns
from hostkit.netlink import Netlink, open_socket
from overlay_net.fabric import links

PREFIX = "swarm-task-"
_SETTINGS = {
    "net/ipv4/ip_forward": "0",
    "net/ipv6/conf/all/forwarding": "0",
    "net/ipv6/conf/default/accept_ra": "0",
    "net/ipv6/conf/all/disable_ipv6": "0",
    "net/ipv6/conf/default/disable_ipv6": "0",
}


class Sandboxes:
    """Those whose names begin with `prefix`; no others are ever touched."""

    def __init__(self, prefix: str = PREFIX) -> None:
        self._prefix = prefix

    def make(self, task_id: str) -> str:
        """The file of a task's sandbox, made if it is not there."""
        path = netns.ensure(self._name(task_id))
        with Netlink(netns.call_in(path, _settled)) as inside:
            loopback = links.read_index(inside.get(links.ask_link("lo")))
            inside.ask(*links.bring_up(loopback, link_local=True))
        return str(path)

    def has(self, task_id: str) -> bool:
        """Whether a task has one, be it whole or not."""
        return netns.exists(self._name(task_id))

    def remove(self, task_id: str) -> None:
        """Forgets a sandbox; a missing one is no error. It ends with its last process.

        Its legs are to be taken away before, by `Fabric.converge` without it: one that lives on
        with a last process would still have its address.
        """
        netns.delete(self._name(task_id))

    def all(self) -> dict[str, str]:
        """The files of all sandboxes by task, be they needed or not."""
        if not netns.DIRECTORY.is_dir():
            return {}
        return {
            path.name.removeprefix(self._prefix): str(path)
            for path in sorted(netns.DIRECTORY.iterdir())
            if path.name.startswith(self._prefix)
        }

    def _name(self, task_id: str) -> str:
        return self._prefix + task_id


def _settled() -> socket.socket:
    """Settles the namespace that the thread is in; a socket of it."""
    for name, value in _SETTINGS.items():
        with contextlib.suppress(FileNotFoundError):  # no IPv6 in this kernel
            Path("/proc/sys", name).write_text(value, encoding="ascii")
    return open_socket()
