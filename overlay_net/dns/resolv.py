"""The texts of resolv.conf: a container's is written, the host's is read. Pure."""

import ipaddress
from collections.abc import Iterator

from api.v1 import specs_pb2
from overlay_net.dns.upstreams import MAX_SERVERS

SERVER = "127.0.0.11"
"""Where a container finds us."""

_NO_SEARCH = "."


def container_text(dns: specs_pb2.DnsConfig, host: str) -> str:
    """/etc/resolv.conf of a container in a network of ours; `host`: that of its host.

    As Docker has it: search and options are the host's where the spec names none, `--dns-search .`
    is for no search; ndots:0 sends names without a dot to us before anything is put behind them,
    unless the spec says otherwise. The spec's own name servers are not here: we ask them.
    """
    search = list(dns.search) or _words(host, "search") or _words(host, "domain")
    options = list(dns.options) or _words(host, "options")
    if not any(option.startswith("ndots:") for option in dns.options):
        options = [*(o for o in options if not o.startswith("ndots:")), "ndots:0"]
    lines = [f"nameserver {SERVER}"]
    if search and search != [_NO_SEARCH]:
        lines.append(f"search {' '.join(search)}")
    lines.append(f"options {' '.join(options)}")
    return "".join(f"{line}\n" for line in lines)


def name_servers(text: str) -> tuple[str, ...]:
    """The name servers that a resolv.conf has, as many as are ever asked."""
    found = [fields[1] for fields in _lines(text) if fields[0] == "nameserver" and fields[1:]]
    return tuple(filter(is_address, dict.fromkeys(found)))[:MAX_SERVERS]


def is_address(text: str) -> bool:
    """Whether that is an IP address, which a name server is known by; also fe80::1%eth0."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _words(text: str, keyword: str) -> list[str]:
    """What the last line with a keyword says: it counts alone."""
    found = [fields[1:] for fields in _lines(text) if fields[0] == keyword]
    return found[-1] if found else []


def _lines(text: str) -> Iterator[list[str]]:
    for line in text.splitlines():
        fields = line.split()
        if fields and not fields[0].startswith(("#", ";")):
            yield fields
