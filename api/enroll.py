"""How a node gets its identity from a manager: the client's side of joining and renewing.

A joiner believes nothing but its token: it takes the root that a manager shows, compares its digest
with the one in the token, and only then says its secret, over a channel that this root vouches for.
Every certificate that comes back is checked before it is believed; so are the roots beside it,
since only a manager that a trusted root vouches for could send them. Keeps nothing on disk.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, TypeVar

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from api.address import identity_address, split_address
from api.certificates import certificates_in, is_issued_by, is_key_of, sign_with
from api.channel import ca_channel
from api.errors import Code, SwarmError
from api.identity import ROLE_OF_NODE, Credentials, Role, identity_of, make_csr, new_key
from api.status import from_grpc
from api.token import JoinToken, parse_token
from api.v1 import ca_pb2, ca_pb2_grpc, types_pb2

T = TypeVar("T")

SILENCE = (Code.UNAVAILABLE, Code.DEADLINE)
"""Codes of errors after which nobody knows whether the request was heard."""


class Enrolment(NamedTuple):
    """What a node is from now on. `manager`: the address (host:port) that answered."""

    credentials: Credentials
    node_id: str
    cluster_id: str
    role: Role
    manager: str


class Asking(NamedTuple):
    """A key of ours, and the request for a certificate of it. Whichever manager hears it how often,
    it makes one node.
    """

    key_pem: bytes
    csr_pem: bytes


def new_asking() -> Asking:
    """With a new key."""
    key_pem = new_key()
    return Asking(key_pem, make_csr(key_pem))


async def enroll(
    managers: Sequence[str],
    token: str,
    *,
    availability: types_pb2.NodeAvailability.ValueType = types_pb2.NODE_AVAILABILITY_ACTIVE,
    timeout: float = 20.0,
    asking: Asking | None = None,
) -> Enrolment:
    """Joins the cluster of `token` through the first of `managers` (host:port) that can help.

    The identity port is the one after a manager's. Takes `timeout` seconds at most. `asking`: that
    of an earlier call, which nobody answered; else a new one.
    """
    wanted = parse_token(token)
    key_pem, csr_pem = asking or new_asking()
    request = ca_pb2.IssueRequest(csr_pem=csr_pem, token=str(wanted), availability=availability)

    async def ask(manager: str, limit: float) -> Enrolment:
        address = identity_address(manager)
        ca_pem = await fetch_root(address, wanted, timeout=limit)
        answer = await _issue(address, ca_pem, request, limit)
        return _accept(answer, key_pem, manager)

    return await _first(managers, ask, timeout, "joining the swarm")


async def reenroll(
    managers: Sequence[str], current: Credentials, *, timeout: float = 20.0
) -> Enrolment:
    """A new certificate for a node whose own is worth nothing any more; proven by its old key.

    It has ended, or its root is trusted no more. UNAUTHENTICATED if the node was removed meanwhile.
    `managers` as in `enroll`.
    """
    key_pem = new_key()
    csr_pem = make_csr(key_pem)
    proof = ca_pb2.ExpiredCertificate(
        certificate_pem=current.certificate_pem, signature=sign_with(current.key_pem, csr_pem)
    )
    request = ca_pb2.IssueRequest(csr_pem=csr_pem, expired=proof)

    async def ask(manager: str, limit: float) -> Enrolment:
        address = identity_address(manager)
        answer = await _issue(address, current.ca_pem, request, limit)
        return _same_node(_accept(answer, key_pem, manager), current)

    return await _first(managers, ask, timeout, "renewing an expired certificate")


async def renew(
    channel: grpc.aio.Channel, current: Credentials, *, timeout: float = 20.0
) -> Credentials:
    """A new key and certificate, over a channel made with `current`. The role may have changed."""
    key_pem = new_key()
    request = ca_pb2.RenewRequest(csr_pem=make_csr(key_pem))
    stub = ca_pb2_grpc.CaRenewalStub(channel)
    try:
        answer = await stub.Renew(request, timeout=timeout)
    except grpc.aio.AioRpcError as error:
        raise from_grpc(error, "renewing the certificate") from error
    return _same_node(_accept(answer, key_pem, ""), current).credentials


async def trusted_roots(
    managers: Sequence[str], current: Credentials, *, timeout: float = 20.0
) -> bytes:
    """The roots (PEM) that are trusted now, as the first of `managers` says that can be believed.

    A manager shows what leads from its certificate to roots of before, so it can be believed also
    by a node that has not heard of the present one.
    """

    async def ask(manager: str, limit: float) -> bytes:
        return (await _roots(identity_address(manager), current.ca_pem, limit)).ca_pem

    return await _first(managers, ask, timeout, "asking for the roots that are trusted now")


async def fetch_root(address: str, token: JoinToken, *, timeout: float) -> bytes:
    """The root certificate (PEM) that the identity port at `address` shows, if the token knows it.

    UNAUTHENTICATED if its digest is another: the token's secret has not been said then.
    """
    try:
        async with asyncio.timeout(timeout):
            shown = await _shown_certificate(address)
            # Not verified: the call goes to whoever holds this very certificate. It is believed
            # only as far as the digest goes that is compared below.
            answer = await _roots(address, shown, timeout)
    except TimeoutError:
        raise SwarmError(Code.DEADLINE, f"{address} did not answer in {timeout:g} s") from None
    return _known_root(answer, token, address)


async def _roots(address: str, ca_pem: bytes, limit: float) -> ca_pb2.GetRootResponse:
    async with ca_channel(address, ca_pem) as channel:
        try:
            return await ca_pb2_grpc.CaStub(channel).GetRoot(ca_pb2.GetRootRequest(), timeout=limit)
        except grpc.aio.AioRpcError as error:
            raise from_grpc(error, f"asking {address} for its root certificate") from error


def _known_root(answer: ca_pb2.GetRootResponse, token: JoinToken, address: str) -> bytes:
    known = _of_token(answer.ca_pem, token)
    if known is not None:
        return known.public_bytes(Encoding.PEM)
    if _of_token(answer.former_pem, token) is not None:
        raise SwarmError(
            Code.UNAUTHENTICATED,
            "the join token is void",
            why="the root certificate of the swarm was rotated since the token was made",
            remedy="get the present one with `swarmctl swarm join-token worker` on a manager",
            field="token",
        )
    raise SwarmError(
        Code.UNAUTHENTICATED,
        f"{address} is not a manager of the token's cluster",
        why="its root certificate has another digest: the token is of another cluster, or "
        "somebody is in between",
        remedy="compare address and token with what `swarmctl swarm join-token` prints there",
        field="token",
    )


def _of_token(pem: bytes, token: JoinToken) -> x509.Certificate | None:
    try:
        shown = certificates_in(pem)
    except SwarmError:
        return None
    return next((each for each in shown if token.is_of(each.public_bytes(Encoding.DER))), None)


async def _shown_certificate(address: str) -> bytes:
    """The certificate (PEM) that the server at `address` shows in a TLS handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2"])
    host, port = split_address(address)
    try:
        _, writer = await asyncio.open_connection(host, port, ssl=context)
    except OSError as error:  # ssl.SSLError is one
        raise SwarmError(
            Code.UNAVAILABLE,
            f"{address} cannot be reached",
            why=str(error),
            remedy="check the address, that swarmd runs there as a manager, and the firewall",
        ) from error
    try:
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    return ssl.DER_cert_to_PEM_cert(shown).encode()


async def _issue(
    address: str, ca_pem: bytes, request: ca_pb2.IssueRequest, limit: float
) -> ca_pb2.IssueResponse:
    async with ca_channel(address, ca_pem) as channel:
        try:
            return await ca_pb2_grpc.CaStub(channel).Issue(request, timeout=limit)
        except grpc.aio.AioRpcError as error:
            raise from_grpc(error, f"asking {address} for a certificate") from error


def _accept(answer: ca_pb2.IssueResponse, key_pem: bytes, manager: str) -> Enrolment:
    """Believes an answer whose certificate is for our key, by a root of its own, and says what it
    says.
    """
    certificate, ca_pem = answer.certificate_pem, answer.ca_pem
    identity = identity_of(certificate)
    consistent = (
        is_issued_by(certificate, ca_pem)
        and is_key_of(key_pem, certificate)
        and identity.id == answer.node_id
        and identity.cluster_id == answer.cluster_id
        and identity.role == ROLE_OF_NODE.get(answer.role)
    )
    if not consistent:
        raise SwarmError(
            Code.UNAUTHENTICATED,
            "the manager answered with a certificate that is not ours",
            why="it is for another key, from a root that is not beside it, or contradicts the "
            "answer it came in",
            remedy="check that all managers run the same cluster",
        )
    credentials = Credentials(key_pem, certificate, ca_pem)
    return Enrolment(credentials, identity.id, identity.cluster_id, identity.role, manager)


def _same_node(renewed: Enrolment, current: Credentials) -> Enrolment:
    if renewed.node_id != current.identity.id:
        raise SwarmError(
            Code.UNAUTHENTICATED,
            "the manager answered with the certificate of another node",
            why=f"{renewed.node_id} instead of {current.identity.id}",
        )
    return renewed


async def _first(
    managers: Sequence[str],
    ask: Callable[[str, float], Awaitable[T]],
    timeout: float,
    doing: str,
) -> T:
    """The first answer; each manager gets its share of the time that is left.

    A refusal by one is not the end: it may be of another cluster, or not know the latest yet.
    """
    if not managers:
        raise SwarmError(Code.INVALID, "the address of a manager is needed", field="managers")
    for manager in managers:
        identity_address(manager)  # refuses bad addresses before anybody is asked
    loop = asyncio.get_running_loop()
    end = loop.time() + timeout
    failures: list[tuple[str, SwarmError]] = []
    for index, manager in enumerate(managers):
        limit = max(0.0, end - loop.time()) / (len(managers) - index)
        try:
            async with asyncio.timeout(limit):
                return await ask(manager, limit)
        except TimeoutError:
            late = SwarmError(
                Code.DEADLINE,
                f"no answer from {manager} within {limit:.1f} s",
                remedy="look whether that host is overloaded, then do the same again",
            )
            failures.append((manager, late))
        except SwarmError as error:
            if error.code is Code.INVALID:
                raise  # the request itself is wrong, whoever reads it
            failures.append((manager, error))
    raise _none_of(failures, doing)


def _none_of(failures: Sequence[tuple[str, SwarmError]], doing: str) -> SwarmError:
    if len(failures) == 1:
        return failures[0][1]
    spoken = [error for _, error in failures if error.code not in SILENCE]
    telling = spoken[0] if spoken else failures[-1][1]
    return SwarmError(
        telling.code,
        f"{doing} failed: none of the managers could help",
        why="; ".join(f"{manager}: {error}" for manager, error in failures),
        remedy=telling.remedy,
        field=telling.field,
    )
