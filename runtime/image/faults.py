"""What went wrong with a registry, in words: from a status, a body or an exception. Pure."""

import json
import ssl

from api.errors import Code, SwarmError

_CA_REMEDY = "give its CA with --registry-ca, or allow it with --insecure-registry"


def first_error(body: bytes) -> tuple[str, str]:
    """Code and message of the first error in the answer of a registry; empty if there is none."""
    try:
        document = json.loads(body)
        first = document["errors"][0]
        code, message = first.get("code", ""), first.get("message", "")
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return "", ""
    return str(code), str(message)[:500]


def of_answer(status: int, body: bytes, *, what: str, registry: str) -> SwarmError:
    """The error for an answer that is no success; `what` was asked for, as "image nginx:1"."""
    code, message = first_error(body)
    said = f"{registry} answered {status}" + (f" ({message or code})" if message or code else "")
    if status == 401 or (status == 403 and code in ("", "UNAUTHORIZED", "DENIED")):  # noqa: PLR2004
        return denied(what, registry, said, forbidden=status == 403)  # noqa: PLR2004
    if code == "NAME_UNKNOWN":
        return SwarmError(
            Code.NOT_FOUND,
            f"{what} does not exist",
            why=f"{registry} knows no such repository",
            remedy="check the name",
        )
    if code == "MANIFEST_UNKNOWN":
        return SwarmError(
            Code.NOT_FOUND,
            f"{what} does not exist",
            why="the repository is there, but has no such tag or digest",
            remedy="check the tag",
        )
    if status == 404:  # noqa: PLR2004
        return SwarmError(
            Code.NOT_FOUND, f"{what} does not exist", why=said, remedy="check the name"
        )
    if status == 429:  # noqa: PLR2004
        return SwarmError(
            Code.EXHAUSTED,
            f"{what} could not be had",
            why=said,
            remedy="try again later, or log in",
        )
    kind = Code.UNAVAILABLE if status >= 500 else Code.REFUSED  # noqa: PLR2004
    return SwarmError(kind, f"{what} could not be had", why=said)


def denied(what: str, registry: str, why: str, *, forbidden: bool = False) -> SwarmError:
    """Nobody may have `what` without other credentials; registries hide what is private so."""
    return SwarmError(
        Code.DENIED if forbidden else Code.UNAUTHENTICATED,
        f"access to {what} is denied",
        why=f"{why}; the repository does not exist, or may require credentials",
        remedy=f"check the name, or give credentials for {registry}",
    )


def of_transport(error: Exception, *, what: str, registry: str) -> SwarmError:
    """The error for a request that got no answer."""
    tls = tls_cause(error)
    if isinstance(tls, ssl.SSLCertVerificationError):
        return SwarmError(
            Code.UNAVAILABLE,
            f"{what} could not be had",
            why=f"the certificate of {registry} is not trusted ({tls.verify_message})",
            remedy=_CA_REMEDY,
        )
    if tls is not None:
        return SwarmError(
            Code.UNAVAILABLE,
            f"{what} could not be had",
            why=f"TLS with {registry} failed ({tls.reason or tls})",
            remedy="if it speaks plain HTTP, allow that with --insecure-registry",
        )
    return SwarmError(
        Code.UNAVAILABLE,
        f"{what} could not be had",
        why=f"registry {registry} cannot be reached ({str(error) or type(error).__name__})",
        remedy="check its address, and the network of this host",
    )


def mismatch(what: str, expected: str, found: str) -> SwarmError:
    """Content that is not what its digest or size says. Nothing of it is kept."""
    return SwarmError(
        Code.REFUSED,
        f"{what} was damaged or tampered with",
        why=f"expected {expected}, got {found}",
        remedy="try again; if it happens again, push the image anew",
    )


def tls_cause(error: BaseException | None) -> ssl.SSLError | None:
    """The TLS failure at the root of an exception, if that is what it is."""
    seen = 0
    while error is not None and seen < 10:  # noqa: PLR2004
        if isinstance(error, ssl.SSLError):
            return error
        error, seen = error.__cause__ or error.__context__, seen + 1
    return None
