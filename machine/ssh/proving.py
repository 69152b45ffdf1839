"""Both sides prove who they are: the server by its host key, we by one of our keys.

What fails here is final: asking again gives the same answer, and may lock us out.
"""

from collections.abc import Callable, Iterable, Sequence

import paramiko

from api.errors import Code, SwarmError
from machine.ssh.host_keys import HostKey, KnownHosts
from machine.ssh.keys import Candidate
from machine.ssh.route import Hop
from machine.ssh.transport import Transport

Pinned = Callable[[HostKey], None]
"""Hears, in a thread, of a host key that was seen for the first time, and is trusted now."""

_SHOWN = 8
"""So many of the keys that were offered are named in an error."""


def shown_key(transport: Transport, hop: Hop) -> HostKey:
    """The key that the server has proved to have."""
    key = transport.get_remote_server_key()
    return HostKey(hop.known_as, key.get_name(), key.asbytes())


def check_host(hop: Hop, shown: HostKey, known: KnownHosts, machine: str, pinned: Pinned) -> None:
    """Returns if this is the server that is meant; UNAUTHENTICATED if it is not.

    A fingerprint that the operator gave decides alone. Otherwise the first key is the right one.
    """
    if hop.host_key:
        if shown.fingerprint != hop.host_key:
            raise _impostor(hop, hop.host_key, shown, "was given for it", machine)
        if shown not in known.find(shown.name):
            known.replace(shown)
        return
    seen = known.find(shown.name)
    trusted = known.pin(shown)  # also if another connection was first, and has met another server
    if trusted != shown:
        raise _impostor(hop, trusted.fingerprint, shown, "was seen before", machine)
    if not seen:
        pinned(shown)


def authenticate(transport: Transport, hop: Hop, offered: Iterable[Candidate]) -> None:
    """Offers keys until the server takes one; UNAUTHENTICATED if it takes none."""
    tried: list[str] = []
    locked = ""
    try:
        for candidate in offered:
            if candidate.key is None:
                locked = candidate.name
            elif _accepted(transport, hop, candidate.name, candidate.key, tried):
                return
    except paramiko.BadAuthenticationType as error:
        raise _refused(
            hop,
            f"it takes no keys, only: {', '.join(error.allowed_types)}",
            "allow keys there (PubkeyAuthentication yes), and add yours to authorized_keys",
        ) from None
    if locked:
        raise _refused(
            hop,
            f"the key {locked} is locked by a passphrase, and none was given",
            "load it into the agent (ssh-add), or run this at a terminal",
        )
    if not tried:
        raise _refused(
            hop,
            "there is no key to offer",
            "name a private key, or load one into the agent (ssh-add)",
        )
    raise _refused(
        hop,
        f"it took none of the keys: {_names(tried)}",
        f"add the public key to ~{hop.user}/.ssh/authorized_keys there, or name the right key",
    )


def _accepted(
    transport: Transport, hop: Hop, name: str, key: paramiko.PKey, tried: list[str]
) -> bool:
    tried.append(name)
    try:
        more = transport.auth_publickey(hop.user, key)
    except paramiko.BadAuthenticationType:
        raise
    except (paramiko.SSHException, EOFError, OSError) as error:
        if transport.is_active() and "timeout" not in str(error).lower():
            return False
        raise _hung_up(transport, hop, tried, error) from None
    if more:
        raise _refused(
            hop,
            f"it wants more than a key: {', '.join(more)}",
            "allow a key alone for this user (AuthenticationMethods publickey)",
        )
    return True


def _hung_up(transport: Transport, hop: Hop, tried: Sequence[str], error: Exception) -> SwarmError:
    said = transport.last_words or str(error)
    if "too many" in said.lower():
        return _refused(
            hop,
            f"{said} (offered: {_names(tried)})",
            "name the right key, so that only this one is offered",
        )
    if isinstance(error, paramiko.AuthenticationException) and "timeout" in said.lower():
        return SwarmError(
            Code.UNAVAILABLE,
            f"cannot log in to {hop}",
            why=f"no answer to {tried[-1]} in time",
            remedy="look whether that host, or the agent on this one, is overloaded or waits",
        )
    return SwarmError(
        Code.UNAVAILABLE,
        f"cannot log in to {hop}",
        why=f"the connection broke when {tried[-1]} was offered: {said}",
        remedy="look at its log: journalctl -u ssh",
    )


def _refused(hop: Hop, why: str, remedy: str) -> SwarmError:
    return SwarmError(Code.UNAUTHENTICATED, f"{hop} lets nobody in", why=why, remedy=remedy)


def _impostor(hop: Hop, expected: str, shown: HostKey, whence: str, machine: str) -> SwarmError:
    return SwarmError(
        Code.UNAUTHENTICATED,
        f"{hop.known_as} is not the host it was",
        why=f"its {shown.kind} key is {shown.fingerprint}, and {expected} {whence}",
        remedy=f"if it was installed anew, look at the key on its console "
        f"(ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub), then: "
        f"swarmctl machine trust {machine}",
    )


def _names(tried: Sequence[str]) -> str:
    more = f" and {len(tried) - _SHOWN} more" if len(tried) > _SHOWN else ""
    return ", ".join(tried[:_SHOWN]) + more
