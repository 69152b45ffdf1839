"""What went wrong with a plugin, in words that name it and say what to do. Pure."""

import ssl

from api.errors import Code, SwarmError

_LOOK = "look into the plugin's log, and start it anew"


def unreachable(name: str, told_by: str, error: Exception) -> SwarmError:
    """Nobody listens where the plugin ought to, or it does not let us in."""
    tls = _tls_cause(error)
    if tls is not None:
        return SwarmError(
            Code.UNAVAILABLE,
            f"volume driver {name} cannot be reached",
            why=f"TLS with it failed: {tls}",
            remedy=f"check the TLSConfig in {told_by}",
        )
    return SwarmError(
        Code.UNAVAILABLE,
        f"volume driver {name} does not run on this host",
        why=f"nobody listens where {told_by} says ({error or type(error).__name__})",
        remedy="start the plugin",
    )


def bad_tls_file(name: str, file: str, told_by: str, error: OSError) -> SwarmError:
    """A file for TLS is not there, or not what it ought to be."""
    return SwarmError(
        Code.UNAVAILABLE,
        f"volume driver {name} cannot be reached",
        why=f"{file} cannot be used: {error.strerror or error}",
        remedy=f"check the TLSConfig in {told_by}",
    )


def broken(name: str, verb: str, error: Exception) -> SwarmError:
    """The connection ended before the answer did."""
    return SwarmError(
        Code.UNAVAILABLE,
        f"volume driver {name} ended in the middle of {verb}",
        why=str(error) or type(error).__name__,
        remedy=_LOOK,
    )


def silent(name: str, verb: str, seconds: float) -> SwarmError:
    """No answer within the time that the call has."""
    return SwarmError(
        Code.DEADLINE,
        f"volume driver {name} does not answer",
        why=f"{verb} was not done after {seconds:g} s; its storage may hang",
        remedy=_LOOK,
    )


def lied(name: str, verb: str, why: str) -> SwarmError:
    """An answer that is none."""
    return SwarmError(
        Code.UNAVAILABLE,
        f"volume driver {name} answers {verb} wrongly",
        why=why,
        remedy="update the plugin, or tell who made it",
    )


def no_such_verb(name: str, verb: str) -> SwarmError:
    """It does not know the call at all."""
    return SwarmError(
        Code.UNSUPPORTED,
        f"volume driver {name} does not know {verb}",
        why="it answered 404",
        remedy="update the plugin",
    )


def no_volume_driver(name: str, kinds: str) -> SwarmError:
    """A plugin of another kind has that name."""
    return SwarmError(
        Code.UNAVAILABLE,
        f"plugin {name} is not a driver of volumes",
        why=f"it says that it implements {kinds or 'nothing'}",
        remedy="name another driver",
    )


def refused(name: str, doing: str, said: str) -> SwarmError:
    """The plugin's own error. Plugins have no codes: what is told apart is told by its words."""
    words = said.lower()
    code = Code.UNAVAILABLE
    if "no such volume" in words or "not found" in words or "does not exist" in words:
        code = Code.NOT_FOUND
    elif "in use" in words or "is busy" in words:
        code = Code.REFUSED
    return SwarmError(
        code,
        f"volume driver {name} could not {doing}",
        why=said,
        remedy="" if code is not Code.UNAVAILABLE else "what that means is in the plugin's manual",
    )


def unsupported(name: str, what: str, why: str) -> SwarmError:
    """Something that the protocol has no words for."""
    return SwarmError(
        Code.UNSUPPORTED, f"volume driver {name} has no {what}", why=why, remedy="leave that out"
    )


def stuck(name: str, path: str, error: SwarmError) -> SwarmError:
    """It says that the volume is there, but who looks at it waits."""
    return SwarmError(
        error.code,
        f"what volume driver {name} mounted at {path} does not answer",
        why=str(error),
        remedy="check the storage behind it",
    )


def _tls_cause(error: BaseException | None) -> ssl.SSLError | None:
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return error
        error = error.__cause__ or error.__context__
    return None
