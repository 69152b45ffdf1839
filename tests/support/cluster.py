"""A swarm of lab hosts as its operator sees it: through `swarmctl`, and by what really runs.

Every command is the program itself in a process of its own (prepared_program.py). What runs is
asked of the kernel, not of the swarm: the containers of a host are the children of its monitors.
"""

import asyncio
import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from hostkit import cgroup
from machine.drivers.lab import cgroups, command, naming
from machine.drivers.lab.driver import LabDriver
from machine.drivers.lab.host import LabHost
from tests.support.prepared_program import forked_program

T = TypeVar("T")

ROOT = Path(__file__).parents[2]
SWARMCTL = Path(sys.executable).with_name("swarmctl")
TOOLS = "registry:5000/demo/tools:1"
STEP = 0.1
TAIL = 15
OBEDIENT = "trap 'exit 0' TERM; while :; do sleep 0.05; done"
"""A script that runs until it is asked to stop, and then stops at once."""


@dataclasses.dataclass(frozen=True)
class Done:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


@dataclasses.dataclass(frozen=True)
class Task:
    """A row of `service ps`."""

    id: str
    name: str
    image: str
    node: str
    desired: str
    state: str
    error: str

    @property
    def runs(self) -> bool:
        return (self.desired, self.state) == ("Running", "Running")


@dataclasses.dataclass(frozen=True)
class Container:
    """A process that is the first of a container. `pid` is the one out here."""

    host: str
    task_id: str
    name: str  # SERVICE.SLOT
    pid: int


class Swarm:
    """A lab, its contexts, and the commands that its operator types."""

    def __init__(self, name: str, config: Path, shape: Sequence[str] = ()) -> None:
        self.name = name
        self.shape = shape
        self.was_mended = False
        self.environment = {
            **{key: text for key, text in os.environ.items() if not key.startswith("SWARM")},
            "XDG_CONFIG_HOME": str(config),
            "SWARM_LAB": name,
            "COLUMNS": "200",
        }

    def ctl(self, *words: str, at: str = "m1", code: int | None = 0, timeout: float = 60) -> Done:
        """`swarmctl WORDS` against the daemon of a host; its exit code must be `code`, if given."""
        return self.program("--context", f"{self.name}/{at}", *words, code=code, timeout=timeout)

    def program(self, *words: str, code: int | None = 0, timeout: float = 60) -> Done:
        """`swarmctl WORDS`, and nothing else."""
        ended = forked_program().run(words, self.environment, timeout)
        done = Done(ended.returncode, ended.stdout, ended.stderr)
        if code is not None and done.code != code:
            raise AssertionError(
                f"swarmctl {' '.join(words)}\nended with {done.code} instead of {code}\n"
                f"{done.out}{done.err}"
            )
        return done

    @contextlib.contextmanager
    def running(self, *words: str, at: str = "m1") -> Iterator["Running"]:
        """`swarmctl WORDS` in the background; killed at the end if it still runs."""
        # Whoever runs the tests in the background ignores Ctrl-C, and so would what they start.
        argv = ["env", "--default-signal=INT", str(SWARMCTL)]
        argv += ["--context", f"{self.name}/{at}", *words]
        with Running(argv, self.environment) as running:
            yield running

    def create(self, name: str, *words: str, replicas: int = 1, at: str = "m1") -> str:
        """Creates a service and waits until its tasks run; its id. WORDS: flags, image, command."""
        flags = ("--detach", "--name", name, "--replicas", str(replicas))
        made = self.ctl("service", "create", *flags, *words, at=at)
        self.until_runs(name, replicas)
        return made.out.strip()

    def until_runs(self, name: str, replicas: int, *, timeout: float = 30) -> list[Task]:
        """The tasks of a service, once so many run and nobody else is meant to.

        The swarm says so, and the kernel too: what is known of a host that is lost is of before,
        and a container that was started may still be the runtime's process for a moment.
        """

        def all_run() -> list[Task]:
            wanted = [task for task in self.tasks(name) if task.desired in ("Running", "Ready")]
            if len(wanted) != replicas or not all(task.runs for task in wanted):
                return []
            started = {each.task_id for each in self.containers()}
            return wanted if {task.id for task in wanted} <= started else []

        if replicas == 0:
            self.until(lambda: not self.on(name), f"nothing of {name} runs", timeout=timeout)
            return []
        return self.until(all_run, f"{replicas} tasks of {name} run", timeout=timeout)

    def tasks(self, service: str, *words: str, at: str = "m1") -> list[Task]:
        """Every task that `service ps` shows, by slot, newest first."""
        listing = self.ctl(
            "service", "ps", "--no-trunc", "--format", "json", *words, service, at=at
        ).lines
        rows = [json.loads(line) for line in listing]
        return [
            Task(
                row["ID"],
                row["Name"].replace(" \\_ ", ""),
                row["Image"],
                row["Node"],
                row["DesiredState"],
                row["CurrentState"].split()[0],
                row["Error"].strip('"'),
            )
            for row in rows
        ]

    def nodes(self, at: str = "m1") -> dict[str, str]:
        """The state of each node, by host."""
        form = "{{.Hostname}} {{.Status}}"
        pairs = [line.split(" ") for line in self.ctl("node", "ls", "--format", form, at=at).lines]
        # One that has just joined has told no name yet.
        return {host: status for host, status in pairs if host}

    def until_node(self, host: str, state: str, *, timeout: float = 30) -> None:
        """Until a node is in a state, as `node ls` says it."""
        self.until(lambda: self.nodes().get(host) == state, f"{host} is {state}", timeout=timeout)

    def logs(self, *words: str, at: str = "m1") -> list[str]:
        """What `service logs --raw` prints on its standard output."""
        return self.ctl("service", "logs", "--raw", *words, at=at).lines

    def host(self, name: str) -> LabHost:
        """The lab host itself."""
        return LabDriver.open(self.name).host(name)

    def hosts(self) -> list[str]:
        """Every host but the registry."""
        names = [host.name for host in LabDriver.open(self.name).hosts()]
        return [name for name in names if name != naming.REGISTRY]

    def lab(self, verb: str, *words: str) -> Done:
        """`swarmctl lab VERB WORDS`."""
        return self.program("lab", verb, *words)

    def inside(self, host: str, *argv: str, code: int | None = 0) -> Done:
        """Runs a command in a host."""
        return self.program("lab", "exec", host, "--", *argv, code=code)

    def kill_daemon(self, host: str) -> None:
        """kill -9 of swarmd, and nothing else."""
        self.lab("daemon", host, "kill")

    def start_daemon(self, host: str) -> None:
        """Starts swarmd; returns when it answers."""
        self.lab("daemon", host, "start")
        target = self.host(host)
        asyncio.run(target.wait_for_socket(target.paths.swarm_socket))

    def containers(self, *hosts: str) -> list[Container]:
        """What runs on some hosts, or on all; started processes only."""
        found = []
        for name in hosts or self.hosts():
            group = naming.HostPaths(naming.DEFAULT_BASE, self.name, name).cgroup
            found += [
                Container(name, task_id, task, pid)
                for task_id, task, pid in _containers(cgroups.processes(cgroup.detect(), group))
            ]
        return sorted(found, key=lambda each: (each.name, each.host, each.pid))

    def on(self, service: str, *hosts: str) -> list[Container]:
        """The containers of one service."""
        return [c for c in self.containers(*hosts) if c.name.rpartition(".")[0] == service]

    def doubled(self) -> list[str]:
        """Slots of which more than one container runs."""
        counts = Counter(each.name for each in self.containers())
        return [name for name, count in counts.items() if count > 1]

    def until(self, condition: Callable[[], T], what: str, *, timeout: float = 30) -> T:
        """The condition's value once it is true; says what was waited for if it never is."""
        deadline = time.monotonic() + timeout
        while not (found := condition()):
            if time.monotonic() >= deadline:
                raise AssertionError(f"not within {timeout:g} s: {what}; at the end: {found!r}")
            time.sleep(STEP)
        return found

    def clear(self) -> None:
        """Removes every service and waits until no container is left."""
        if names := self.ctl("service", "ls", "-q").lines:
            self.ctl("service", "rm", *names)
        self.until(lambda: not self.containers(), "every container is gone")

    def mend(self) -> None:
        """Whatever a failed test left: links whole, hosts and daemons up."""
        self.was_mended = True
        self.program("lab", "heal", code=None)
        self.program("lab", "up", *self.shape, code=None, timeout=100)

    def picture(self) -> str:
        """What an operator would look at if something went wrong."""
        context = ("--context", f"{self.name}/m1", "--timeout", "3s")
        services = self.program(*context, "service", "ls", "-q", code=None).lines
        commands: list[tuple[str, ...]] = [("node", "ls"), ("service", "ls")]
        commands += [("service", "ps", "--no-trunc", *services)] if services else []
        parts = []
        for words in commands:
            done = self.program(*context, *words, code=None)
            parts.append(f"$ swarmctl {' '.join(words)}\n{done.out}{done.err}")
        parts.append("Containers:\n" + "".join(f"{each}\n" for each in self.containers()))
        for host in self.hosts():
            log = self.host(host).paths.daemon_log
            lines = log.read_text(errors="replace").splitlines() if log.exists() else []
            parts.append("\n".join([f"The end of {log}:", *lines[-TAIL:]]))
        return "\n".join(parts)


class Running:
    """A command that runs in the background, and what it has said so far."""

    def __init__(self, argv: list[str], environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
        )
        self.out, self.err = b"", b""
        for stream in (self._process.stdout, self._process.stderr):
            assert stream is not None
            os.set_blocking(stream.fileno(), False)

    def __enter__(self) -> "Running":
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()

    def interrupt(self) -> None:
        """Ctrl-C."""
        self._process.send_signal(2)

    def ended(self) -> int | None:
        """Its exit code, once it has ended; `out` and `err` are all that it said then."""
        code = self._process.poll()
        self.read()
        return code

    def lines(self) -> list[str]:
        """Whole lines of its standard output so far."""
        self.read()
        return self.out.decode(errors="replace").split("\n")[:-1]

    def read(self) -> None:
        """Takes what it has said meanwhile."""
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self.out += self._process.stdout.read() or b""
        self.err += self._process.stderr.read() or b""


@contextlib.contextmanager
def a_swarm(
    config: Path,
    *,
    managers: int = 1,
    workers: int = 2,
    heartbeat: float = 5.0,
    name: str = "",
    up_only: bool = False,
    registry: bool = True,
    disk: int = 0,
    daemon: Sequence[str] = (),
    around: Sequence[str] = (),
) -> Iterator[Swarm]:
    """A fresh lab of managers, workers and a registry; taken down whatever happens.

    `disk`: MiB of the disk that each host gets of its own; 0: none does. `daemon`: further flags of
    swarmd, `around`: the words before it.
    """
    shape = ["--managers", str(managers), "--workers", str(workers)]
    shape += ["--heartbeat", str(heartbeat)]
    shape += ["--disk", str(disk)] if disk else []
    shape += ["--up-only"] if up_only else []
    shape += [] if registry and not up_only else ["--no-registry"]
    swarm = Swarm(name or f"c{os.getpid()}", config, shape)
    try:
        if daemon or around:
            template = (*around, *command.swarmd(SWARMCTL.parent, daemon))
            LabDriver.make(swarm.name, daemon=template, disk=disk)
        swarm.program("lab", "up", *shape, timeout=180)
        yield swarm
    finally:
        if (naming.DEFAULT_BASE / swarm.name).exists():
            asyncio.run(LabDriver.open(swarm.name).down())


def _containers(pids: set[int]) -> Iterator[tuple[str, str, int]]:
    """(task id, SERVICE.SLOT, pid) of the containers among the processes of a host."""
    monitors: dict[int, list[str]] = {}
    parents: dict[int, int] = {}
    for pid in pids:
        with contextlib.suppress(OSError):  # it ended meanwhile
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
            status = Path(f"/proc/{pid}/stat").read_text(errors="replace")
            command, _, fields = status.partition("(")[2].rpartition(")")
            if words[0].endswith("/conmon") and "-c" in words:
                monitors[pid] = words
            # A process that is still the runtime's has not been started.
            elif fields.split()[0] != "Z" and command not in ("crun", "runc", "runc:[2:INIT]"):
                parents[pid] = int(fields.split()[1])
    for pid, parent in parents.items():
        if words := monitors.get(parent, []):
            task_id, name = (words[words.index(flag) + 1] for flag in ("-c", "-n"))
            yield task_id, name.rpartition(".")[0], pid
