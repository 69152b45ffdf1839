"""Most managers are lost, or all of them with their disks: one goes on alone, or a backup does."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.cluster import OBEDIENT, TOOLS, Swarm, a_swarm

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

COMMAND = (TOOLS, "sh", "-c", OBEDIENT)


@contextmanager
def shown(swarm: Swarm) -> Iterator[None]:
    """A failed scenario shows the swarm as it stood."""
    try:
        yield
    except BaseException:
        print(swarm.picture())
        raise


def boot(swarm: Swarm, host: str) -> None:
    """Starts a host that was killed; returns when its daemon answers."""
    swarm.lab("start", host)
    swarm.start_daemon(host)


def roles(swarm: Swarm, at: str) -> dict[str, str]:
    """What each host is: Leader, Reachable, or nothing for a worker."""
    form = "{{.Hostname}} {{.ManagerStatus}}"
    lines = [
        f"{line} ".split(" ") for line in swarm.ctl("node", "ls", "--format", form, at=at).lines
    ]
    return {words[0]: words[1] for words in lines}


def leading(swarm: Swarm, at: str) -> list[str]:
    return [host for host, role in roles(swarm, at).items() if role == "Leader"]


def until_votes(swarm: Swarm, *hosts: str, at: str) -> None:
    def vote() -> bool:
        form = "{{.Hostname}} {{.Seat}} {{.Reachable}}"
        rows = swarm.ctl("swarm", "status", "--format", form, at=at).lines
        return sorted(row.split()[0] for row in rows if "learner" not in row) == sorted(hosts)

    swarm.until(vote, f"{hosts} vote", timeout=60)


def test_the_last_manager_goes_on_alone_and_others_join_again(tmp_path: Path) -> None:
    # The worker has six heartbeats to come over, though it asks those that are lost first.
    with a_swarm(tmp_path, managers=3, workers=1, heartbeat=3) as swarm, shown(swarm):
        until_votes(swarm, "m1", "m2", "m3", at="m1")
        swarm.create("web", *COMMAND, replicas=4)
        before = {(each.task_id, each.pid) for each in swarm.on("web", "m3", "w1")}
        assert before

        swarm.lab("kill", "m1", "m2")
        lost = swarm.program(
            *("--context", f"{swarm.name}/m3", "--timeout", "4s", "node", "ls"), code=None
        )
        assert lost.code == 4
        said = swarm.ctl("swarm", "init", "--force-new-cluster", at="m3", timeout=120).out
        assert "goes on alone" in said
        assert roles(swarm, "m3")["m3"] == "Leader"
        swarm.until(
            lambda: (
                swarm.nodes(at="m3") == {"m1": "Down", "m2": "Down", "m3": "Ready", "w1": "Ready"}
            ),
            "the lost ones are down, the worker has come over",
            timeout=90,
        )
        wanted = [each for each in swarm.tasks("web", at="m3") if each.desired == "Running"]
        assert len(wanted) == 4

        def all_run() -> bool:
            running = [each for each in swarm.tasks("web", at="m3") if each.runs]
            return len(running) == 4 and {each.node for each in running} <= {"m3", "w1"}

        swarm.until(all_run, "four tasks run on what is left", timeout=60)
        assert before <= {(each.task_id, each.pid) for each in swarm.on("web", "m3", "w1")}

        # One comes back as it was, and becomes a worker by itself; the other starts anew.
        boot(swarm, "m1")
        swarm.until(
            lambda: (
                "Is Manager: false" in " ".join(swarm.ctl("system", "info", at="m1").out.split())
            ),
            "m1 is a worker",
            timeout=60,
        )
        swarm.until(lambda: swarm.nodes(at="m3")["m1"] == "Ready", "m1 is ready", timeout=60)
        swarm.ctl("node", "promote", "m1", at="m3")
        boot(swarm, "m2")
        swarm.ctl("swarm", "leave", "--force", at="m2")
        token = swarm.ctl("swarm", "join-token", "-q", "manager", at="m3").out.strip()
        address = f"{swarm.host('m3').address}:2377"
        own = swarm.host("m2").address
        swarm.ctl(*("swarm", "join", "--token", token, "--advertise-addr", own, address), at="m2")
        until_votes(swarm, "m1", "m2", "m3", at="m3")
        swarm.lab("kill", "m3")
        swarm.ctl("service", "create", "--detach", "--name", "more", *COMMAND, at="m2")
        assert len(swarm.ctl("service", "ls", "-q", at="m1").lines) == 2


def test_a_backup_of_a_follower_comes_back_on_another_host(tmp_path: Path) -> None:
    secret, file = tmp_path / "secret", tmp_path / "swarm.bak"
    secret.write_text("correct horse battery staple\n")
    words = ("--passphrase-file", str(secret), str(file))
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    with a_swarm(tmp_path / "two", workers=0, name=f"o{os.getpid()}") as fresh, shown(fresh):
        fresh.ctl("swarm", "leave", "--force")
        with a_swarm(tmp_path / "one", managers=3, workers=0) as swarm, shown(swarm):
            until_votes(swarm, "m1", "m2", "m3", at="m1")
            swarm.create("web", *COMMAND, replicas=2)
            leader = swarm.until(lambda: leading(swarm, "m1"), "one leads, and is known to")[0]
            follower = next(host for host in ("m1", "m2", "m3") if host != leader)
            shown_first = swarm.ctl("swarm", "backup", *words, at=follower).out
            assert "3 nodes, 1 service" in shown_first
            token = swarm.ctl("swarm", "join-token", "-q", "worker").out
            former = {swarm.host(name).address for name in ("m1", "m2", "m3")}
        assert swarm.program("swarm", "backup", "--verify", *words).out == shown_first

        assert fresh.host("m1").address not in former
        slip = tmp_path / "slip"
        slip.write_text("correct horse\n")
        refused = fresh.ctl(
            *("swarm", "restore", "--passphrase-file", str(slip), str(file)), code=1
        )
        assert "not opened by this passphrase" in refused.err
        assert "inactive" in fresh.ctl("system", "info").out
        said = fresh.ctl("swarm", "restore", *words, timeout=120).out
        assert "only manager" in said
        assert fresh.ctl("service", "ls", "--format", "{{.Name}}").lines == ["web"]
        assert fresh.ctl("swarm", "join-token", "-q", "worker").out == token

        def states() -> list[str]:
            lines = fresh.ctl("node", "ls", "--format", "{{.ID}} {{.Status}}").lines
            return sorted(line.split()[1] for line in lines)

        fresh.until(lambda: "Ready" in states(), "its agent has told of itself")
        assert states() == ["Down", "Down", "Down", "Ready"]
        own = fresh.ctl("node", "ls", "-q", "--filter", "role=manager").lines
        assert len(own) == 1
        fresh.until_runs("web", 2, timeout=60)
        before = fresh.on("web")
        assert len(before) == 2
        assert "part of a swarm" in fresh.ctl("swarm", "restore", *words, code=1).err
        moved = f"{fresh.host('m1').address}:2477"
        fresh.ctl("swarm", "readdress", "--advertise-addr", moved, "--listen-addr", "0.0.0.0:2477")
        fresh.until(lambda: moved in fresh.ctl("swarm", "status").out, "its seat has moved")
        fresh.until(
            lambda: fresh.ctl("system", "info", "-f", "{{.Swarm.State}}").out == "active\n",
            "its agent has found it",
        )
        fresh.kill_daemon("m1")
        fresh.start_daemon("m1")
        assert fresh.ctl("service", "ls", "--format", "{{.Name}}").lines == ["web"]
        assert fresh.on("web") == before
