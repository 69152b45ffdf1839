"""What the lab tells of itself to `swarmctl machine`: hosts out of namespaces, as its machines."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from machine.driver import MachineDriver, Option
from machine.drivers.lab import naming

MACHINES = "machines"
"""The lab of those who name none."""


class Lab:
    """See DriverKind."""

    name = "lab"
    help = "a host made of namespaces on this machine"
    has_power = True
    options: Sequence[Option] = (
        Option("name", "Lab that the host is in; made if there is none", default=MACHINES),
        Option("host", "What the lab calls the host [as the machine]", default=""),
        Option("disk", "MiB of a disk of its own [a folder of this machine]", kind=int, default=0),
    )

    def driver(self, options: Mapping[str, Any], folder: Path) -> MachineDriver:
        """See DriverKind. The machine's folder bears its name."""
        lab = naming.check_lab(str(options.get("name") or MACHINES))
        host = naming.check_host(str(options.get("host") or folder.name))
        # What makes hosts takes long to load, and flags are made of every kind.
        from machine.drivers.lab.machines import LabMachines, check_disk  # noqa: PLC0415

        return LabMachines(lab, host, check_disk(int(options.get("disk") or 0)))


LAB = Lab()
