"""The errors of a Raft node, for people. Decides nothing."""

from api.errors import Code, SwarmError
from api.v1.raft_pb2 import Member
from manager.raft.core.errors import ConfChangeError, DropReason, RaftError
from manager.raft.durable import damage
from manager.raft.transport.receiver import REMOVED


def stopped(error: OSError) -> SwarmError:
    """The disk has failed, and with it this manager's part in the group."""
    return SwarmError(
        Code.UNAVAILABLE,
        "this manager cannot write its log any more",
        why=str(error),
        remedy="look after the disk, then restart swarmd",
    )


def stopping() -> SwarmError:
    """This manager is shut down, or its log has not been started."""
    return SwarmError(Code.UNAVAILABLE, "this manager is stopping", remedy="try again")


def broken(error: RaftError) -> SwarmError:
    """The core has met what cannot be; going on could lose what was acknowledged."""
    return SwarmError(
        Code.INTERNAL,
        "this manager's log contradicts its group's",
        why=str(error),
        remedy="its disk lost something, an old copy of its folder was put back, or this is a "
        f"defect of swarmd: keep a copy of the folder for a report; then, {damage.REJOIN}",
    )


def not_leading(leader: Member | None) -> SwarmError:
    """Only the leader can do it, and nothing was done."""
    if leader is None:
        why = "the managers have not agreed on a leader"
    else:
        why = f"the leader is at {leader.address}" if leader.address else "another one does"
    return SwarmError(Code.UNAVAILABLE, "this manager does not lead", why=why, remedy="try again")


def dropped(reason: DropReason, leader: Member | None) -> SwarmError:
    """The core did not take a proposal; nothing was done."""
    if reason in (DropReason.NO_LEADER, DropReason.FORWARDING_DISABLED):
        return not_leading(leader)
    return SwarmError(
        Code.UNAVAILABLE, "the log takes no changes now", why=reason.value, remedy="try again"
    )


def unknown_outcome() -> SwarmError:
    """An entry was appended here, and what became of it this manager will not learn."""
    return SwarmError(
        Code.UNAVAILABLE,
        "it is not known whether the change was made",
        why="this manager lost the leadership while the others had not confirmed it",
        remedy="try again with the same request id: what was done is not done twice",
    )


def overwritten() -> SwarmError:
    """Another entry stands where this one was appended."""
    return SwarmError(
        Code.UNAVAILABLE,
        "the change was not made",
        why="another manager became the leader before the others had confirmed it",
        remedy="try again",
    )


def conflicting_change() -> SwarmError:
    """The core has turned a change of the configuration into an empty entry."""
    return SwarmError(
        Code.CONFLICT,
        "the group of managers was not changed",
        why="another change of it is under way, or the change does not fit its present state",
        remedy="try again in a moment",
    )


def inadmissible(error: ConfChangeError) -> SwarmError:
    """A committed change of the configuration does not fit; it has no effect anywhere."""
    return SwarmError(
        Code.REFUSED,
        "the group of managers was not changed",
        why=str(error),
        remedy="look at the managers as they are now, and decide again",
    )


def no_barrier(leader: Member | None) -> SwarmError:
    """A read could not be brought up to date in time."""
    why = "the managers have not agreed on a leader"
    if leader is not None:
        why = "a majority of the managers does not confirm the leader"
    return SwarmError(
        Code.UNAVAILABLE,
        "what is stored now cannot be told",
        why=why,
        remedy="look after the managers that are down, then try again",
    )


def removed(raft_id: int) -> SwarmError:
    """To a member that is none any more."""
    return SwarmError(
        Code.REFUSED,
        f"manager {raft_id:x} is not in the group any more",
        why="it was removed",
        remedy="let it leave the swarm, and join anew if it is to be a manager again",
        field=REMOVED,
    )


def another_node(raft_id: int, known: str, calling: str) -> SwarmError:
    """To a node that says to be a member that is another node."""
    return SwarmError(
        Code.REFUSED,
        f"manager {raft_id:x} is another node",
        why=f"it is node {known}, the certificate is of node {calling}",
        remedy="give each manager its own state folder",
    )
