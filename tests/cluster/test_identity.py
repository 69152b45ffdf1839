"""Who is let in: tokens, certificates of nodes and operators, and what a worker's socket passes on.

Beside the swarm stands a second one, `other`, whose papers are in order, but not here.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.identity import Credentials, load_credentials, make_csr, save_credentials
from api.v1 import objects_pb2
from hostkit import clock
from manager.ca.authority import sign
from tests.support.cluster import OBEDIENT, TOOLS, Done, Swarm, a_swarm
from tests.support.offline_store import store_of

pytestmark = pytest.mark.cluster

DAY = 86400.0


@pytest.fixture(scope="module")
def swarm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swarm]:
    with a_swarm(tmp_path_factory.mktemp("config"), heartbeat=2) as made:
        yield made


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swarm]:
    config, name = tmp_path_factory.mktemp("other"), f"o{os.getpid()}"
    with a_swarm(config, workers=0, up_only=True, name=name) as made:
        made.ctl("swarm", "init")
        yield made


@pytest.fixture
def stranger(swarm: Swarm) -> Iterator[str]:
    """A host that is in no swarm; in the end it is in this one again."""
    swarm.ctl("swarm", "leave", at="w2")
    swarm.until_node("w2", "Down")
    swarm.ctl("node", "rm", "w2")
    yield "w2"
    _join(swarm, "w2", _token(swarm))
    swarm.until_node("w2", "Ready")


@pytest.fixture
def folder(swarm: Swarm) -> Iterator[Path]:
    """A folder that hosts of both labs see under the same path."""
    made = swarm.host("m1").paths.directory.parent / "papers"
    made.mkdir()
    yield made
    shutil.rmtree(made)


def _token(swarm: Swarm, *words: str) -> str:
    return swarm.ctl("swarm", "join-token", "-q", *words, "worker").out.strip()


def _join(swarm: Swarm, host: str, token: str, *, code: int = 0) -> Done:
    address = f"{swarm.host('m1').address}:2377"
    return swarm.ctl("swarm", "join", "--token", token, address, at=host, code=code)


def test_a_host_with_a_wrong_token_is_refused_and_no_node_is_made(
    swarm: Swarm, other: Swarm, stranger: str
) -> None:
    token = _token(swarm)
    prefix, version, digest, secret = token.split("-")
    swapped = secret[:-1] + ("0" if secret[-1] != "0" else "1")
    refusals = {
        "garbage": "a join token begins with SWMTKN-1-",
        token[:-3]: "token",
        f"{prefix}-{version}-{digest}-{swapped}": "token",
        _token(other): "the token is of another cluster",
    }
    for wrong, reason in refusals.items():
        refused = _join(swarm, stranger, wrong, code=1)
        assert reason in refused.err, refused.err
        assert secret not in refused.err
        assert "inactive" in swarm.ctl("system", "info", at=stranger).out
    assert sorted(swarm.nodes()) == ["m1", "w1"]


def test_a_token_that_was_rotated_away_is_refused_and_the_new_one_is_not(
    swarm: Swarm, stranger: str
) -> None:
    old = _token(swarm)
    new = _token(swarm, "--rotate")
    assert old != new
    assert _token(swarm) == new
    assert "token" in _join(swarm, stranger, old, code=1).err
    _join(swarm, stranger, new)
    swarm.until_node(stranger, "Ready")
    swarm.create("web", TOOLS, "sh", "-c", OBEDIENT, replicas=3)
    assert len(swarm.containers(stranger)) == 1
    swarm.ctl("swarm", "leave", at=stranger)
    swarm.until_node(stranger, "Down")
    swarm.ctl("node", "rm", stranger)


def test_an_operator_steers_the_swarm_from_another_host_until_he_is_removed(
    swarm: Swarm, folder: Path
) -> None:
    swarm.ctl("swarm", "client-cert", "alice", "--out", str(folder / "alice"))
    assert "alice" in swarm.ctl("swarm", "client-cert", "--ls").out
    assert (folder / "alice" / "key.pem").stat().st_mode & 0o077 == 0
    address = f"tcp://{swarm.host('m1').address}"
    remote = ("swarmctl", "-H", address, "--cert-path", str(folder / "alice"))
    create = ("service", "create", "--quiet", "--name", "web", TOOLS, "sh", "-c", OBEDIENT)
    swarm.inside("w1", *remote, *create)
    assert swarm.inside("w1", *remote, "service", "ls", "-q").lines
    swarm.until_runs("web", 1)
    assert len(swarm.on("web")) == 1
    host_only = swarm.inside("w1", *remote, "swarm", "leave", "--force", code=1)
    assert host_only.err, "what a host does for its own operator is not for others"
    assert swarm.ctl("swarm", "client-cert", "--rm", "alice").lines == ["alice"]
    refused = swarm.inside("w1", *remote, "service", "ls", code=1)
    assert "removed" in refused.err or "member" in refused.err, refused.err
    assert swarm.inside("w1", *remote, "service", "rm", "web", code=1).err
    assert len(swarm.on("web")) == 1


def test_an_operator_of_another_swarm_is_not_even_heard(
    swarm: Swarm, other: Swarm, folder: Path
) -> None:
    other.ctl("swarm", "client-cert", "mallory", "--out", str(folder / "foreign"))
    swarm.ctl("swarm", "client-cert", "bob", "--out", str(folder / "bob"))
    address = f"tcp://{swarm.host('m1').address}"
    shutil.copytree(folder / "foreign", folder / "mixed")
    shutil.copy(folder / "bob" / "ca.pem", folder / "mixed" / "ca.pem")
    for papers in ("foreign", "mixed"):
        call = ("swarmctl", "-H", address, "--cert-path", str(folder / papers), "service", "ls")
        refused = swarm.inside("w1", *call, code=4)
        assert "certificate" in refused.err, refused.err
    bob = ("swarmctl", "-H", address, "--cert-path", str(folder / "bob"), "service", "ls")
    swarm.inside("w1", *bob)


def test_a_worker_passes_reads_on_and_refuses_writes_with_the_reason(swarm: Swarm) -> None:
    swarm.create("web", TOOLS, "sh", "-c", OBEDIENT, replicas=2)
    for words in ("service ls", "service ps --no-trunc web", "node ls -q", "service inspect web"):
        assert (
            swarm.ctl(*words.split(), at="w1").out == swarm.ctl(*words.split()).out or "ps" in words
        )
    for words in (
        f"service create --detach --name more {TOOLS}",
        "service scale --detach web=3",
        "service rm web",
        "node update --availability drain w1",
        "node rm --force w2",
        "swarm join-token --rotate worker",
        "swarm client-cert --rm nobody",
    ):
        refused = swarm.ctl(*words.split(), at="w1", code=1)
        assert "Run the command on a manager" in refused.err, refused.err
    assert len(swarm.until_runs("web", 2)) == 2
    assert "SWMTKN" not in swarm.ctl("swarm", "join-token", "worker", at="w1", code=None).out


def test_a_removed_node_is_refused_at_once_though_its_certificate_is_good(swarm: Swarm) -> None:
    assert swarm.ctl("node", "ls", "-q", at="w2").lines
    swarm.ctl("node", "rm", "--force", "w2")
    refused = swarm.ctl("node", "ls", at="w2", code=1)
    assert "removed" in refused.err or "member" in refused.err, refused.err
    swarm.kill_daemon("w2")
    swarm.start_daemon("w2")
    assert swarm.ctl("node", "ls", at="w2", code=None).code in (1, 4)
    assert sorted(swarm.nodes()) == ["m1", "w1"]
    swarm.ctl("swarm", "leave", at="w2")
    _join(swarm, "w2", _token(swarm))
    swarm.until_node("w2", "Ready")


def test_a_node_whose_certificate_has_expired_gets_a_new_one_with_its_old_key(swarm: Swarm) -> None:
    swarm.create("web", TOOLS, "sh", "-c", OBEDIENT, replicas=3)
    before = swarm.on("web")
    for host in ("m1", "w1"):
        swarm.lab("daemon", host, "stop")
    expired = _expired_certificate(swarm, "w1")
    papers = swarm.host("w1").paths.state / "swarm"
    save_credentials(papers, expired)
    for host in ("m1", "w1"):
        swarm.start_daemon(host)

    def renewed() -> Credentials | None:
        found = load_credentials(papers)
        return found if found and found.certificate_pem != expired.certificate_pem else None

    # Ready alone may be what the manager knew of it before.
    fresh = swarm.until(renewed, "it has another certificate")
    swarm.until_node("w1", "Ready", timeout=60)
    assert fresh is not None
    assert fresh.identity.id == expired.identity.id
    assert fresh.identity.not_after > clock.wall() + DAY
    assert fresh.key_pem != expired.key_pem
    assert swarm.on("web") == before


def test_a_removed_node_whose_certificate_has_expired_gets_no_new_one(swarm: Swarm) -> None:
    for host in ("m1", "w2"):
        swarm.lab("daemon", host, "stop")
    expired = _expired_certificate(swarm, "w2")
    papers = swarm.host("w2").paths.state / "swarm"
    save_credentials(papers, expired)
    swarm.start_daemon("m1")
    swarm.until_node("w2", "Down", timeout=60)
    swarm.ctl("node", "rm", "w2")
    swarm.start_daemon("w2")
    log = swarm.host("w2").paths.daemon_log
    swarm.until(lambda: "the expired certificate is not replaced" in log.read_text(), "it asked")
    assert sorted(swarm.nodes()) == ["m1", "w1"]
    found = load_credentials(papers)
    assert found is not None
    assert found.certificate_pem == expired.certificate_pem
    swarm.ctl("swarm", "leave", at="w2")
    _join(swarm, "w2", _token(swarm))
    swarm.until_node("w2", "Ready")


def test_the_root_is_rotated_under_running_tasks_and_a_node_that_was_down_follows_later(
    swarm: Swarm, folder: Path
) -> None:
    swarm.create("web", TOOLS, "sh", "-c", OBEDIENT, replicas=3)
    swarm.ctl("swarm", "client-cert", "carol", "--out", str(folder / "carol"))
    address = f"tcp://{swarm.host('m1').address}"
    carol = ("swarmctl", "-H", address, "--cert-path", str(folder / "carol"), "node", "ls", "-q")
    kept = swarm.on("web", "m1", "w1")
    old_root, old_token = swarm.ctl("swarm", "ca").out, _token(swarm)
    swarm.lab("daemon", "w2", "stop")
    swarm.until_node("w2", "Down")
    rotated = swarm.ctl("swarm", "ca", "--rotate", "--cert-expiry", "24h")
    assert rotated.out == swarm.ctl("swarm", "ca").out != old_root
    assert "2 of 3 nodes have a certificate of the new root" in rotated.err, rotated.err
    assert "w2: down" in rotated.err, rotated.err
    assert swarm.on("web", "m1", "w1")[: len(kept)], "tasks go on"
    assert set(kept) <= set(swarm.on("web")), "none was started anew"
    assert _token(swarm) != old_token
    told = swarm.inside("w1", *carol)
    assert "was exchanged" in told.err, told.err
    assert not swarm.inside("w1", *carol).err
    swarm.start_daemon("w2")
    swarm.until_node("w2", "Ready", timeout=60)
    papers = load_credentials(swarm.host("w2").paths.state / "swarm")
    assert papers is not None
    assert papers.ca_pem.decode().strip() == rotated.out.strip()
    assert papers.identity.not_after < clock.wall() + DAY + 60


def test_a_removed_node_says_why_it_is_out_and_how_it_gets_in_again(swarm: Swarm) -> None:
    swarm.create("web", TOOLS, "sh", "-c", OBEDIENT, replicas=3)
    assert "is not down" in swarm.ctl("node", "rm", "w2", code=1).err
    assert "is a manager" in swarm.ctl("node", "rm", "--force", "m1", code=1).err
    swarm.ctl("node", "rm", "--force", "w2")
    swarm.until_runs("web", 3)
    assert "w2" not in {task.node for task in swarm.tasks("web") if task.runs}

    def told() -> bool:
        return "was removed" in swarm.ctl("system", "info", at="w2").out

    swarm.until(told, "system info of the removed host says why")
    info = swarm.ctl("system", "info", at="w2").out
    assert "swarmctl swarm leave --force" in info
    assert "was removed" in swarm.host("w2").paths.daemon_log.read_text()
    swarm.ctl("swarm", "leave", at="w2")
    _join(swarm, "w2", _token(swarm))
    swarm.until_node("w2", "Ready")


def _expired_certificate(swarm: Swarm, host: str) -> Credentials:
    """The node's own certificate as if it were two days old; signed with the key of the cluster.

    That key leaves a manager in no other way than with its log: its daemon has to be stopped.
    """
    mine = load_credentials(swarm.host(host).paths.state / "swarm")
    assert mine is not None
    (cluster,) = store_of(swarm.host("m1").paths.state).all(objects_pb2.Cluster)
    certificate = sign(
        cluster.root_ca,
        make_csr(mine.key_pem),
        node_id=mine.identity.id,
        role="worker",
        cluster_id=cluster.id,
        now=clock.wall() - 2 * DAY,
        expiry=DAY,
    )
    return Credentials(mine.key_pem, certificate, mine.ca_pem)
