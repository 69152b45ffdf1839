"""Whether a host can be a node: judges what was found, and says what to do. Pure."""

from collections.abc import Iterable

from api.address import split_address
from api.host_api import PORT as API_PORT
from machine.facts.facts import Facts, Listener
from machine.packages import WIREGUARD, needed
from machine.provisioning import Problem, Wanted

SYSTEMS = {"debian": (12.0, 13.0), "ubuntu": (24.04, 99.0)}
"""First and last version that are supported; a later Python of theirs is refused by itself."""
ARCHITECTURES = ("x86_64", "aarch64")
PYTHONS = range(11, 14)
"""Minor versions of Python 3 that we and the bundle serve."""
MIB = 1024 * 1024
ROOM = {"/opt": 350 * MIB, "/var/lib": 400 * MIB, "/var/cache/apt": 100 * MIB, "/etc": 1 * MIB}
"""Free bytes that an installation needs, and some for the first images."""
MIN_MEMORY = 220 * MIB
SKEW = 60.0
"""Seconds. Certificates bear an hour; leases and logs are hard to read long before."""
WIREGUARD_PORT = 51820
PORTS = {
    ("tcp", 2377): "managers and nodes",
    ("tcp", 2378): "nodes that join",
    ("udp", 4789): "networks of tasks",
    ("udp", WIREGUARD_PORT): "encrypted networks",
}
_LINKS = ("", "wireguard-go")
FEATURES = {
    "overlay": "files of containers",
    "veth": "networks of tasks",
    "vxlan": "networks of tasks",
    "macvlan": "networks of tasks",
    "nf_tables": "published ports",
}
_NAMES_OF_IMAGES = ("", "localhost", "debian", "ubuntu")
CONTROLLERS = ("cpu", "memory", "pids")


def judge(facts: Facts, wanted: Wanted) -> list[Problem]:
    """All that is in the way, what is fatal first."""
    problems = [
        *_system(facts),
        *_room(facts, wanted),
        *_kernel(facts),
        *_ports(facts, wanted),
        *_packages(facts),
        *_index(facts, wanted),
        *_clock(facts),
        *_firewalls(facts, wanted),
        *_others(facts, wanted),
    ]
    return sorted(problems, key=lambda problem: not problem.fatal)


def _system(facts: Facts) -> Iterable[Problem]:
    if not _is_supported(facts):
        yield Problem(
            f"{facts.os_name or facts.os or 'its operating system'} is not supported",
            "use Debian 12 or 13, or Ubuntu 24.04",
        )
    if facts.arch not in ARCHITECTURES:
        yield Problem(f"machines of {facts.arch} are not supported", "use x86_64 or aarch64")
    if facts.init != "systemd":
        yield Problem(
            f"process 1 is {facts.init or 'unknown'}, not systemd",
            "boot the host with systemd: apt-get install systemd-sysv, then reboot",
        )
    if facts.python and not _serves(facts.python):
        yield Problem(
            f"python3 is {facts.python}",
            f"have the system's own python3, of 3.{PYTHONS.start} to 3.{PYTHONS.stop - 1}: "
            "that of Debian 12, of Debian 13 or of Ubuntu 24.04",
        )
    if 0 < facts.memory < MIN_MEMORY:
        yield Problem(
            f"it has {facts.memory // MIB} MiB of memory", f"give it {MIN_MEMORY // MIB} at least"
        )


def _is_supported(facts: Facts) -> bool:
    first, last = SYSTEMS.get(facts.os, (1.0, 0.0))
    try:
        return first <= float(facts.os_version) <= last
    except ValueError:  # testing and sid have none
        return False


def _serves(python: str) -> bool:
    major, minor, *_ = [*python.split("."), ""]
    return major == "3" and minor.isdigit() and int(minor) in PYTHONS


def _room(facts: Facts, wanted: Wanted) -> Iterable[Problem]:
    for folder in facts.read_only:
        yield Problem(f"{folder} is read-only", f"mount -o remount,rw {folder}")
    present = wanted.version in facts.versions and not _missing(facts)
    by_mount: dict[str, list[str]] = {}
    for disk in facts.disks:
        by_mount.setdefault(disk.mount, []).append(disk.folder)
    for mount, folders in by_mount.items():
        free = min(disk.free for disk in facts.disks if disk.mount == mount)
        room = sum(ROOM.get(folder, 0) for folder in folders)
        if free < room:
            yield Problem(
                f"{free // MIB} MiB are free on {mount}, {room // MIB} are needed there",
                f"make room on {mount}: apt-get clean; journalctl --vacuum-size=50M; "
                f"du -xh {mount} | sort -h | tail",
                fatal=not present,
            )


def _kernel(facts: Facts) -> Iterable[Problem]:
    for feature, purpose in FEATURES.items():
        if not facts.has(feature):
            yield Problem(
                f"the kernel {facts.kernel} lacks {feature}, which {purpose} need",
                f"modprobe {feature}; if that fails, apt-get install the kernel's extra modules "
                "(linux-modules-extra on Ubuntu), or boot a kernel of the distribution",
            )
    if not facts.has("wireguard") and not facts.has("tun"):
        yield Problem(
            "the kernel has neither wireguard nor tun, so encrypted networks cannot be",
            "modprobe tun",
            fatal=False,
        )
    lacking = [name for name in CONTROLLERS if name not in facts.controllers]
    if lacking:
        yield Problem(
            f"no control of {', '.join(lacking)}, so tasks with such limits are refused here",
            "boot with cgroup_enable=memory systemd.unified_cgroup_hierarchy=1",
            fatal=False,
        )


def ports(wanted: Wanted) -> list[tuple[str, int]]:
    """The ports that a host of these settings listens at, by protocol."""
    wireguard = wanted.settings.get("wireguard_port", WIREGUARD_PORT)
    known = [at for at in PORTS if at != ("udp", WIREGUARD_PORT)] + [("udp", int(wireguard))]
    if api := str(wanted.settings.get("api_listen", "")):
        known.append(("tcp", split_address(api, field="api_listen", default_port=API_PORT)[1]))
    return known


def _ports(facts: Facts, wanted: Wanted) -> Iterable[Problem]:
    taken = ports(wanted)
    for listener in facts.listeners:
        if not _is_ours(facts, listener) and (listener.protocol, listener.port) in taken:
            yield Problem(
                f"port {listener.port}/{listener.protocol} is taken by {_owner(facts, listener)}",
                _freeing(listener),
            )


def _is_ours(facts: Facts, listener: Listener) -> bool:
    """A node's links outlive its daemon: VXLAN and WireGuard of the kernel, or wireguard-go."""
    if listener.program == "swarmd":
        return True
    return facts.manifest and listener.protocol == "udp" and listener.program in _LINKS


def _owner(facts: Facts, listener: Listener) -> str:
    if listener.program:
        return listener.program
    return "the kernel" if listener.protocol == "udp" else "somebody"


def _freeing(listener: Listener) -> str:
    if listener.program == "dockerd":
        return "docker swarm leave --force"
    if not listener.program and listener.protocol == "udp":
        return "ip -d link shows which vxlan or wireguard link it is; remove it"
    return f"stop it: ss -lnp 'sport = :{listener.port}'"


def _missing(facts: Facts) -> list[str]:
    names = needed(kernel_wireguard=facts.has("wireguard"))
    return [name for name in facts.missing if name in names]


def _packages(facts: Facts) -> Iterable[Problem]:
    missing = _missing(facts)
    if not missing:
        return
    if facts.mirror != "reached":
        yield Problem(
            f"packages are missing ({', '.join(missing)}) and Debian's mirror is not reached: "
            f"{facts.mirror or 'apt does not tell'}",
            "mend the network or /etc/apt (sources, proxy) until `apt-get update` succeeds",
        )
    if facts.dpkg_broken:
        yield Problem(
            f"dpkg's last work was cut off ({facts.dpkg_broken}), which is mended first",
            "dpkg --configure -a",
            fatal=False,
        )
    if facts.apt_lock:
        yield Problem(
            f"the package manager is used by process {facts.apt_lock}, which is waited for",
            "let it end; or: systemctl stop unattended-upgrades apt-daily apt-daily-upgrade",
            fatal=False,
        )
    if WIREGUARD in missing:
        yield Problem(
            "the kernel has no wireguard; wireguard-go takes its place, and is slower",
            "modprobe wireguard, or boot a kernel that has it",
            fatal=False,
        )


def _index(facts: Facts, wanted: Wanted) -> Iterable[Problem]:
    if wanted.bundle or wanted.version in facts.versions or facts.index in ("", "reached"):
        return
    yield Problem(
        f"PyPI is not reached from there: {facts.index}",
        "mend the network or /etc/pip.conf; or run `make dist` here and give --bundle FILE",
    )


def _clock(facts: Facts) -> Iterable[Problem]:
    low, high = facts.skew
    off = low if low > 0 else high if high < 0 else 0.0
    if abs(off) > SKEW:
        way = "ahead of" if off > 0 else "behind"
        yield Problem(
            f"its clock is {abs(off):.0f} s {way} this machine's",
            "timedatectl set-ntp true; or set this machine's clock, if that one is wrong",
        )


def _firewalls(facts: Facts, wanted: Wanted) -> Iterable[Problem]:
    served = [f"{port}/{protocol}" for protocol, port in ports(wanted)]
    closed = [port for port in served if not _is_open(facts, port)]
    for wall in facts.firewalls:
        if closed:
            command = "; ".join(_opening(wall, port) for port in closed)
            yield Problem(f"{wall} lets nobody in at {', '.join(closed)}", command, fatal=False)


def _is_open(facts: Facts, port: str) -> bool:
    """A rule without a protocol is for all of them."""
    return port in facts.opened or port.partition("/")[0] in facts.opened


def _opening(wall: str, port: str) -> str:
    if wall == "ufw":
        return f"ufw allow {port}"
    return f"firewall-cmd --permanent --add-port={port} && firewall-cmd --reload"


def _others(facts: Facts, wanted: Wanted) -> Iterable[Problem]:
    if facts.strays:
        pids = " ".join(map(str, facts.strays))
        yield Problem(
            f"swarmd runs already, started by hand (process {pids})",
            f"stop it: kill {pids}; its containers go on, and systemd's swarmd takes them over",
        )
    if (facts.by_hand or facts.current or facts.unit) and not facts.manifest:
        yield Problem(
            "there is an installation that is not ours, or half of one",
            "nothing: versions are put beside it, and what is replaced comes back with a removal",
            fatal=False,
        )
    if facts.hostname in _NAMES_OF_IMAGES and not wanted.hostname:
        yield Problem(
            f"it calls itself {facts.hostname}, and so will `node ls`",
            "hostnamectl set-hostname NAME, or create it with --set-hostname",
            fatal=False,
        )
