"""What calls that change something have in common. Pure."""

from api.errors import Code, SwarmError, invalid


def needed_request_id(request_id: str) -> str:
    """The request id; INVALID if the caller sent none."""
    if not request_id:
        raise invalid(
            "request_id",
            "a request id is needed",
            why="without one a retry could have the effect of two calls",
        )
    return request_id


def stale(what: str, version: int) -> SwarmError:
    """The refusal of an update that was made from an old version."""
    return SwarmError(
        Code.CONFLICT,
        f"{what} was changed meanwhile",
        why=f"it is at version {version} now",
        remedy="read it again and repeat the change",
    )
