"""The lab driver by itself: hosts, their power switch, their wires, and that nothing is left.

The daemon in these hosts is a small program (tests/support/lab_daemon.py), so that what fails
here is the lab.
"""

import asyncio
import contextlib
import os
import pty
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from hostkit import cgroup, netns, process
from machine.driver import Driver, Host, State
from machine.drivers.lab import cgroups, naming
from machine.drivers.lab.driver import LabDriver
from machine.drivers.lab.host import LabHost
from machine.drivers.lab.up import Shape, bring_up
from tests.support.ports import free_pair
from tests.support.until import until_true

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]
DAEMON = (sys.executable, "-I", "-S", str(ROOT / "tests/support/lab_daemon.py"), "{state}", "{run}")
NAME = f"t{os.getpid()}"
OTHER = f"u{os.getpid()}"
ECHO_TIMEOUT = 20.0


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    yield
    for name in (NAME, OTHER):
        if (naming.DEFAULT_BASE / name).exists():
            asyncio.run(LabDriver.open(name).down())
    assert traces(NAME) == []
    assert traces(OTHER) == []


def traces(lab: str) -> list[str]:
    """Whatever on this machine bears the name of a lab."""
    words = (f"swl-{lab}", f"lab-{lab}", f"/{lab}/")
    found = [str(path) for path in netns.DIRECTORY.glob(f"swl-{lab}*")]
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    found += [line for line in mounts if any(word in line for word in words)]
    for root in cgroup.detect().roots:
        found += [str(path) for path in root.glob(f"lab-{lab}*")]
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = line.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        found += [text for word in words if word in text]
    return found + [str(path) for path in naming.DEFAULT_BASE.glob(lab)]


def booting(lab: str) -> list[str]:
    """Processes that are about to boot a host of a lab: alone, they find that it is not wanted."""
    return [each for each in traces(lab) if "machine.drivers.lab.boot" in each]


def in_lab(
    *names: str, expose: str = ""
) -> Callable[[Callable[[LabDriver], Awaitable[None]]], Callable[[], None]]:
    """A test that is run within a fresh lab of those hosts, whose daemons listen."""

    def wrap(scenario: Callable[[LabDriver], Awaitable[None]]) -> Callable[[], None]:
        async def run() -> None:
            lab = LabDriver.make(NAME, daemon=DAEMON, expose=expose)
            try:
                for host in await lab.create_all(names):
                    await listening(host)
                await scenario(lab)
            finally:
                await lab.down()

        def test() -> None:
            asyncio.run(run())

        test.__name__ = scenario.__name__
        test.__doc__ = scenario.__doc__
        return test

    return wrap


async def listening(host: LabHost) -> None:
    await host.wait_for_socket(host.paths.swarm_socket)


async def is_cut_off(host: LabHost, target: str) -> bool:
    return not await _answers(host, target)


async def reaches(host: LabHost, target: str) -> bool:
    """Whether it gets there in the end: ARP asks but once a second, and may just have given up."""
    try:
        async with asyncio.timeout(ECHO_TIMEOUT):
            while not await _answers(host, target):
                pass
    except TimeoutError:
        return False
    return True


async def _answers(host: LabHost, target: str) -> bool:
    ping = ["busybox", "ping", "-c1", "-W1", target]
    return (await host.run(ping, check=False)).code == 0


def connect(host: LabHost, target: LabHost) -> socket.socket:
    """A connection to the target's daemon, from within a host's network."""
    address = (target.address, naming.SWARM_PORT)
    namespace = netns.path(host.paths.namespace)
    return netns.call_in(namespace, lambda: socket.create_connection(address, ECHO_TIMEOUT))


def nothing_came(connection: socket.socket) -> bool:
    """Neither data, nor an end, nor a reset."""
    connection.setblocking(False)
    try:
        connection.recv(1)
    except BlockingIOError:
        return True
    finally:
        connection.settimeout(ECHO_TIMEOUT)
    return False


def journal(host: LabHost) -> list[str]:
    return (host.paths.state / "journal").read_text().split()


@in_lab("m1", "w1", "w2")
async def test_hosts_have_their_own_names_processes_and_network(lab: LabDriver) -> None:
    driver: Driver = lab
    hosts: Sequence[Host] = driver.hosts()
    assert [await host.state() for host in hosts] == [State.RUNNING] * 3
    m1 = lab.host("m1")
    seen = await m1.run(["sh", "-c", "hostname; cat /etc/hostname /proc/1/comm; ls /sys/class/net"])
    assert seen.text.split() == ["m1", "m1", os.path.basename(sys.executable), "eth0", "lo"]
    with tempfile.NamedTemporaryFile(dir="/tmp") as outside:
        assert os.path.basename(outside.name) not in (await m1.run(["ls", "/tmp"])).text
    assert (await m1.run(["ls", "/run/netns"], check=False)).code != 0
    for source in lab.hosts():
        for target in ("m1", "w1", "w2"):
            assert await reaches(source, target), f"{source.name} cannot reach {target}"


@in_lab("m1")
async def test_crun_and_runc_find_cgroups_they_can_work_with(lab: LabDriver) -> None:
    host = lab.host("m1")
    mounts = (await host.run(["cat", "/proc/self/mounts"])).text.splitlines()
    kinds = [line.split()[2] for line in mounts if line.split()[2].startswith("cgroup")]
    assert kinds
    assert len(set(kinds)) == 1, "a hybrid layout is left"
    own = (await host.run(["cat", "/proc/self/cgroup"])).text
    assert f"{host.paths.cgroup}/init" in own


@in_lab("m1")
async def test_exec_passes_exit_codes_input_and_output(lab: LabDriver) -> None:
    command = [sys.executable, "-m", "swarmctl", "lab", "exec", "--name", NAME, "m1", "--"]
    script = 'read word; echo "$word from $(hostname)"; echo talk >&2; exit 7'
    done = await process.run(
        [*command, "sh", "-c", script], input=b"hello\n", timeout=30, check=False, cwd=ROOT
    )
    assert (done.code, done.out, done.err) == (7, b"hello from m1\n", b"talk\n")
    gone = await lab.host("m1").run(["no-such-program"], check=False)
    assert gone.code == 127


@in_lab("m1")
async def test_a_shell_at_a_terminal_ends_with_its_own_exit_code(lab: LabDriver) -> None:
    """On a pseudo-terminal: shells take the terminal at their start and return it at their end."""
    argv = [sys.executable, "-m", "swarmctl", "lab", "exec", "--name", NAME, "m1", "sh", "-i"]
    status, said = await asyncio.to_thread(at_terminal, argv, b"tty; hostname; exit 5\n")
    assert status == 5, said
    assert b"/dev/pts/" in said
    assert b"\nm1\r" in said


def at_terminal(argv: list[str], typed: bytes) -> tuple[int, bytes]:
    """Exit code and output of a command on a pseudo-terminal, at which somebody types."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        os.execv(argv[0], argv)  # noqa: S606 - an argument list
    said = b""
    os.write(terminal, typed)
    with contextlib.suppress(OSError):  # EIO: the other side is closed
        while data := os.read(terminal, 4096):
            said += data
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), said


@in_lab("m1", "w1", "w2")
async def test_cut_and_heal(lab: LabDriver) -> None:
    m1, w1 = lab.host("m1"), lab.host("w1")
    await w1.cut()
    assert await lab.links() == {"m1": True, "w1": False, "w2": True}
    assert await is_cut_off(m1, "w1")
    assert await is_cut_off(w1, "w2")
    assert await reaches(m1, "w2")
    await w1.heal()
    assert await reaches(m1, "w1")
    await w1.cut()
    await w1.kill()
    with pytest.raises(SwarmError, match="does not run"):
        await w1.cut()
    await w1.start()
    assert await reaches(m1, "w1"), "a started host has a whole link"


@in_lab("m1", "w1", "w2")
async def test_a_partition_parts_two_hosts_only_and_outlives_a_restart(lab: LabDriver) -> None:
    w1, w2 = lab.host("w1"), lab.host("w2")
    await lab.partition("w2", "w1")
    await lab.partition("w1", "w2")
    assert await lab.partitions() == [("w1", "w2")]
    assert await is_cut_off(w1, "w2")
    assert await is_cut_off(w2, "w1")
    assert await reaches(w1, "m1")
    assert await reaches(w2, "m1")
    await w1.kill()
    await w1.start()
    assert await is_cut_off(w1, "w2")
    await lab.heal("w1")
    assert await lab.partitions() == []
    assert await reaches(w1, "w2")


@in_lab("m1", "w1", "w2")
async def test_heal_of_a_pair_and_of_everything(lab: LabDriver) -> None:
    await lab.partition("m1", "w1")
    await lab.partition("m1", "w2")
    await lab.heal("m1", "w1")
    assert await lab.partitions() == [("m1", "w2")]
    await lab.host("w1").cut()
    await lab.heal()
    assert await lab.partitions() == []
    assert all((await lab.links()).values())


@in_lab("m1", "w1")
async def test_a_killed_host_says_nothing_to_its_peers(lab: LabDriver) -> None:
    m1, w1 = lab.host("m1"), lab.host("w1")
    with connect(m1, w1) as connection:
        connection.sendall(b"a")
        assert connection.recv(1) == b"a"
        await w1.kill()
        assert await w1.state() is State.STOPPED
        assert nothing_came(connection)
    assert "stopped" not in journal(w1)


@in_lab("m1", "w1")
async def test_a_killed_daemon_is_seen_by_its_peers_and_leaves_its_children(lab: LabDriver) -> None:
    m1, w1 = lab.host("m1"), lab.host("w1")
    child = (w1.paths.run / "child").read_text()
    with connect(m1, w1) as connection:
        connection.sendall(b"a")
        assert connection.recv(1) == b"a"
        ended = await w1.kill_daemon()
        assert (ended.pid, ended.code) == (None, -signal.SIGKILL)
        assert connection.recv(1) == b""
    assert (await w1.run(["cat", f"/proc/{child}/comm"])).text == "sleep"
    started = await w1.start_daemon()
    assert (started.pid is not None, started.starts) == (True, 2)
    await listening(w1)
    assert (await w1.run(["cat", f"/proc/{child}/comm"])).text == "sleep"
    assert journal(w1) == ["started", "started"]


@in_lab("m1")
async def test_a_stopped_host_had_time_to_end_and_starts_with_its_disk(lab: LabDriver) -> None:
    host = lab.host("m1")
    (host.paths.run / "leftover").touch()
    await host.stop()
    assert await host.state() is State.STOPPED
    await host.stop()
    await host.start()
    await host.start()
    await listening(host)
    assert journal(host) == ["started", "stopped", "started"]
    assert not (host.paths.run / "leftover").exists()
    assert (await host.daemon()).starts == 1


@in_lab("m1", "w1")
async def test_start_after_kill_cleans_what_dead_containers_left(lab: LabDriver) -> None:
    host = lab.host("w1")
    hierarchies = cgroup.detect()
    script = """\
        set -e
        cd "$1"; mkdir -p lower upper work merged
        mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work merged
        touch merged/file
        """
    await host.run(["sh", "-c", textwrap.dedent(script), "sh", str(host.paths.state)])
    groups = [root / host.paths.cgroup[1:] / "swarm/c1" for root in cgroups.roots(hierarchies)]
    for group in groups:
        group.mkdir(parents=True)
    await host.kill()
    assert not any(group.exists() for group in groups)
    await host.start()
    assert (host.paths.state / "upper/file").exists()
    assert str(host.paths.state) not in (await host.run(["cat", "/proc/self/mounts"])).text
    assert await reaches(host, "m1")


@in_lab("m1", "w1")
async def test_a_paused_host_is_silent_until_it_goes_on(lab: LabDriver) -> None:
    m1, w1 = lab.host("m1"), lab.host("w1")
    with connect(m1, w1) as connection:
        connection.sendall(b"a")
        assert connection.recv(1) == b"a"
        await w1.pause()
        assert await w1.state() is State.PAUSED
        connection.sendall(b"b")
        assert nothing_came(connection)
        with pytest.raises(SwarmError, match="is paused"):
            await w1.daemon()
        await w1.resume()
        assert connection.recv(1) == b"b"
    await w1.pause()
    await w1.kill()
    assert await w1.state() is State.STOPPED


@in_lab("m1", "w1")
async def test_hosts_come_and_go(lab: LabDriver) -> None:
    fresh = await lab.create("w2")
    assert await reaches(fresh, "w1")
    assert await reaches(lab.host("w1"), "w2"), "older hosts must learn the new name"
    await lab.partition("w1", "w2")
    await lab.remove("w2")
    assert [host.name for host in lab.hosts()] == ["m1", "w1"]
    assert not fresh.paths.directory.exists()
    assert await lab.partitions() == []
    with pytest.raises(SwarmError, match="has no host w2"):
        lab.host("w2")


PORT = free_pair()
"""None of those that the kernel gives to others until the test has its turn."""


@in_lab("m1", "w1", expose=f"127.0.0.1:{PORT}")
async def test_the_first_manager_is_reachable_from_outside(lab: LabDriver) -> None:
    await lab.start_forwarder()
    await lab.start_forwarder()
    with socket.create_connection(("127.0.0.1", PORT), ECHO_TIMEOUT) as connection:
        connection.sendall(b"from outside")
        connection.shutdown(socket.SHUT_WR)
        assert connection.makefile("rb").read() == b"from outside"


def test_two_labs_at_once_do_not_meet() -> None:
    async def scenario() -> None:
        first = LabDriver.make(NAME, daemon=DAEMON)
        second = LabDriver.make(OTHER, daemon=DAEMON)
        m1 = await first.create("m1")
        other = await second.create("m1")
        assert m1.address != other.address
        assert await is_cut_off(m1, other.address)
        await first.down()
        assert traces(NAME) == []
        assert await other.state() is State.RUNNING
        assert await reaches(other, "m1")

    asyncio.run(scenario())


CRASHES = (
    ("machine.drivers.lab.record", "save", 1),
    ("machine.drivers.lab.record", "save", 2),
    ("machine.drivers.lab.network", "make_bridge", 1),
    ("hostkit.netns", "create", 1),
    ("hostkit.netns", "create", 2),
    ("machine.drivers.lab.cgroups", "make", 1),
    ("machine.drivers.lab.network", "plug", 1),
    ("hostkit.process", "run", 1),
)


@pytest.mark.parametrize(("module", "function", "call"), CRASHES)
def test_what_a_crash_left_can_be_taken_down_or_gone_on_with(
    module: str, function: str, call: int
) -> None:
    """The tool is killed right after the given call of one of the steps that make a lab."""
    script = f"""
        import asyncio, importlib, inspect, os, signal
        from machine.drivers.lab.up import Shape, bring_up
        module = importlib.import_module({module!r})
        step, calls = module.{function}, []

        def crash():
            calls.append(1)
            if len(calls) == {call}:
                os.kill(os.getpid(), signal.SIGKILL)

        def call(*arguments, **named):
            result = step(*arguments, **named)
            crash()
            return result

        async def call_async(*arguments, **named):
            result = await step(*arguments, **named)
            crash()
            return result

        module.{function} = call_async if inspect.iscoroutinefunction(step) else call
        asyncio.run(bring_up({NAME!r}, Shape(1, 1, False), daemon={DAEMON!r}, form=False))
    """
    for finish in (_down, _go_on):
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script)], check=False, cwd=ROOT, timeout=60
        )
        assert done.returncode == -signal.SIGKILL
        assert (naming.DEFAULT_BASE / NAME / "lab.json").exists()
        asyncio.run(finish())
        until_true(
            lambda: not booting(NAME), "what the one that was killed had begun ends by itself"
        )
        assert traces(NAME) == []


async def _down() -> None:
    await LabDriver.open(NAME).down()


async def _go_on() -> None:
    lab, _ = await bring_up(NAME, Shape(1, 1, False), daemon=DAEMON, form=False)
    assert await reaches(lab.host("m1"), "w1")
    await lab.host("w1").kill_daemon()
    lab, ran = await bring_up(NAME, Shape(1, 1, False), daemon=DAEMON, form=False)
    assert ran
    assert (await lab.host("w1").daemon()).pid is not None
    with pytest.raises(SwarmError) as refused:
        await bring_up(NAME, Shape(1, 2, False), daemon=DAEMON, form=False)
    assert refused.value.code is Code.EXISTS
    await lab.down()


def test_a_daemon_that_cannot_start_is_told_with_the_reason() -> None:
    async def scenario() -> None:
        missing = LabDriver.make(NAME, daemon=["/no/such/daemon"])
        with pytest.raises(SwarmError, match="/no/such/daemon: No such file"):
            await missing.create("m1")
        await missing.down()
        ending = LabDriver.make(NAME, daemon=["/bin/sh", "-c", "echo my last words; exit 3"])
        host = await ending.create("m1")
        with pytest.raises(SwarmError, match="my last words"):
            await listening(host)
        assert (await host.daemon()).code == 3
        await ending.down()

    asyncio.run(scenario())


@pytest.mark.skipif(shutil.which("docker-registry") is None, reason="needs docker-registry")
def test_the_registry_answers_every_host_by_name() -> None:
    async def scenario() -> None:
        lab, _ = await bring_up(NAME, Shape(1, 1, True), daemon=DAEMON, form=False)
        for name in ("m1", "w1"):
            fetch = (
                "import urllib.request as u; print(u.urlopen('http://registry:5000/v2/').read())"
            )
            answer = await lab.host(name).run([sys.executable, "-c", fetch])
            assert answer.text == "b'{}'"
        await lab.down()

    asyncio.run(scenario())
