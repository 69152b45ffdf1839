"""What goes wrong with a host, or went wrong before anybody came to install it.

The link is cut by the host itself (`MachineHost.cut`), for nobody inside can tell.
"""

import contextlib
import subprocess
from collections.abc import Iterator

from tests.support.machine_hosts.host import MachineHost

_HOLD_LOCK = """\
import fcntl, sys
file = open("/var/lib/dpkg/lock-frontend", "w")
fcntl.lockf(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""
_HOST_KEY = "/etc/ssh/ssh_host_ed25519_key"
_FILLER = "/var/filler"
_MAP = 8  # MiB that the file system may need to know where the filler lies
_HALF_UNIT = b"""\
[Service]
ExecStart=/opt/swarm/current/bin/swarmd
[Install]
WantedBy=multi-user.target
"""


@contextlib.contextmanager
def apt_lock_held(host: MachineHost) -> Iterator[None]:
    """Somebody else installs packages meanwhile: unattended upgrades, as a rule."""
    argv = host.inside(["python3", "-c", _HOLD_LOCK])
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"held\n"
            yield
        finally:
            holder.kill()


@contextlib.contextmanager
def disk_full(host: MachineHost, free: int = 0) -> Iterator[None]:
    """All but `free` MiB of the host's disk is taken; make it small by HostForm.disk."""
    left = int(host.run(["df", "--output=avail", "-m", "/var"]).split()[-1])
    host.run(["fallocate", "-l", f"{max(1, left - free - _MAP)}M", _FILLER])
    if not free:
        host.run(["sh", "-c", f"cat /dev/zero >>{_FILLER}"], check=False)
    try:
        yield
    finally:
        host.run(["rm", "-f", _FILLER])


def replace_host_key(host: MachineHost) -> None:
    """The host was installed anew, or somebody sits between; open sessions stay."""
    host.run(["rm", "-f", _HOST_KEY, f"{_HOST_KEY}.pub"])
    host.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", _HOST_KEY])
    host.run(["systemctl", "restart", "ssh"])


def remove_sudo(host: MachineHost) -> None:
    """As some images of Debian come."""
    host.run(["env", "SUDO_FORCE_REMOVE=yes", "dpkg", "--purge", "sudo"])


def half_installation(host: MachineHost, version: str = "0.0.1") -> None:
    """What another tool, or a run that lost its power, may leave of a node: none of it works."""
    host.run(["mkdir", "-p", f"/opt/swarm/{version}/bin", "/etc/swarm"])
    host.run(["ln", "-sfn", version, "/opt/swarm/current"])
    host.run(["tee", "/etc/swarm/machine.json"], given=b'{"steps": [')
    host.run(["tee", "/etc/systemd/system/swarmd.service"], given=_HALF_UNIT)
    host.run(["systemctl", "daemon-reload"])
    host.run(["systemctl", "enable", "swarmd"])
