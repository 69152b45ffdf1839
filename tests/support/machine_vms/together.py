"""Several virtual machines on a lab's network, each somebody of its own."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

from tests.support.machine_hosts.form import HostForm
from tests.support.machine_hosts.lab import MachineLab
from tests.support.machine_vms.template import template
from tests.support.machine_vms.vm import VirtualMachine


@contextmanager
def virtual_machines(lab: MachineLab, *names: str) -> Iterator[list[VirtualMachine]]:
    """Fresh ones that answer over SSH; gone at the end. They share a network with `lab.hosts`."""
    image = template()
    with ExitStack() as ends:
        made = []
        for name in names:
            machine = VirtualMachine(lab.name, image, HostForm(name))
            ends.callback(machine.remove)
            machine.resume()
            made.append(machine)

        def settle(machine: VirtualMachine) -> None:
            machine.become(key=lab.public_key, packages=lab.packages.url)
            machine.wait()

        with ThreadPoolExecutor(len(made)) as pool:
            list(pool.map(settle, made))
        yield made
