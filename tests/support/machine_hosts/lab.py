"""Bare hosts on a network of their own, for tests that install them.

    with machine_lab() as lab, lab.hosts(HostForm("h1"), HostForm("h2")) as (first, second):
        lab.inside(install(first.address, lab.key))      # a coroutine, in the lab's network
        lab.command(["swarmctl", "machine", "ls"])        # a program, in the lab's network
        first.run(["systemctl", "is-active", "swarmd"])   # in the host, by the back door

The network is one bridge in a namespace of its own, of which no link leads out. The operator sits
at the bridge's address: whoever is to reach the hosts has to make its sockets in that namespace.
Threads and programs that are started there are in it as well. By hand, from a shell:

    nsenter --net=/run/netns/swl-machines ssh -i KEY root@10.77.200.11     # never `ip netns exec`
    nsenter --target=PID --all COMMAND                                    # PID 1 of the host

(`ip netns exec` mounts another /sys, which hides the control groups.)
`python -m tests.support.machine_hosts 3` brings up three and says both.
"""

import asyncio
import contextlib
import shutil
import subprocess
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from hostkit import cgroup, netns
from machine.drivers.lab import naming, network
from tests.support.machine_hosts.base_tree import CACHE, base_tree, locked
from tests.support.machine_hosts.form import STATE, SUBNET, HostForm, HostPaths
from tests.support.machine_hosts.host import MachineHost
from tests.support.machine_hosts.package_server import PORT, PackageServer, package_server
from tests.support.machine_hosts.suite import BOOKWORM, Suite

T = TypeVar("T")

MakeHosts = Callable[..., list[MachineHost]]
"""What the fixture `machine_hosts` gives: from names or forms to hosts that answer."""

DEFAULT = "machines"


class MachineLab:
    """The network, what serves packages there, and the operator's key."""

    def __init__(
        self, name: str, suite: Suite, base: Path, key: Path, packages: PackageServer
    ) -> None:
        self.name = name
        self.suite = suite
        """What all its hosts are of."""
        self.base = base
        self.key = key
        """File of the operator's private key; its public half is beside it, with `.pub`."""
        self.packages = packages
        self.operator = naming.bridge_address(SUBNET)
        """The address that hosts see the operator at."""

    @property
    def namespace(self) -> Path:
        """The file of the network namespace that the operator works in."""
        return netns.path(naming.bridge_namespace(self.name))

    @property
    def public_key(self) -> str:
        """The line that lets the operator in."""
        return self.key.with_suffix(".pub").read_text().strip()

    def call(self, function: Callable[[], T]) -> T:
        """`function()` by a thread in the lab's network, as are all threads that it starts."""
        return netns.call_in(self.namespace, function)

    def inside(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine to its end, on an event loop in the lab's network."""
        return self.call(lambda: asyncio.run(work))

    def command(
        self,
        argv: Sequence[str],
        *,
        given: bytes = b"",
        timeout: float = 120.0,
        environment: Mapping[str, str] | None = None,
    ) -> "subprocess.CompletedProcess[bytes]":
        """Runs a program in the lab's network. Its exit code is the caller's to judge."""
        entered = ["nsenter", f"--net={self.namespace}", "--", *argv]
        return subprocess.run(
            entered,
            input=given,
            capture_output=True,
            timeout=timeout,
            env=environment,
            check=False,
        )

    @contextlib.contextmanager
    def hosts(self, *forms: HostForm) -> Iterator[list[MachineHost]]:
        """Fresh hosts that answer over SSH; gone at the end."""
        made: list[MachineHost] = []
        with contextlib.ExitStack() as ends:
            for form in forms:
                host = MachineHost(
                    self.name,
                    self.base,
                    form,
                    public_key=self.public_key,
                    packages=self.packages.url,
                    suite=self.suite,
                )
                ends.callback(host.remove)
                made.append(host)
                host.start()
            for host in made:
                host.wait()
            yield made


@contextlib.contextmanager
def machine_lab(name: str = DEFAULT, suite: Suite = BOOKWORM) -> Iterator[MachineLab]:
    """The lab of that name, once nobody else has it; what a crash left of an earlier one goes."""
    base = base_tree(suite=suite)
    STATE.mkdir(mode=0o700, exist_ok=True)
    with locked(STATE / f"{name}.lock"):
        sweep(name)
        try:
            yield from _lab(name, suite, base)
        finally:
            sweep(name)


def _lab(name: str, suite: Suite, base: Path) -> Iterator[MachineLab]:
    folder = STATE / name
    folder.mkdir(mode=0o700)
    key = folder / "operator"
    make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "operator", "-f", str(key)]
    subprocess.run(make, check=True, timeout=60)
    network.make_bridge(name, SUBNET)
    namespace = netns.path(naming.bridge_namespace(name))
    address = naming.bridge_address(SUBNET)
    with package_server(CACHE, address, PORT, namespace=namespace) as packages:
        yield MachineLab(name, suite, base, key, packages)


def sweep(name: str) -> None:
    """Removes all of a lab whose hosts have ended, be it that their process was killed."""
    folder = STATE / name
    found = [each.name for each in folder.iterdir() if each.is_dir()] if folder.exists() else []
    hierarchies = cgroup.detect()
    for host in found:
        paths = HostPaths(name, host)
        cgroup.kill(hierarchies, paths.cgroup, 20.0)
        cgroup.remove(hierarchies, paths.cgroup)
        network.unplug(name, host, paths.namespace)
    network.remove_bridge(name)
    shutil.rmtree(folder, ignore_errors=True)
