import importlib
import pkgutil

import pytest

import api.v1
from api.identity import Role
from manager.ca.roles import ROLES, SOCKET_ONLY


def every_rpc() -> set[str]:
    modules = [
        importlib.import_module(f"api.v1.{found.name}")
        for found in pkgutil.iter_modules(api.v1.__path__)
        if found.name.endswith("_pb2")
    ]
    return {
        f"/{service.full_name}/{rpc.name}"
        for module in modules
        for service in module.DESCRIPTOR.services_by_name.values()
        for rpc in service.methods
    }


def test_the_table_names_every_rpc_and_nothing_else() -> None:
    assert set(ROLES) == every_rpc()
    assert all(ROLES.values())


@pytest.mark.parametrize(
    ("rpc", "roles"),
    [
        ("Control/ListServices", {"operator", "manager", "worker"}),
        ("Control/Watch", {"operator", "manager", "worker"}),
        ("Control/Events", {"operator", "manager", "worker"}),
        ("Logs/Subscribe", {"operator", "manager", "worker"}),
        ("Control/GetSecret", {"operator", "manager"}),
        ("Control/ListSecrets", {"operator", "manager"}),
        ("Control/GetConfig", {"operator", "manager"}),
        ("Control/ListConfigs", {"operator", "manager"}),
        ("Control/CreateService", {"operator", "manager"}),
        ("Control/ListNetworks", {"operator", "manager", "worker"}),
        ("Control/CreateNetwork", {"operator", "manager"}),
        ("Control/RotateJoinToken", {"operator", "manager"}),
        ("Dispatcher/Session", {"worker", "manager"}),
        ("LogBroker/Publish", {"worker", "manager"}),
        ("Exec/Run", {"operator", "manager"}),
        ("ExecBroker/Listen", {"worker", "manager"}),
        ("ExecBroker/Attach", {"worker", "manager"}),
        ("CaRenewal/Renew", {"worker", "manager"}),
        ("Host/InitSwarm", {"operator"}),
        ("Health/Check", {"operator", "manager", "worker"}),
    ],
)
def test_who_may_call_what(rpc: str, roles: set[Role]) -> None:
    assert ROLES[f"/swarm.v1.{rpc}"] == roles


def test_workers_write_nothing_but_reports() -> None:
    reads = ("Get", "List", "Watch", "Events", "Explain")
    writes = {
        name
        for name in ROLES
        if "/swarm.v1.Control/" in name and not name.rpartition("/")[2].startswith(reads)
    }
    assert writes
    assert not [name for name in writes if "worker" in ROLES[name]]


def test_a_host_serves_its_own_operators_over_its_socket_only() -> None:
    own = ("/swarm.v1.Host/", "/swarm.v1.Containers/")
    assert {name for name in every_rpc() if name.startswith(own)} == SOCKET_ONLY
