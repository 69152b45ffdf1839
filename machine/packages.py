"""The Debian packages of a node. The names are the same on Debian 12 and 13 and Ubuntu 24.04."""

RUNTIME = (
    "conmon",
    "crun",
    "golang-github-containers-common",
    "libseccomp2",
    "runc",
    "tini",
)
"""What runs containers. Of crun and runc the daemon takes the one that works on the host."""
NETWORK = ("iproute2", "kmod", "nftables")
PYTHON = ("ca-certificates", "python3", "python3-venv")
WIREGUARD = "wireguard-go"
"""In place of the kernel's WireGuard, where that is missing."""
ALL = tuple(sorted((*RUNTIME, *NETWORK, *PYTHON, WIREGUARD)))


def needed(*, kernel_wireguard: bool) -> tuple[str, ...]:
    """The packages of a node, in order."""
    return tuple(name for name in ALL if name != WIREGUARD or not kernel_wireguard)
