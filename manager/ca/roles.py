"""Every RPC of api/v1 and the roles it serves. What is not in the table is served to nobody."""

from collections.abc import Mapping

from api.identity import EVERY_ROLE, Role

_WRITERS: frozenset[Role] = frozenset({"operator", "manager"})
_NODES: frozenset[Role] = frozenset({"worker", "manager"})
_MANAGERS: frozenset[Role] = frozenset({"manager"})
_OPERATORS: frozenset[Role] = frozenset({"operator"})

_TABLE: dict[str, dict[frozenset[Role], tuple[str, ...]]] = {
    # A worker passes the reads of its own operators on; writes need somebody whom to name.
    "Control": {
        EVERY_ROLE: (
            "GetService",
            "ListServices",
            "GetTask",
            "ListTasks",
            "GetNode",
            "ListNodes",
            "GetCluster",
            "GetNetwork",
            "GetNetworkUse",
            "ListNetworks",
            "GetVolume",
            "ListVolumes",
            "GetGroup",
            "Watch",
            "Events",
            "ExplainTask",
            "ExplainService",
        ),
        # Secrets and configs are not for workers: each gets what its tasks need, and no more.
        _WRITERS: (
            "CreateSecret",
            "GetSecret",
            "ListSecrets",
            "UpdateSecret",
            "RemoveSecret",
            "CreateConfig",
            "GetConfig",
            "ListConfigs",
            "UpdateConfig",
            "RemoveConfig",
            "CreateNetwork",
            "UpdateNetwork",
            "RemoveNetwork",
            "CreateVolume",
            "UpdateVolume",
            "RemoveVolume",
            "ForceReleaseVolume",
            "MigrateVolume",
            "CreateService",
            "UpdateService",
            "RemoveService",
            "UpdateNode",
            "RemoveNode",
            "UpdateCluster",
            "RotateJoinToken",
            "RotateRootCa",
            "GetUnlockKey",
            "Backup",
            "CreateOperator",
            "ListOperators",
            "RemoveOperator",
        ),
    },
    "Logs": {EVERY_ROLE: ("Subscribe",)},
    # To look is a read; to mend changes hosts.
    "NetworkCheck": {EVERY_ROLE: ("Check",), _WRITERS: ("Fix",)},
    "CheckBroker": {_NODES: ("Listen", "Report")},
    "VolumeBroker": {_NODES: ("Listen", "Report", "Send", "Receive")},
    # All that is in a volume, which may be secret: no worker passes that on.
    "VolumeData": {_WRITERS: ("Backup", "Restore")},
    "LogBroker": {_NODES: ("Listen", "Publish")},
    # Whoever runs commands in any task has the whole swarm: no worker passes that on.
    "Exec": {_WRITERS: ("Run",)},
    "ExecBroker": {_NODES: ("Listen", "Attach")},
    "Dispatcher": {
        _NODES: (
            "Session",
            "Heartbeat",
            "Assignments",
            "UpdateTaskStatus",
            "UpdateVolumeStatus",
            "Attach",
        )
    },
    "CaRenewal": {_NODES: ("Renew",)},
    "Raft": {_MANAGERS: ("Exchange", "InstallSnapshot")},
    "ManagerGroup": {_MANAGERS: ("Join", "Leave")},
    # Served on the identity port, where callers have no certificate and no Authorizer stands
    # before the service: what it checks is the proof in the request.
    "Ca": {EVERY_ROLE: ("GetRoot", "Issue")},
    "Host": {
        _OPERATORS: (
            "Info",
            "InitSwarm",
            "JoinSwarm",
            "LeaveSwarm",
            "UnlockSwarm",
            "RestoreSwarm",
            "ReaddressSwarm",
            "PullImage",
            "LoadImage",
            "ListImages",
            "GetImage",
            "RemoveImage",
            "CheckLogin",
        ),
    },
    "Containers": {
        _OPERATORS: (
            "CreateContainer",
            "StartContainer",
            "StopContainer",
            "RemoveContainer",
            "ListContainers",
            "InspectContainer",
            "ContainerLogs",
            "ConnectNetwork",
            "DisconnectNetwork",
            "CreateLocalNetwork",
            "RemoveLocalNetwork",
            "ListLocalNetworks",
            "ListLocalVolumes",
            "RemoveLocalVolume",
            "BackupLocalVolume",
            "RestoreLocalVolume",
        ),
    },
    "Health": {EVERY_ROLE: ("Check",)},
}


def method(service: str, rpc: str) -> str:
    """The RPC as gRPC names it on the wire."""
    return f"/swarm.v1.{service}/{rpc}"


ROLES: Mapping[str, frozenset[Role]] = {
    method(service, rpc): roles
    for service, rows in _TABLE.items()
    for roles, rpcs in rows.items()
    for rpc in rpcs
}
"""Roles by RPC, as in `/swarm.v1.Control/GetService`."""

BETWEEN_MEMBERS: frozenset[str] = frozenset(
    name for name in ROLES if name.startswith(method("Raft", ""))
)
"""Raft's own calls: served by what the certificate says. The state may be behind, and can only
catch up through them; Raft has its own list of members (manager.raft.node.node.RaftNode.admits).
"""

SOCKET_ONLY: frozenset[str] = frozenset(
    name for name in ROLES if name.startswith((method("Host", ""), method("Containers", "")))
)
"""What a host does for its own operators alone, whatever certificate others show."""
