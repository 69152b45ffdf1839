"""OpenSSH's own programs, over what they are told: real ones, to a real server on loopback."""

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from machine.ssh import copying, terminal
from machine.ssh.connection import Circumstances
from machine.ssh.host_keys import HostKey, KnownHosts
from machine.ssh.keys import Keyring
from machine.ssh.questions import NoAnswers
from machine.target import Target
from tests.support.ssh_server import SshServer, ssh_server

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with ssh_server(tmp_path_factory.mktemp("ssh")) as running:
        yield running


def machine(server: SshServer, tmp_path: Path, name: str, **more: object) -> terminal.Acquaintance:
    folder = tmp_path / f'odd "50%" {name}'
    folder.mkdir()
    (folder / "key").write_bytes(server.key)
    (folder / "key").chmod(0o600)
    around = Circumstances(
        KnownHosts(tmp_path / "known %h hosts"), Keyring(NoAnswers()), folder=folder
    )
    target = Target(server.address, "root", server.port, "key", **more)  # type: ignore[arg-type]
    return terminal.Acquaintance(name, target, around)


def ran(machines: list[terminal.Acquaintance], *argvs: list[str]) -> list[int]:
    async def whole() -> list[int]:
        async with terminal.configured(machines, lookup=lambda _: {}) as config:
            filled = [[word.replace("CONFIG", str(config)) for word in argv] for argv in argvs]
            return [await terminal.run(argv) for argv in filled]

    return asyncio.run(whole())


CONFIG = Path("CONFIG")


def test_the_exit_status_of_a_command_comes_back(server: SshServer, tmp_path: Path) -> None:
    first = machine(server, tmp_path, "h1")
    command = terminal.ssh(CONFIG, "h1", ["exit", "9"])
    assert ran([first], command) == [9]


def test_a_jump_host_is_met_with_the_same_pinned_keys(server: SshServer, tmp_path: Path) -> None:
    jump = f"root@localhost:{server.port}"
    first = machine(server, tmp_path, "h1", jump=(jump,))
    made = tmp_path / "made"
    assert ran([first], terminal.ssh(CONFIG, "h1", ["touch", str(made)])) == [0]
    assert made.exists()


def test_a_changed_key_is_refused(server: SshServer, tmp_path: Path) -> None:
    first = machine(server, tmp_path, "h1")
    wrong = HostKey(f"[{server.address}]:{server.port}", "ssh-ed25519", _other_key())
    first.around.known.replace(wrong)
    assert ran([first], terminal.ssh(CONFIG, "h1", ["true"])) == [255]


def _other_key() -> bytes:
    kind = b"ssh-ed25519"
    return len(kind).to_bytes(4) + kind + (32).to_bytes(4) + os.urandom(32)


def test_files_are_copied_in_all_directions(server: SshServer, tmp_path: Path) -> None:
    both = [machine(server, tmp_path, "h1"), machine(server, tmp_path, "h2")]
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a:b").write_text("content")

    def copy(source: str, goal: str, *, delta: bool = False) -> list[str]:
        ends = [copying.end(source)], copying.end(goal)
        return copying.command(CONFIG, *ends, recursive=True, quiet=True, delta=delta)

    names = ("there", "third", "back", "delta")
    there, third, back, delta = (str(tmp_path / name) for name in names)
    commands = [
        copy(str(folder), f"h1:{there}"),
        copy(f"h1:{there}", f"root@h2:{third}"),
        copy(f"h2:{third}", back),
        copy(f"{folder}/", f"h1:{delta}", delta=True),
    ]
    assert ran(both, *commands) == [0, 0, 0, 0]
    assert (Path(delta) / "a:b").read_text() == "content"
    assert (Path(back) / "a:b").read_text() == "content"


def test_a_program_of_the_terminal_sees_it_and_a_missing_one_is_named(
    server: SshServer, tmp_path: Path
) -> None:
    async def missing() -> None:
        await terminal.run(["no-such-program"])

    with pytest.raises(SwarmError) as failed:
        asyncio.run(missing())
    assert failed.value.code is Code.UNSUPPORTED
    script = "import os, signal; os.kill(os.getpid(), signal.SIGTERM)"
    assert asyncio.run(terminal.run([sys.executable, "-c", script])) == 143
