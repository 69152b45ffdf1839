"""The text of /etc/hosts, /etc/resolv.conf and /etc/hostname of a container. Pure."""

from collections.abc import Iterable

from api.v1 import specs_pb2

_HOSTS = """\
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
"""


def hosts(entries: Iterable[str], *, base: str = "", own_name: str = "") -> str:
    """`entries` are whole lines; `base` is the host's own file where its network is shared.

    `own_name` is a host name to be found at the loopback address, for want of a network.
    """
    lines = [base.rstrip("\n") + "\n" if base.strip() else _HOSTS]
    if own_name:
        lines.append(f"127.0.1.1\t{own_name}\n")
    lines += [entry.replace("\n", " ") + "\n" for entry in entries]
    return "".join(lines)


def resolv_conf(dns: specs_pb2.DnsConfig, host: str) -> str:
    """What `dns` says; each part it does not mention is taken from the host's own file."""
    kept = [line.split() for line in host.splitlines()]
    lines: list[str] = []
    for keyword, wanted in (("nameserver", dns.nameservers),):
        values = list(wanted) or [f[1] for f in kept if len(f) > 1 and f[0] == keyword]
        lines += [f"{keyword} {value}" for value in values]
    for keyword, wanted in (("search", dns.search), ("options", dns.options)):
        inherited = [word for f in kept if f[:1] == [keyword] for word in f[1:]]
        values = list(wanted) or inherited
        if values:
            lines.append(f"{keyword} {' '.join(values)}")
    return "".join(line + "\n" for line in lines)
