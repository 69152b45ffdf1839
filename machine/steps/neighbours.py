"""What other programs of a host are told, so that they leave a node in peace. Each only where that
program is.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from machine.layout import NETWORKD
from machine.provisioning import Change
from machine.steps.places import File
from machine.steps.seen import Seen

_HEAD = b"# Written by swarmctl.\n"
_NEEDRESTART = "/etc/needrestart/conf.d"
_NETWORKD_RAN = "/run/systemd/netif/state"


@dataclass(frozen=True)
class Beside(File):
    """The file, if there is something at `sign`."""

    sign: str = ""

    @property
    def paths(self) -> Sequence[str]:
        """The path, and the sign."""
        return (self.path, self.sign)

    def change(self, seen: Seen) -> Change | None:
        """What is different, where it matters."""
        return super().change(seen) if self.sign in seen.places else None


# Ubuntu's servers have it restart, after each run of apt, every service with a process that maps a
# file which was replaced. What watches over a container outlives swarmd in its group, and so swarmd
# would be restarted each time.
KEEP_RUNNING = Beside(
    f"{_NEEDRESTART}/swarmd.conf",
    _HEAD + b"$nrconf{override_rc}{qr(^swarmd)} = 0;\n",
    sign=_NEEDRESTART,
)
# Whenever it is started, also by an update, it takes away all routes and rules that others made
# (networkd.conf(5)): published ports would be closed until the next look finds that out.
KEEP_ROUTES = Beside(
    f"{NETWORKD}/swarmd.conf",
    _HEAD + b"[Network]\nManageForeignRoutes=no\nManageForeignRoutingPolicyRules=no\n",
    sign=_NETWORKD_RAN,
)
NEIGHBOURS = (KEEP_RUNNING, KEEP_ROUTES)
