"""Lets a call pass or refuses it: identity from the peer, membership from the state, role by table.

A call that a manager passes on has the rights of whoever it passes it on for.

The shell around api/serving.py's guard. What a handler does with its caller is the handler's.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from api.errors import Code, SwarmError
from api.identity import Identity, Role, identity_of
from api.serving import Caller, Context, Guarding, set_caller
from manager.ca.behalf import behind
from manager.ca.open_calls import OpenCalls
from manager.ca.roles import BETWEEN_MEMBERS, SOCKET_ONLY

_NOBODY: frozenset[Role] = frozenset()


async def _nothing() -> None:
    """The state is that of now."""


class Authorizer(Guarding):
    """Stands before every service but Ca; put api.serving.ErrorInterceptor in front of it.

    `is_member` is asked on every call, so a removal counts at once even on open connections;
    `role_of` may lower what a certificate is worth. manager.ca.members.Members answers both.
    """

    # Calls that were let in before are ended through `calls` (manager/ca/standing.py).

    def __init__(
        self,
        roles: Mapping[str, frozenset[Role]],
        is_member: Callable[[Identity], bool],
        *,
        role_of: Callable[[Identity], Role] = lambda identity: identity.role,
        calls: OpenCalls[Identity] | None = None,
        catch_up: Callable[[], Awaitable[None]] = _nothing,
    ) -> None:
        """`catch_up` returns when the state is that of now, or cannot be: awaited before somebody
        who is not in it is refused. He may have come in a moment ago, through another manager.
        """
        super().__init__(self._admit)
        self._roles = roles
        self._catch_up = catch_up
        self._calls = calls or OpenCalls[Identity]()
        self._is_member = is_member
        self._role_of = role_of

    @asynccontextmanager
    async def _admit(self, method: str, context: Context) -> AsyncIterator[None]:
        who = await self._caller(method, context)
        refusal = refuse_call(self._roles, method, who)
        if refusal is not None:
            raise refusal
        set_caller(who)
        async with AsyncExitStack() as stack:
            if method not in BETWEEN_MEMBERS:
                for identity in _behind_call(context, who):
                    await stack.enter_async_context(self._calls.held(identity))
            yield

    async def _caller(self, method: str, context: Context) -> Caller:
        certificate = next(iter(context.auth_context().get("x509_pem_cert", ())), None)
        if certificate is None:
            if context.peer().startswith("unix:"):
                # Who may open the socket, root or a member of its group, was decided by the kernel.
                return Caller(role="operator", id="", cluster_id="", via="socket")
            raise SwarmError(
                Code.UNAUTHENTICATED,
                "this call needs a certificate of the cluster",
                remedy="join the swarm, or get one with `swarmctl swarm client-cert`",
            )
        identity = identity_of(certificate)
        if method in BETWEEN_MEMBERS:
            return Caller(identity.role, identity.id, identity.cluster_id, "tls")
        await self._check_member(identity)
        role = self._role_of(identity)
        peer = Caller(role, identity.id, identity.cluster_id, "tls", certificate)
        return await self._asking(peer, context)

    async def _asking(self, peer: Caller, context: Context) -> Caller:
        """Who asks through the peer, which is somebody else if a manager passes a call on."""
        asking = behind(peer, context.invocation_metadata())
        if asking is not peer and asking.id:
            # The follower that let it in may not have heard of its removal yet.
            await self._check_member(_identity(asking))
        return asking

    async def _check_member(self, identity: Identity) -> None:
        if self._is_member(identity):
            return
        await self._catch_up()
        if not self._is_member(identity):
            raise no_member(identity)


def _behind_call(context: Context, who: Caller) -> list[Identity]:
    """Everybody without whom the call would not be let in: the peer, and for whom it asks."""
    certificate = next(iter(context.auth_context().get("x509_pem_cert", ())), None)
    peer = [] if certificate is None else [identity_of(certificate)]
    asking = [_identity(who)] if who.id and who.id not in {each.id for each in peer} else []
    return peer + asking


def _identity(who: Caller) -> Identity:
    return Identity(who.role, who.id, who.cluster_id, 0, 0.0)


def refuse_call(
    roles: Mapping[str, frozenset[Role]], method: str, who: Caller
) -> SwarmError | None:
    """Why this caller may not call this RPC, or None. Pure."""
    if method in SOCKET_ONLY and who.via != "socket":
        return SwarmError(
            Code.DENIED,
            f"{_short(method)} is served on the host itself only",
            remedy="run the command there",
        )
    allowed = roles.get(method, _NOBODY)
    if who.role in allowed:
        return None
    return SwarmError(
        Code.DENIED,
        f"{_short(method)} is not for the role {who.role}",
        why=f"it serves {', '.join(sorted(allowed)) or 'nobody'}",
        remedy="run the command on a manager, or with an operator's certificate",
    )


def _short(method: str) -> str:
    return method.rpartition(".")[2].replace("/", ".")


def no_member(identity: Identity) -> SwarmError:
    """The refusal of who is in the cluster no more, or never was."""
    if identity.role == "operator":
        return SwarmError(
            Code.UNAUTHENTICATED,
            f"operator {identity.id} is not known to this cluster",
            why="it was removed, or its certificate is of another cluster",
            remedy="ask for a new certificate with `swarmctl swarm client-cert`",
        )
    return SwarmError(
        Code.UNAUTHENTICATED,
        f"node {identity.id} is not a member of this cluster",
        why="it was removed, or its certificate is of another cluster",
        remedy="leave the swarm on that node with `swarmctl swarm leave --force`, then join again",
    )
