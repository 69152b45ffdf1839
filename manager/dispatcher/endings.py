"""Why a session or one of its streams ends, in the words and codes that the agent gets."""

from api.errors import Code, SwarmError

AGAIN = "register again"


def not_leading() -> SwarmError:
    """This manager does not lead, or has stopped to."""
    return SwarmError(
        Code.UNAVAILABLE,
        "this manager does not lead",
        remedy="try the other managers; one of them leads, or will after an election",
    )


def removed(node_id: str) -> SwarmError:
    """The node is not in the store."""
    return SwarmError(
        Code.NOT_FOUND,
        f"node {node_id} is not part of this swarm",
        why="it was removed",
        remedy="leave with `swarmctl swarm leave --force`, then join again",
    )


def replaced(node_id: str) -> SwarmError:
    """A newer session of the same node."""
    return SwarmError(
        Code.REFUSED,
        f"a newer session of node {node_id} replaced this one",
        why="its agent registered again, or another host has the same identity",
        remedy="if two hosts are clones of one, let one of them leave and join again",
    )


def expired(why: str) -> SwarmError:
    """The lease ran out."""
    return SwarmError(Code.REFUSED, "the session expired", why=why, remedy=AGAIN)


def broke() -> SwarmError:
    """The session's own stream was left, which ends its others."""
    return SwarmError(Code.REFUSED, "the session ended", why="its stream broke", remedy=AGAIN)


def second_stream() -> SwarmError:
    """The session opened a second assignment stream."""
    return SwarmError(
        Code.REFUSED,
        "this stream of assignments ended",
        why="the session opened another",
        remedy="read from the newer one",
    )
