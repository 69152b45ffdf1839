"""Where each RPC is answered in a group of managers, by its name. Pure.

Reads are answered by whichever manager was asked, once it knows that it is up to date. What changes
something is answered by the leader. So is what only the leader knows: where logs of tasks come
from, through whom commands in tasks are run, networks looked at, and data of volumes passed on. The
rest is each manager's own affair.
"""

from enum import Enum, auto


class Where(Enum):
    """Who answers a call."""

    HERE = auto()
    HERE_UP_TO_DATE = auto()
    LEADER = auto()


_FIXED = {
    "Control.GetGroup": Where.HERE,
    "Control.Watch": Where.HERE_UP_TO_DATE,
    "Control.Events": Where.HERE_UP_TO_DATE,
    "Control.Backup": Where.HERE_UP_TO_DATE,
    "Ca.GetRoot": Where.HERE,
}
_READS = ("Get", "List", "Explain")
_PASSED_ON = frozenset(
    {"Control", "Logs", "Exec", "NetworkCheck", "VolumeData", "CaRenewal", "Ca", "ManagerGroup"}
)


def where(method: str) -> Where:
    """Who answers `method`, as gRPC names it: /swarm.v1.Control/GetService."""
    service, _, rpc = method.strip("/").rpartition("/")
    noun = service.rpartition(".")[2]
    if noun not in _PASSED_ON:
        return Where.HERE
    fixed = _FIXED.get(f"{noun}.{rpc}")
    if fixed is not None:
        return fixed
    return Where.HERE_UP_TO_DATE if rpc.startswith(_READS) else Where.LEADER
