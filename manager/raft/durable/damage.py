"""The refusals to start that the files of the log's folder can call for. Decides nothing itself."""

from api.errors import Code, SwarmError

REJOIN = (
    "if other managers go on, demote and remove this node there, move the folder `swarm` out of "
    "its state folder and join it again; if none does, restore a backup: swarmctl swarm restore"
)
"""Never an old copy of the folder: this manager would have forgotten what it promised since, and
could help to elect a leader that lacks what was acknowledged.
"""


def damaged(name: str, offset: int, why: str) -> SwarmError:
    """`name` cannot be trusted from byte `offset` on, in a way that no crash explains."""
    return SwarmError(Code.INTERNAL, f"{name} is damaged at byte {offset}", why=why, remedy=REJOIN)


def missing(name: str, why: str) -> SwarmError:
    """`name` has to be there, and is not."""
    return SwarmError(Code.INTERNAL, f"{name} is missing", why=why, remedy=REJOIN)


def foreign(name: str, what: str, theirs: str, ours: str) -> SwarmError:
    """`name` was written by another cluster or node than this one."""
    return SwarmError(
        Code.REFUSED,
        f"{name} belongs to another {what}",
        why=f"it was written by {what} {theirs}, this is {ours}",
        remedy="give this daemon its own state folder",
    )


def locked(name: str, why: str) -> SwarmError:
    """`name` cannot be read with the keys at hand."""
    return SwarmError(
        Code.DENIED,
        f"{name} cannot be unsealed",
        why=why,
        remedy=f"put back the key file that belongs to this state folder; without it, {REJOIN}",
    )


def newer(name: str, what: str) -> SwarmError:
    """`name` uses something that this version does not know."""
    return SwarmError(
        Code.UNSUPPORTED,
        f"{name} cannot be read",
        why=f"{what} is not known to this version",
        remedy="run the version of swarmd that wrote it, or a newer one",
    )


def broken(what: str) -> SwarmError:
    """The caller asked for what Raft forbids; going on would lose or fork the log."""
    return SwarmError(
        Code.INTERNAL,
        "the log refuses an impossible change",
        why=what,
        remedy="this is a defect of swarmd: keep the state folder and report it",
    )
