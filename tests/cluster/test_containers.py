"""What flags promise is seen from inside the containers, by what they write."""

import json
import time

import pytest

from tests.support.cluster import TOOLS, Swarm

pytestmark = pytest.mark.cluster

ONCE = ("--restart-condition", "none")


def _run_once(swarm: Swarm, name: str, *words: str) -> None:
    """Starts a service whose task runs once."""
    swarm.ctl("service", "create", "--detach", "--name", name, *ONCE, *words)


def _end_of(swarm: Swarm, name: str) -> tuple[str, str]:
    """State and error of a task that runs once."""
    ends = ("Complete", "Failed", "Rejected")

    def ended() -> list[tuple[str, str]]:
        return [(task.state, task.error) for task in swarm.tasks(name) if task.state in ends]

    (end,) = swarm.until(ended, f"the task of {name} ends")
    return end


def _cgroup(new: str, old: str) -> str:
    """Reads a limit in either version of control groups."""
    return f"cat /sys/fs/cgroup/{new} 2>/dev/null || cat /sys/fs/cgroup/{old}"


CASES = {
    "env": (["--env", "COLOUR=red", "--env", "EMPTY="], "echo $COLOUR,${EMPTY-unset}", "red,"),
    "user": (["--user", "1234:4321"], "echo $(id -u):$(id -g)", "1234:4321"),
    "user-name": (["--user", "nobody"], "id -u", "65534"),
    "groups": (["--user", "1234", "--group", "77"], "id -G", "0 77"),
    "workdir": (["--workdir", "/etc"], "pwd", "/etc"),
    "hostname": (["--hostname", "box"], "hostname", "box"),
    "hosts": (["--host", "db:10.1.2.3"], "grep -w db /etc/hosts", "10.1.2.3 db"),
    "dns": (["--dns", "10.9.8.7"], "grep nameserver /etc/resolv.conf", "nameserver 10.9.8.7"),
    "tmpfs": (
        ["--mount", "type=tmpfs,target=/scratch,tmpfs-size=1m"],
        "dd if=/dev/zero of=/scratch/x bs=64k 2>/dev/null; wc -c </scratch/x",
        str(1 << 20),
    ),
    "bind": (
        ["--mount", "type=bind,source=/etc,target=/host", "--hostname", "box"],
        "grep -c . /host/hostname",
        "1",
    ),
    "bind-read-only": (
        ["--mount", "type=bind,source=/etc,target=/host,readonly"],
        "touch /host/x || echo refused",
        "touch: /host/x: Read-only file system refused",
    ),
    "read-only": (
        ["--read-only"],
        "touch /x || echo refused",
        "touch: /x: Read-only file system refused",
    ),
    "pids": (["--limit-pids", "20"], _cgroup("pids.max", "pids/pids.max"), "20"),
    "memory": (
        ["--limit-memory", "32m"],
        _cgroup("memory.max", "memory/memory.limit_in_bytes"),
        str(32 << 20),
    ),
    "cpu": (["--limit-cpu", "0.5"], _cgroup("cpu.max", "cpu/cpu.cfs_quota_us"), "50000"),
    "ulimit": (["--ulimit", "nofile=123:456"], "ulimit -n; ulimit -Hn", "123 456"),
    "sysctl": (["--sysctl", "net.ipv4.ip_forward=1"], "cat /proc/sys/net/ipv4/ip_forward", "1"),
    "entrypoint": (["--entrypoint", "echo before"], "true", "before sh -c { true; } 2>&1"),
    "network": ([], "ls /sys/class/net", "lo"),
    "capabilities": (
        ["--cap-drop", "ALL"],
        "grep CapEff /proc/self/status",
        "CapEff: 0000000000000000",
    ),
}
"""Flags, a script, and what it says."""


def test_containers_get_what_the_flags_say(swarm: Swarm) -> None:
    for name, (flags, script, _) in CASES.items():
        _run_once(swarm, name, *flags, TOOLS, "sh", "-c", f"{{ {script}; }} 2>&1")
    wrong = []
    for name, (_, _, expected) in CASES.items():
        end = _end_of(swarm, name)
        said = " ".join(" ".join(swarm.logs(name)).split())
        # Version 2 writes the period behind the quota.
        if end != ("Complete", "") or said not in (expected, f"{expected} 100000"):
            wrong.append(f"{name}: {said!r} instead of {expected!r}, {end}")
    assert wrong == []


def test_a_container_that_needs_too_much_memory_is_killed_and_service_ps_says_so(
    swarm: Swarm,
) -> None:
    glutton = "x=0123456789abcdef; while :; do x=$x$x; done"
    _run_once(swarm, "glutton", "--limit-memory", "16m", TOOLS, "sh", "-c", glutton)
    assert _end_of(swarm, "glutton") == ("Failed", "task: non-zero exit (137): out of memory")
    assert all(state == "Ready" for state in swarm.nodes().values())


def test_a_task_is_asked_with_its_stop_signal_and_killed_after_its_grace_period(
    swarm: Swarm,
) -> None:
    script = "trap 'echo USR1' USR1; trap 'echo TERM' TERM; echo up; while :; do sleep 0.05; done"
    flags = ("--stop-signal", "SIGUSR1", "--stop-grace-period", "5s")
    swarm.create("deaf", *flags, TOOLS, "sh", "-c", script)
    swarm.until(lambda: swarm.logs("deaf") == ["up"], "it is up")
    (task,) = swarm.tasks("deaf")
    asked = time.monotonic()
    swarm.ctl("service", "update", "--detach", "--env-add", "NEXT=1", "deaf")
    swarm.until(lambda: task.id not in {c.task_id for c in swarm.on("deaf")}, "it was killed")
    assert time.monotonic() - asked >= 5, "it had its time"

    def code() -> int:
        (found,) = json.loads(swarm.ctl("task", "inspect", task.id).out)
        return int(found["Status"].get("Container", {}).get("ExitCode", 0))

    swarm.until(lambda: code() == 137, "its exit code is that of SIGKILL")
    assert swarm.logs(task.id) == ["up", "USR1"]


def test_an_image_of_one_layer_serves_many_containers_that_do_not_see_each_other(
    swarm: Swarm,
) -> None:
    # In one piece: a line of which but the beginning was written is a line to who reads it then.
    script = "hostname >/mine; sleep 1; echo $(ls /) $(cat /mine); sleep 100"
    swarm.create("many", "--stop-grace-period", "0s", TOOLS, "sh", "-c", script, replicas=4)
    swarm.until(lambda: len(swarm.logs("many")) == 4, "all four have written")
    assert len({line.split()[-1] for line in swarm.logs("many")}) == 4
