"""Users who are not root, on a host where sudo and PAM are real."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from machine.ssh.remote import SshRemote
from machine.ssh.transport import Patience
from machine.target import Target
from tests.support.ssh_clients import Answers, Client
from tests.support.ssh_server import SshServer
from tests.support.sudo_host import PASSWORD, sudo_host

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with sudo_host(tmp_path_factory.mktemp("host")) as server:
        yield server


def client(host: SshServer, tmp_path: Path, answers: Answers) -> Client:
    made = Client(tmp_path, questions=answers, patience=Patience())
    (tmp_path / "key").write_bytes(host.key)
    return made


def target(host: SshServer, user: str) -> Target:
    return Target(host.address, user, host.port, "key", agent=False)


@pytest.mark.parametrize("user", ["asked", "free"])
def test_everything_is_done_as_root(host: SshServer, tmp_path: Path, user: str) -> None:
    answers = Answers(password=PASSWORD)

    async def use(remote: SshRemote) -> None:
        path = tmp_path / "folder" / "file"
        source = tmp_path / "source"
        source.write_bytes(os.urandom(1 << 20))
        done = await remote.run(["sh", "-c", "id -u; cat"], stdin=b"in\0put", timeout=30)
        assert (done.code, done.out, done.err) == (0, b"0\nin\0put", b"")
        await remote.write(str(path), b"secret", mode=0o600)
        assert (path.read_bytes(), path.owner()) == (b"secret", "root")
        assert await remote.read(str(path)) == b"secret"
        await remote.upload(source, str(path), mode=0o644)
        assert path.read_bytes() == source.read_bytes()
        assert (await remote.run(["sh", "-c", "exit 1"], timeout=30)).code == 1
        with pytest.raises(SwarmError) as failed:
            await remote.run(["sleep", "60"], timeout=1)
        assert failed.value.code is Code.DEADLINE

    client(host, tmp_path, answers).use(target(host, user), use)
    assert answers.asked == (["asked of h1"] if user == "asked" else [])


@pytest.mark.parametrize(
    ("user", "password", "why", "remedy"),
    [
        ("asked", "wrong", "the password of asked was wrong", "give the password"),
        ("asked", None, "sudo asks asked for a password, and there is none", "NOPASSWD"),
        ("barred", PASSWORD, "barred may not use sudo there", "adduser barred sudo"),
        ("terminal", PASSWORD, "sudo there wants a terminal", "requiretty"),
    ],
)
def test_why_there_are_no_rights_is_told_apart(
    host: SshServer, tmp_path: Path, user: str, password: str | None, why: str, remedy: str
) -> None:
    with pytest.raises(SwarmError) as failed:
        client(host, tmp_path, Answers(password=password)).try_out(target(host, user))
    assert failed.value.code is Code.DENIED
    assert failed.value.why == why
    assert remedy in failed.value.remedy
    assert PASSWORD not in str(failed.value)


def test_a_password_that_was_right_is_asked_for_once(host: SshServer, tmp_path: Path) -> None:
    answers = Answers(password=PASSWORD)
    operator = client(host, tmp_path, answers)
    operator.try_out(target(host, "asked"))
    operator.try_out(target(host, "asked"))
    assert answers.asked == ["asked of h1"]


def test_a_password_that_is_right_no_more_is_asked_for_again(
    host: SshServer, tmp_path: Path
) -> None:
    answers = Answers(password=PASSWORD)
    operator = client(host, tmp_path, answers)
    operator.around.keyring.keep_password("h1", "asked", "the former one")
    with pytest.raises(SwarmError, match="the password of asked was wrong"):
        operator.try_out(target(host, "asked"))
    assert answers.asked == []
    operator.try_out(target(host, "asked"))
    assert answers.asked == ["asked of h1"]


def test_the_password_is_in_no_command_line(host: SshServer, tmp_path: Path) -> None:
    async def use(remote: SshRemote) -> None:
        done = await remote.run(["sh", "-c", "cat /proc/[0-9]*/cmdline"], timeout=30, limit=1 << 22)
        assert b"sudo" in done.out
        assert PASSWORD.encode() not in done.out

    client(host, tmp_path, Answers(password=PASSWORD)).use(target(host, "asked"), use)
