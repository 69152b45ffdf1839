"""`machine certs rotate`: which hosts get certificates of the operator, and who loses his by it."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from machine.certs.host_papers import CERTIFICATE
from machine.certs.operator_ca import OperatorCa, write_papers
from machine.store.machine import Machine
from machine.store.store import Store
from machine.swarm.wanted import HostWanted, SwarmWanted
from machine.target import Target
from swarmctl.cli.clusters.session import Means, Session
from swarmctl.cli.commands.machine import cluster_certs
from tests.support.paper_host import PaperHost, PaperRemote

OURS = Machine("h1", Target("192.0.2.1"), api="192.0.2.1:2376").ready("1", 1.0)
ADOPTED = replace(OURS, api="")
ELSEWHERE = Machine("h1", Target("192.0.2.9"), api="192.0.2.9:2376").ready("1", 1.0)
IN_A_LAB = replace(OURS, name="n1", driver="lab", api="unix:///run/n1/swarmd.sock")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def session(store: Store, host: PaperHost) -> Session:
    """With one host, which is reached."""
    wanted = HostWanted("h1", Target("192.0.2.1"))
    made = Session(SwarmWanted("s", {"h1": wanted}), Means(), store)
    made.ways = {"h1": PaperRemote(host)}
    return made


def sent(store: Store) -> bool:
    """Whether the host has a certificate of ours then."""
    host = PaperHost()
    asyncio.run(cluster_certs._send(session(store, host), fresh=True))
    return CERTIFICATE in host.tree


def test_a_machine_of_the_operator_gets_another(store: Store) -> None:
    store.save(OURS)
    assert sent(store)


@pytest.mark.parametrize("machine", [ADOPTED, ELSEWHERE], ids=["adopted", "elsewhere"])
def test_a_host_that_is_no_machine_of_his_keeps_its_own(
    store: Store, machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    store.save(machine)
    assert not sent(store)
    assert "its certificate stays" in capsys.readouterr().err


def test_a_colleagues_machine_keeps_its_own(store: Store, tmp_path: Path) -> None:
    store.save(OURS)
    write_papers(store.folder("h1") / "client", OperatorCa(Store(tmp_path / "hers")).issue("me"))
    assert not sent(store)


def test_the_authority_is_held_up_only_by_machines_that_trust_it(store: Store) -> None:
    for each in (OURS, IN_A_LAB, replace(ADOPTED, name="h2"), Machine("h3", Target("192.0.2.3"))):
        store.save(each)
    assert cluster_certs._others(session(store, PaperHost())) == []
    store.save(replace(OURS, name="h4"))
    store.save(ELSEWHERE)
    assert cluster_certs._others(session(store, PaperHost())) == ["h1", "h4"]


def test_who_loses_a_certificate_with_the_authority_is_told(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    store.save(OURS)
    cluster_certs._tell_who_loses(session(store, PaperHost()))
    for person in ("bob", "alice"):
        OperatorCa(store).issue(person)
    cluster_certs._tell_who_loses(session(store, PaperHost()))
    (told,) = capsys.readouterr().err.splitlines()
    assert "certificates of alice, bob end" in told
    store.save(replace(OURS, name="h4"))  # in no line of the file: the authority stays
    cluster_certs._tell_who_loses(session(store, PaperHost()))
    assert capsys.readouterr().err == ""
