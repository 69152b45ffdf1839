"""Another certificate for an operator whose own is of a root that is trusted no more.

The root of a swarm can be rotated while an operator is away. His contexts go on: where a manager
does not take his certificate any more, it is exchanged at the identity port, proven by its key. The
key stays, and so does the day on which the certificate ends. Costs nothing as long as all is well.
"""

import os
import tempfile
from pathlib import Path
from typing import NamedTuple

import click
import grpc

from api.address import identity_address
from api.certificates import certificates_in, is_issued_by, is_key_of, sign_with
from api.channel import CA_CHANNEL_OPTIONS
from api.identity import CA_NAME, make_csr
from api.status import from_grpc
from api.v1 import ca_pb2, ca_pb2_grpc


class Papers(NamedTuple):
    """What ca.pem, cert.pem and key.pem hold."""

    ca_pem: bytes
    certificate_pem: bytes
    key_pem: bytes


def exchanged(address: str, cert_dir: str, papers: Papers, timeout: float) -> Papers | None:
    """The papers that are good from now on, also written to their folder; None if these are.

    `address`: the manager's control port. SwarmError if the manager refuses, or is silent.
    """
    try:
        answer = _ask(identity_address(address), papers, timeout)
    except grpc.RpcError as error:
        raise from_grpc(error, "exchanging the operator's certificate") from error
    if answer is None:
        return None
    fresh = Papers(answer.ca_pem, answer.certificate_pem, papers.key_pem)
    certificates_in(fresh.ca_pem)
    if not is_key_of(fresh.key_pem, fresh.certificate_pem):
        return None
    _keep(Path(cert_dir), fresh)
    return fresh


def _ask(address: str, papers: Papers, timeout: float) -> ca_pb2.IssueResponse | None:
    # The manager shows what leads from its certificate to the root that is known here.
    credentials = grpc.ssl_channel_credentials(papers.ca_pem)
    options = (*CA_CHANNEL_OPTIONS, ("grpc.ssl_target_name_override", CA_NAME))
    with grpc.secure_channel(address, credentials, options=options) as channel:
        stub = ca_pb2_grpc.CaStub(channel)
        roots = stub.GetRoot(ca_pb2.GetRootRequest(), timeout=timeout)
        if not is_issued_by(papers.certificate_pem, roots.former_pem):
            return None  # it is good, or of another swarm
        csr_pem = make_csr(papers.key_pem)
        proof = ca_pb2.ExpiredCertificate(
            certificate_pem=papers.certificate_pem, signature=sign_with(papers.key_pem, csr_pem)
        )
        request = ca_pb2.IssueRequest(csr_pem=csr_pem, expired=proof)
        return stub.Issue(request, timeout=timeout)


def _keep(folder: Path, papers: Papers) -> None:
    """The certificate first: with it, the roots of before serve as well."""
    try:
        _write(folder / "cert.pem", papers.certificate_pem)
        _write(folder / "ca.pem", papers.ca_pem)
    except OSError as error:
        click.echo(
            f"The root of the swarm was rotated, and the new certificate cannot be kept in "
            f"{folder}: {error.strerror or error}",
            err=True,
        )
    else:
        click.echo(
            f"The root of the swarm was rotated: the certificate in {folder} was exchanged.",
            err=True,
        )


def _write(path: Path, content: bytes) -> None:
    # mkstemp makes the file 0600.
    handle, fresh = tempfile.mkstemp(prefix=".", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, path)
    except BaseException:
        Path(fresh).unlink(missing_ok=True)
        raise
