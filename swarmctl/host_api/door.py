"""Who may use a host's API over TLS: the operators that its own authorities vouch for, who are
worth what those on its socket are; and on a manager the operators of its swarm.

That a certificate is of one of the trusted roots, and has not expired, TLS has found out.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import lru_cache

from api.certificates import is_issued_by
from api.errors import Code, SwarmError
from api.identity import Identity, identity_of
from api.serving import Caller, Context, Guarding, set_caller
from manager.ca.authorize import refuse_call
from manager.ca.open_calls import OpenCalls
from manager.ca.roles import ROLES
from swarmctl.host_api.papers import Papers

# Asked on every call, of a few connections.
_is_issued_by = lru_cache(maxsize=1024)(is_issued_by)


class Door(Guarding):
    """Stands before every call on the port; put api.serving.ErrorInterceptor in front of it.

    `papers`: those of now; `is_operator`: whether the swarm that this host manages knows an
    operator. Both are asked on every call.
    """

    def __init__(
        self, papers: Callable[[], Papers], is_operator: Callable[[Identity], bool]
    ) -> None:
        super().__init__(self._admit)
        self._papers = papers
        self._is_operator = is_operator
        self._calls = OpenCalls[bytes]()

    def look_again(self) -> None:
        """Ends the calls of those who would not be let in any more."""
        self._calls.end_where(self._refusal)

    @asynccontextmanager
    async def _admit(self, method: str, context: Context) -> AsyncIterator[None]:
        certificate = next(iter(context.auth_context().get("x509_pem_cert", ())), None)
        if certificate is None:
            raise SwarmError(Code.UNAUTHENTICATED, "this call needs a certificate")
        who = _caller(certificate, self._papers())
        # What the socket serves is served here, and nothing else.
        refusal = self._refusal(certificate) or refuse_call(
            ROLES, method, replace(who, via="socket")
        )
        if refusal is not None:
            raise refusal
        set_caller(who)
        async with self._calls.held(certificate):
            yield

    def _refusal(self, certificate: bytes) -> SwarmError | None:
        papers, identity = self._papers(), identity_of(certificate)
        if identity.serial in papers.revoked:
            return SwarmError(
                Code.UNAUTHENTICATED,
                f"the certificate of {identity.id} was revoked",
                remedy="ask whoever gave it for another one",
            )
        if _is_issued_by(certificate, papers.credentials.ca_pem):
            return None
        if identity.role == "operator" and self._is_operator(identity):
            return None
        return SwarmError(
            Code.UNAUTHENTICATED,
            f"{identity.role} {identity.id} may not use this host",
            why="its API serves the operators of this host, and on a manager those of the swarm",
            remedy="use a certificate of swarmctl machine, or ask a manager",
        )


def _caller(certificate: bytes, papers: Papers) -> Caller:
    """An operator of the host is as one on its socket; one of the swarm keeps his name, by which
    a manager passes his calls on.
    """
    identity = identity_of(certificate)
    if _is_issued_by(certificate, papers.credentials.ca_pem):
        return Caller(identity.role, "", "", "socket")
    return Caller(identity.role, identity.id, identity.cluster_id, "tls", certificate)
