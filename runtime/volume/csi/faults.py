"""What the status codes of a CSI driver mean, in words that name it and say what to do. Pure.

Of https://github.com/container-storage-interface/spec/blob/master/spec.md, "Error Scheme" and the
tables of errors of each call.
"""

import grpc

from api.errors import Code, SwarmError
from runtime.volume.plugin.messages import readable

Status = grpc.StatusCode

_LOOK = "look into the driver's log"
_MEANINGS: dict[Status, tuple[Code, str]] = {
    Status.CANCELLED: (Code.UNAVAILABLE, "try again"),
    Status.UNKNOWN: (Code.UNAVAILABLE, _LOOK),
    Status.INVALID_ARGUMENT: (Code.INVALID, "correct the options of the volume"),
    Status.NOT_FOUND: (Code.NOT_FOUND, "look whether it was deleted at the storage"),
    Status.ALREADY_EXISTS: (Code.INVALID, "use another name, or the options that it has"),
    Status.PERMISSION_DENIED: (Code.DENIED, "check the secrets of the volume"),
    Status.UNAUTHENTICATED: (Code.DENIED, "check the secrets of the volume"),
    Status.RESOURCE_EXHAUSTED: (Code.EXHAUSTED, "make room at the storage"),
    Status.FAILED_PRECONDITION: (Code.REFUSED, _LOOK),
    Status.ABORTED: (Code.UNAVAILABLE, "it is still busy with the volume: try again later"),
    Status.OUT_OF_RANGE: (Code.INVALID, "change the size that is asked for"),
    Status.UNIMPLEMENTED: (Code.UNSUPPORTED, "use another driver, or another version of it"),
    Status.UNAVAILABLE: (Code.UNAVAILABLE, "start the driver"),
    Status.DEADLINE_EXCEEDED: (Code.DEADLINE, "check the storage behind it, and its log"),
}

_OF_CALL: dict[tuple[str, Status], tuple[Code, str]] = {
    ("Probe", Status.FAILED_PRECONDITION): (Code.UNAVAILABLE, "correct its configuration"),
    ("CreateVolume", Status.RESOURCE_EXHAUSTED): (
        Code.EXHAUSTED,
        "ask for another topology, or make room at the storage",
    ),
    ("DeleteVolume", Status.FAILED_PRECONDITION): (Code.REFUSED, "it is in use: end that first"),
    ("ControllerPublishVolume", Status.ALREADY_EXISTS): (
        Code.REFUSED,
        "the node has it in another way: let that end first",
    ),
    ("ControllerPublishVolume", Status.FAILED_PRECONDITION): (
        Code.REFUSED,
        "another node has it: let that end first",
    ),
    ("ControllerPublishVolume", Status.RESOURCE_EXHAUSTED): (
        Code.EXHAUSTED,
        "the node can take no more volumes: use another one",
    ),
    ("NodeStageVolume", Status.ALREADY_EXISTS): (
        Code.REFUSED,
        "it is there in another way: let that end first",
    ),
    ("NodePublishVolume", Status.ALREADY_EXISTS): (
        Code.REFUSED,
        "it is there in another way: let that end first",
    ),
    ("NodeStageVolume", Status.FAILED_PRECONDITION): (
        Code.REFUSED,
        "the volume cannot be used as its access says",
    ),
    ("NodePublishVolume", Status.FAILED_PRECONDITION): (
        Code.REFUSED,
        "the volume cannot be used as its access says",
    ),
}


def of_status(name: str, call: str, doing: str, status: Status, said: str) -> SwarmError:
    """The error for a call that failed; `doing` as "mount volume data", `said` by the driver."""
    code, remedy = _OF_CALL.get((call, status)) or _MEANINGS.get(status, (Code.UNAVAILABLE, _LOOK))
    words = readable(said) or status.name.lower().replace("_", " ")
    return SwarmError(
        code, f"CSI driver {name} could not {doing}", why=f"{call}: {words}", remedy=remedy
    )


def lied(name: str, call: str, why: str) -> SwarmError:
    """It says that it succeeded, and it is not so."""
    return SwarmError(
        Code.UNAVAILABLE,
        f"CSI driver {name} answers {call} wrongly",
        why=why,
        remedy="update the driver, or tell who made it",
    )


def not_ready(name: str) -> SwarmError:
    """It is well, and still at its beginning."""
    return SwarmError(
        Code.UNAVAILABLE,
        f"CSI driver {name} is not ready",
        why="it says that it is still starting",
        remedy="try again later",
    )


def other_name(name: str, socket: str, own: str) -> SwarmError:
    """The socket is called otherwise than the driver behind it."""
    return SwarmError(
        Code.UNAVAILABLE,
        f"there is no CSI driver {name} on this host",
        why=f"the one at {socket} calls itself {readable(own) or 'nothing'}",
        remedy=f"call the socket {readable(own)}.sock",
    )


def absent(name: str, folder: str) -> SwarmError:
    """No socket bears the name."""
    return SwarmError(
        Code.UNAVAILABLE,
        f"there is no CSI driver {name} on this host",
        why=f"no socket of that name in {folder}",
        remedy=f"start the driver; it should listen on {folder}/{name}.sock",
    )


def cannot(name: str, what: str, why: str) -> SwarmError:
    """It does not have the capability that this needs."""
    return SwarmError(Code.UNSUPPORTED, f"CSI driver {name} cannot {what}", why=why)
