"""Where a registry is reached, and under which conditions: TLS, own CAs, plain HTTP.

The rules are Docker's: 127.0.0.0/8, ::1 and localhost may speak plain HTTP, other registries only
where the operator listed them. Resolves no names: a network in the list is compared with
registries that are named by their address.
"""

import ipaddress
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from api.errors import Code, SwarmError
from api.image_name import DEFAULT_DOMAIN

_HUB_HOST = "registry-1.docker.io"
_LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True)
class RegistryOptions:
    """What the operator said about registries.

    `insecure`: host, host:port or CIDR that may be spoken to in plain HTTP, and whose certificate
    is not checked. `ca_files`: host or host:port to a PEM file of CAs, trusted beside the system's.
    `retry_delay`: seconds before a failed request is sent again for the first time.
    """

    insecure: tuple[str, ...] = ()
    ca_files: Mapping[str, Path] = field(default_factory=dict)
    retry_delay: float = 0.25


@dataclass(frozen=True)
class Endpoint:
    """One registry: `host` with its port if any; the schemes to try, in order; its CA file."""

    domain: str
    host: str
    schemes: tuple[str, ...]
    loopback: bool
    ca_file: Path | None

    def tls(self) -> ssl.SSLContext:
        """A context for this registry. Reads CA files: call it off the event loop."""
        context = ssl.create_default_context()
        # As Docker, and alike under each Python: since 3.13 certificates without identifiers of
        # keys, as many an own CA makes them, would be refused by default.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if self.ca_file is not None:
            try:
                context.load_verify_locations(cafile=self.ca_file)
            except (OSError, ssl.SSLError) as error:
                raise SwarmError(
                    Code.INVALID,
                    f"the CA of registry {self.domain} cannot be read",
                    why=f"{self.ca_file}: {error}",
                    remedy="give a file of certificates in PEM form",
                ) from error
        elif "http" in self.schemes:
            # Who may answer in plain HTTP gains nothing by a forged certificate.
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def resolve(domain: str, options: RegistryOptions) -> Endpoint:
    """The endpoint of the registry `domain`, which is the domain of a Reference."""
    host = _HUB_HOST if domain == DEFAULT_DOMAIN else domain
    name = _without_port(host)
    ca_file = options.ca_files.get(domain) or options.ca_files.get(name)
    loopback = name == "localhost" or _inside(name, _LOOPBACK)
    insecure = loopback or _listed(domain, name, options.insecure)
    # An own CA means that the operator expects TLS: no way down to plain HTTP.
    schemes = ("https", "http") if insecure and ca_file is None else ("https",)
    return Endpoint(domain, host, schemes, loopback, ca_file)


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _listed(domain: str, name: str, insecure: tuple[str, ...]) -> bool:
    networks: list[Network] = []
    for entry in insecure:
        if entry in (domain, name):
            return True
        if "/" in entry:
            networks.append(ipaddress.ip_network(entry, strict=False))
    return _inside(name, tuple(networks))


def _inside(name: str, networks: tuple[Network, ...]) -> bool:
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return any(address in network for network in networks)
