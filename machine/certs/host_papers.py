"""What a host's own API needs on the host: files, settings of swarmd, and the certificate itself.

The same machine gets the same files again until there is a reason for others, so that whoever
installs a host sees no change where there is none. Sends nothing.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from api.address import join_address
from api.certificates import is_issued_by, is_key_of
from api.errors import Code, SwarmError
from api.host_api import PORT
from api.identity import Credentials
from machine.certs.authority import names_in
from machine.certs.operator_ca import OperatorCa, write_papers
from machine.certs.renewal import is_due
from machine.store import files
from machine.store.machine import Machine
from machine.store.store import Store

FOLDER = "/etc/swarm/api"
CERTIFICATE = f"{FOLDER}/cert.pem"
KEY = f"{FOLDER}/key.pem"
AUTHORITY = f"{FOLDER}/ca.pem"
REVOCATIONS = f"{FOLDER}/crl.pem"
_ALL, _ALL_OF_IPV6 = "0.0.0.0", "::"  # noqa: S104 - who is let in, certificates decide
_SERVER = "server"
"""The folder in a machine's own, with what was made for its API."""


class HostFile(NamedTuple):
    """A file on the host; root's."""

    path: str
    content: bytes
    mode: int


@dataclass(frozen=True)
class HostPapers:
    """`settings` are swarmd's; with them it serves its API as soon as `files` are there."""

    settings: dict[str, str]
    files: tuple[HostFile, ...]


def settings(port: int = PORT, listen: str = _ALL) -> dict[str, str]:
    """What swarmd.toml says so that the host's API is served."""
    return {
        "api_listen": join_address(listen, port),
        "api_cert": CERTIFICATE,
        "api_key": KEY,
        "api_ca": AUTHORITY,
        "api_crl": REVOCATIONS,
    }


def host_papers(store: Store, machine: Machine, *, fresh: bool = False) -> HostPapers:
    """What this machine is to have; with `fresh`, another certificate whatever the present one is.

    REFUSED where the machine is a colleague's: his authority alone can sign; and for one that is
    spoken to over a socket.
    """
    refuse_borrowed(store, machine)
    refuse_entered(machine, "has no certificate")
    authority = OperatorCa(store)
    papers = _server(store, machine, authority, fresh=fresh)
    address, _, port = machine.api.rpartition(":")
    return HostPapers(
        settings(int(port or PORT), _ALL_OF_IPV6 if address.startswith("[") else _ALL),
        (
            HostFile(AUTHORITY, papers.ca_pem, 0o644),
            HostFile(REVOCATIONS, authority.revocations_pem(), 0o644),
            HostFile(KEY, papers.key_pem, 0o600),
            HostFile(CERTIFICATE, papers.certificate_pem, 0o644),
        ),
    )


def server_certificate_of(store: Store, machine: Machine) -> bytes | None:
    """The certificate (PEM) that was made last for the machine's API."""
    return files.read(store.folder(machine.name) / _SERVER / "cert.pem")


def client_folder(store: Store, machine: Machine) -> Path:
    """ca.pem, cert.pem and key.pem for calls to the machine's API: of the operator, or, for a
    machine of a colleague's, what he gave.
    """
    own = store.folder(machine.name) / "client"
    return own if is_borrowed(store, machine) else OperatorCa(store).client()


def is_borrowed(store: Store, machine: Machine) -> bool:
    """Whether the machine is a colleague's, and trusts his authority."""
    return (store.folder(machine.name) / "client" / "cert.pem").exists()


def is_certified_here(store: Store, machine: Machine) -> bool:
    """Whether its API has its certificate of this operator's authority, and trusts that: one of a
    colleague's trusts his, and so does one that was adopted, until it is provisioned.
    """
    return bool(machine.api) and not machine.is_entered and not is_borrowed(store, machine)


def refuse_borrowed(store: Store, machine: Machine) -> None:
    """REFUSED where only the authority of somebody else can help."""
    if is_borrowed(store, machine):
        raise SwarmError(
            Code.REFUSED,
            f"no certificate can be made for {machine.name}",
            why="it is a colleague's, who shared it: his authority alone is trusted there",
            remedy="ask him for it",
        )


def refuse_entered(machine: Machine, what: str) -> None:
    """REFUSED for a machine of this workstation alone; `what` it cannot have, as words."""
    if machine.is_entered:
        raise SwarmError(
            Code.REFUSED,
            f"{machine.name} {what}",
            why="it is a part of this workstation, and is spoken to over a socket",
        )


def names_of(machine: Machine) -> tuple[str, ...]:
    """The addresses and names that a machine's certificate is for."""
    own = (machine.api_address, machine.target.host, machine.name)
    wanted = (*own, *machine.names, "127.0.0.1", "localhost")
    return tuple(dict.fromkeys(each for each in wanted if each))


def _server(store: Store, machine: Machine, authority: OperatorCa, *, fresh: bool) -> Credentials:
    folder = store.folder(machine.name) / _SERVER
    key, certificate = files.read(folder / "key.pem"), files.read(folder / "cert.pem")
    if key and certificate and not fresh:
        present = Credentials(key, certificate, authority.trusted_pem)
        if _is_good(present, authority, names_of(machine), store.now()):
            return present
    papers = authority.server(names_of(machine))
    write_papers(folder, papers)
    return papers


def _is_good(
    present: Credentials, authority: OperatorCa, names: tuple[str, ...], now: float
) -> bool:
    return (
        is_key_of(present.key_pem, present.certificate_pem)
        and is_issued_by(present.certificate_pem, authority.signing_pem)
        and names_in(present.certificate_pem) >= set(names)
        and not is_due(present.certificate_pem, now)
    )
