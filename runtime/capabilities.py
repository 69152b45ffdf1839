"""Linux capabilities of a container: Docker's default set, changed by cap_add and cap_drop. Pure.

The order of the rules is Docker's (oci/caps): ALL in cap_drop means only what is added, ALL in
cap_add means all but what is dropped.
"""

from collections.abc import Iterable, Sequence

from api.errors import invalid

_NAMES = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP"
    " LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER"
    " SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE"
    " SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP"
    " MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF"
    " CHECKPOINT_RESTORE"
)
_DEFAULT = (
    "AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE NET_RAW"
    " SETFCAP SETGID SETPCAP SETUID SYS_CHROOT"
)
NAMES = tuple("CAP_" + name for name in _NAMES.split())
"""In the order of their numbers in the kernel."""
DEFAULT = frozenset("CAP_" + name for name in _DEFAULT.split())
_ALL = "ALL"


def from_mask(mask: int) -> frozenset[str]:
    """The set behind a bit mask, as CapBnd of /proc/self/status; unknown bits are left out."""
    return frozenset(name for number, name in enumerate(NAMES) if mask >> number & 1)


def resolve(add: Sequence[str], drop: Sequence[str], available: frozenset[str]) -> list[str]:
    """What the container holds, sorted; `available` is what this host can give.

    A default or ALL silently shrinks to what is available; a name that was asked for and is not
    there is refused with its field.
    """
    adds = [_canonical(name, f"container.cap_add[{i}]") for i, name in enumerate(add)]
    drops = {_canonical(name, f"container.cap_drop[{i}]") for i, name in enumerate(drop)}
    if _ALL in adds:
        held: Iterable[str] = set(available) - drops
    elif _ALL in drops:
        held = set(adds)
    else:
        held = (DEFAULT - drops) | (set(adds) - drops)
    for index, name in enumerate(adds):
        if name != _ALL and name not in available:
            raise invalid(
                f"container.cap_add[{index}]",
                f"capability {name} cannot be given on this host",
                why="the daemon itself does not hold it",
            )
    return sorted(set(held) & available)


def _canonical(name: str, field: str) -> str:
    text = name.upper()
    if text == _ALL:
        return _ALL
    if not text.startswith("CAP_"):
        text = "CAP_" + text
    if text not in NAMES:
        raise invalid(field, f"unknown capability {name!r}", remedy="see capabilities(7)")
    return text
