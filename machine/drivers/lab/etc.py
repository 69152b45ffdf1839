"""A host's own /etc/hosts, /etc/hostname and /etc/resolv.conf, which are bound over the machine's.

Files are written in place: a bind mount shows the file that was there, not what replaced it.
"""

from collections.abc import Sequence

from machine.drivers.lab.naming import HostPaths
from machine.drivers.lab.record import HostRecord

_LOOPBACK = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"
_RESOLVER = "# Nothing outside the lab can be reached, so there is nobody to ask.\n"


def hosts_text(hosts: Sequence[HostRecord]) -> str:
    """The text of /etc/hosts for every host of a lab."""
    return _LOOPBACK + "".join(f"{host.address} {host.name}\n" for host in hosts)


def write(paths: HostPaths, hosts: Sequence[HostRecord]) -> None:
    """Write, or bring up to date, the files of one host."""
    paths.etc.mkdir(parents=True, exist_ok=True)
    (paths.etc / "hosts").write_text(hosts_text(hosts), encoding="ascii")
    (paths.etc / "hostname").write_text(f"{paths.host}\n", encoding="ascii")
    (paths.etc / "resolv.conf").write_text(_RESOLVER, encoding="ascii")
