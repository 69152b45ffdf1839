"""`task exec` and `service exec`: from every host, over pipes and terminals, till somebody dies."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostkit import cgroup
from machine.drivers.lab import cgroups
from tests.support.cluster import OBEDIENT, SWARMCTL, TOOLS, Swarm, a_swarm
from tests.support.terminal import LIMIT, Terminal

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

UNREACHABLE = 4


@pytest.fixture(scope="module")
def swarm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swarm]:
    with a_swarm(tmp_path_factory.mktemp("config"), managers=3, workers=1) as made:
        for manager in ("m1", "m2", "m3"):
            made.ctl("node", "update", "--availability", "drain", manager)
        yield made


def make(swarm: Swarm, *flags: str, replicas: int = 1) -> None:
    """The service web; managers are drained, so that it runs on the worker."""
    swarm.create("web", *flags, TOOLS, "sh", "-c", OBEDIENT, replicas=replicas)


def piped(swarm: Swarm, given: bytes, *words: str, at: str = "m1") -> tuple[int, bytes, bytes]:
    """A command with these bytes as its input: exit code, output, errors."""
    done = subprocess.run(
        [SWARMCTL, "--context", f"{swarm.name}/{at}", *words],
        input=given,
        capture_output=True,
        check=False,
        timeout=LIMIT,
        env=swarm.environment,
    )
    return done.returncode, done.stdout, done.stderr


def processes(swarm: Swarm) -> str:
    """What runs in the task of web."""
    return swarm.ctl("service", "exec", "web", "ps", "-o", "args").out


def terminal_of(swarm: Swarm, *words: str, at: str) -> Terminal:
    return Terminal([str(SWARMCTL), "--context", f"{swarm.name}/{at}", *words], swarm.environment)


@pytest.mark.parametrize("host", ["m1", "m2", "m3"])
def test_streams_and_exit_code_from_every_manager(swarm: Swarm, host: str) -> None:
    make(swarm)
    task = swarm.tasks("web")[0].id
    script = "echo out; echo err >&2; cat; exit 7"
    done = swarm.ctl("task", "exec", task, "--", "sh", "-c", script, at=host, code=7)
    assert (done.out, done.err) == ("out\n", "err\n")
    swarm.ctl("task", "exec", task, "true", at=host)
    missing = swarm.ctl("task", "exec", task, "no-such-thing", at=host, code=127)
    assert "no-such-thing" in missing.err
    swarm.ctl("task", "exec", task, "/etc/passwd", at=host, code=126)


def test_options_of_the_command(swarm: Swarm) -> None:
    make(swarm, "--env", "A=one")
    flags = ("-u", "12:34", "-w", "/etc", "-e", "B=two words")
    script = "id -u; id -g; pwd; echo $A $B"
    done = swarm.ctl("service", "exec", *flags, "web", "sh", "-c", script)
    assert done.lines == ["12", "34", "/etc", "one two words"]
    refused = swarm.ctl("service", "exec", "-u", "nobody-here", "web", "true", code=1)
    assert "nobody-here" in refused.err


@pytest.mark.parametrize("host", ["m1", "m2"])
def test_some_mib_of_bytes_go_through_and_come_back(swarm: Swarm, host: str) -> None:
    make(swarm)
    given = os.urandom(5 << 20)
    assert piped(swarm, given, "service", "exec", "-i", "web", "--", "cat", at=host) == (
        0,
        given,
        b"",
    )


def test_service_exec_takes_the_lowest_slot_or_the_one_named(swarm: Swarm) -> None:
    make(swarm, replicas=3)
    ids = {task.name: task.id for task in swarm.tasks("web")}
    first = swarm.ctl("service", "exec", "web", "hostname")
    assert ids["web.1"].startswith(first.out.strip())
    assert "web.1" in first.err
    third = swarm.ctl("service", "exec", "web.3", "hostname")
    assert ids["web.3"].startswith(third.out.strip())
    assert third.err == ""
    assert "web.9" in swarm.ctl("service", "exec", "web.9", "true", code=1).err


@pytest.mark.parametrize("host", ["m1", "m2"])
def test_a_terminal(swarm: Swarm, host: str) -> None:
    make(swarm)
    with terminal_of(swarm, "service", "exec", "-it", "web", "sh", at=host) as terminal:
        terminal.until(b"# ")
        terminal.type(b"stty size; tty\n")
        terminal.until(b"24 80")
        terminal.until(b"/dev/pts/")
        terminal.resize(50, 132)
        terminal.type(b'until [ "$(stty size)" = "50 132" ]; do sleep 0.1; done; echo it"s so"\n')
        terminal.until(b"its so")
        terminal.type(b"sleep 1000\n")
        swarm.until(lambda: "sleep 1000" in processes(swarm), "it runs")
        terminal.type(b"\x03")
        terminal.until(b"^C")
        terminal.type(b"exit 9\n")
        assert terminal.ended() == 9
        assert terminal.is_as_before()
    refused = swarm.ctl("service", "exec", "-it", "web", "sh", code=2)
    assert "terminal" in refused.err


def test_signals_reach_a_command_without_a_terminal(swarm: Swarm) -> None:
    make(swarm)
    script = "trap 'echo caught; exit 3' INT; echo ready; while :; do sleep 0.05; done"
    with swarm.running("service", "exec", "web", "sh", "-c", script) as command:
        swarm.until(lambda: command.lines() == ["ready"], "it runs")
        command.interrupt()
        assert swarm.until(command.ended, "it ends") == 3
        assert command.lines() == ["ready", "caught"]


def test_when_the_client_dies_so_does_the_command(swarm: Swarm) -> None:
    make(swarm)
    for host in ("m1", "m2"):
        with swarm.running("service", "exec", "web", "sleep", "777", at=host):
            swarm.until(lambda: "sleep 777" in processes(swarm), "it runs")
        swarm.until(lambda: "sleep 777" not in processes(swarm), "it has ended")


def test_a_reader_that_stands_still_costs_no_memory_and_holds_nobody_up(swarm: Swarm) -> None:
    make(swarm)
    script = "head -c 300000000 /dev/zero"
    with swarm.running("service", "exec", "web", "sh", "-c", script, at="m2"):
        swarm.until(lambda: "head -c" in processes(swarm), "it runs")  # nobody reads its output
        swarm.until(lambda: _stands_still(swarm), "it is held back")
        assert set(swarm.nodes().values()) == {"Ready"}
        assert swarm.ctl("service", "exec", "web", "echo", "hello").out == "hello\n"
    for host in ("m1", "m2", "m3", "w1"):
        assert _resident(swarm, host) < 300 << 20


def _stands_still(swarm: Swarm) -> bool:
    script = "for s in 1 2; do awk '/wchar/ {print $2}' /proc/$(pidof head)/io; sleep 0.5; done"
    done = swarm.ctl("service", "exec", "web", "sh", "-c", script, code=None)
    return len(done.lines) == 2 and done.lines[0] == done.lines[1]


def _resident(swarm: Swarm, host: str) -> int:
    """Bytes of memory that a host's daemon holds."""
    group = swarm.host(host).paths.cgroup
    found = 0
    for pid in cgroups.processes(cgroup.detect(), group):
        with contextlib.suppress(OSError):
            if b"swarmd" in Path(f"/proc/{pid}/cmdline").read_bytes():
                pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
                found = max(found, pages * os.sysconf("SC_PAGESIZE"))
    assert found
    return found


def test_from_a_worker_with_a_certificate_only(swarm: Swarm) -> None:
    make(swarm)
    papers = swarm.host("m1").paths.directory.parent / "alice"  # every host of the lab sees it
    refused = swarm.ctl("service", "exec", "web", "true", at="w1", code=1)
    assert "Run the command on a manager" in refused.err
    swarm.ctl("swarm", "client-cert", "alice", "--out", str(papers))
    address = f"tcp://{swarm.host('m2').address}"
    remote = ("swarmctl", "-H", address, "--cert-path", str(papers))
    done = swarm.inside("w1", *remote, "service", "exec", "web", "echo", "hello")
    assert done.out == "hello\n"
    swarm.ctl("swarm", "client-cert", "--rm", "alice")


@pytest.mark.parametrize("how", ["cut", "pause", "kill"])
def test_a_node_that_dies_ends_the_session_and_refuses_the_next(swarm: Swarm, how: str) -> None:
    make(swarm)
    (task,) = swarm.tasks("web")
    with swarm.running("service", "exec", "web", "sh", "-c", "echo on; sleep 777") as command:
        swarm.until(lambda: command.lines() == ["on"], "it runs")
        swarm.lab(how, "w1")
        try:
            assert swarm.until(command.ended, "it ends", timeout=60) == UNREACHABLE
            assert b"w1" in command.err
            # By its id: of the service no task runs any more once the node is found down.
            done = swarm.ctl("task", "exec", task.id, "true", code=UNREACHABLE)
            assert "w1" in done.err
        finally:
            swarm.lab({"cut": "heal", "pause": "resume", "kill": "start"}[how], "w1")
    swarm.until_node("w1", "Ready", timeout=60)
    swarm.until_runs("web", 1, timeout=60)
    swarm.until(lambda: "sleep 777" not in processes(swarm), "nothing of it runs on")


def test_init_reaps_what_its_container_leaves_behind(swarm: Swarm) -> None:
    make(swarm, "--init")
    orphan = "sh -c 'sleep 0.1 & exit' & wait"
    swarm.ctl("service", "exec", "web", "sh", "-c", orphan)
    listed = swarm.ctl("service", "exec", "web", "ps", "-o", "pid,stat,args").lines
    first = next(line.split() for line in listed if line.split()[0] == "1")
    assert first[2] == "/sbin/docker-init"
    swarm.until(
        lambda: " Z" not in swarm.ctl("service", "exec", "web", "ps", "-o", "pid,stat,args").out,
        "no zombie is left",
    )
