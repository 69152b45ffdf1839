"""Brings up bare hosts and keeps them until Ctrl-C, or until it is told to end.

    [SUITE=trixie] python -m tests.support.machine_hosts [COUNT] [NAME]

NAME: of the lab, "byhand" unless said; labs of different names do not see each other.
SUITE: of Debian, bookworm unless said.
"""

import contextlib
import signal
import sys

from tests.support.machine_hosts import suite
from tests.support.machine_hosts.form import HostForm
from tests.support.machine_hosts.lab import machine_lab


def main() -> None:
    """The whole program; see the module."""
    count = sys.argv[1] if len(sys.argv) > 1 else "1"
    name = sys.argv[2] if len(sys.argv) > 2 else "byhand"
    forms = [HostForm(f"h{number}") for number in range(1, int(count) + 1)]
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with (
        contextlib.suppress(KeyboardInterrupt),
        machine_lab(name, suite.chosen()) as lab,
        lab.hosts(*forms) as hosts,
    ):
        enter = f"nsenter --net={lab.namespace}"
        for host in hosts:
            print(f"{host.name}: {enter} ssh -i {lab.key} root@{host.address}")
            print(f"    nsenter --target={host.power.pid()} --all bash")
        print("Ctrl-C ends them", flush=True)
        signal.pause()


if __name__ == "__main__":
    main()
