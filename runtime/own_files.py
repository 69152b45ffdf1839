"""The files in a container's /etc that are ours, as Docker's: hosts, resolv.conf, hostname."""

from pathlib import Path

from runtime import bundle, etc_files
from runtime.driver import ContainerRequest
from runtime.layout import ContainerPaths

_NAMES = ("hosts", "resolv.conf", "hostname")


def places(paths: ContainerPaths) -> dict[str, Path]:
    """Where they are on the host, by where they are in the container."""
    return {f"/etc/{name}": paths.etc(name) for name in _NAMES}


def write(request: ContainerRequest, paths: ContainerPaths) -> None:
    """Writes them; OSError."""
    name = bundle.host_name(request)
    hosts = etc_files.hosts(
        request.spec.hosts,
        base=_text_of(Path("/etc/hosts")) if request.network == "host" else "",
        own_name=name if request.network == "none" else "",
    )
    dns = request.resolv_conf or etc_files.resolv_conf(
        request.spec.dns, _text_of(Path("/etc/resolv.conf"))
    )
    texts = {"hosts": hosts, "resolv.conf": dns, "hostname": name + "\n"}
    for which, text in texts.items():
        file = paths.etc(which)
        file.write_text(text)
        file.chmod(0o644)


def _text_of(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except FileNotFoundError:
        return ""
