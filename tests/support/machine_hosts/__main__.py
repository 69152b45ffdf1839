"""Brings up bare hosts and keeps them until Ctrl-C: python -m tests.support.machine_hosts COUNT"""

import contextlib
import signal
import sys

from machine.drivers.lab.lock import machine_lock
from tests.support.machine_hosts.form import HostForm
from tests.support.machine_hosts.lab import machine_lab


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    forms = [HostForm(f"h{number}") for number in range(1, count + 1)]
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(f"ended by signal {number}"))
    with machine_lock("bare hosts by hand"), machine_lab() as lab, lab.hosts(*forms) as hosts:
        enter = f"nsenter --net={lab.namespace}"
        for host in hosts:
            print(f"{host.name}: {enter} ssh -i {lab.key} root@{host.address}")
            print(f"    nsenter --target={host.power.pid()} --all bash")
        print("Ctrl-C ends them", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()


if __name__ == "__main__":
    main()
