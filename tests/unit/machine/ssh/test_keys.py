"""Which keys are offered, in which order, and whom they are asked from: real keys, a real agent."""

import asyncio
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import paramiko
import pytest

from api.errors import Code, SwarmError
from machine.ssh.keys import Agent, Keyring, agent_of, candidates
from machine.ssh.questions import Asker
from machine.ssh.route import Hop
from machine.ssh.transport import Patience
from machine.target import Target
from tests.support.ssh_clients import Answers, Client
from tests.support.ssh_server import ssh_server
from tests.support.until import until_true

pytestmark = pytest.mark.root  # with OpenSSH's programs

KINDS = [("ed25519", ""), ("ecdsa", ""), ("rsa", "RFC4716"), ("rsa", "PEM"), ("rsa", "PKCS8")]


def made(path: Path, passphrase: str = "", kind: str = "ed25519", form: str = "") -> Path:
    form_words = ["-m", form] if form else []
    bits = ["-b", "2048"] if kind == "rsa" else []
    words = ["-q", "-t", kind, *bits, *form_words, "-a", "1", "-C", path.name, "-f", str(path)]
    subprocess.run(["ssh-keygen", *words, "-N", passphrase], check=True, timeout=60)
    return path


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    path = Path("/tmp") / f"agent-{os.getpid()}"
    path.unlink(missing_ok=True)
    process = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
    monkeypatch.setenv("HOME", str(tmp_path))
    try:
        until_true(lambda: listens(path), "the agent listens")
        yield path
    finally:
        process.kill()
        process.wait()
        path.unlink(missing_ok=True)


def listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as made:
        return made.connect_ex(str(path)) == 0


def load(path: Path) -> None:
    words = ["ssh-add", "-q", str(path)]
    subprocess.run(words, check=True, timeout=20)


def asked(keyring: Keyring, path: Path) -> paramiko.PKey | None:
    return asyncio.run(keyring.asked(path))


def offered(hop: Hop, folder: Path, answers: Answers | None = None) -> list[str]:
    keyring = Keyring(answers or Answers())

    async def whole() -> list[str]:
        asker = Asker(asyncio.get_running_loop(), lambda: False)
        return await asyncio.to_thread(named, asker)

    def named(asker: Asker) -> list[str]:
        agent = agent_of(hop)
        names = []
        try:
            for each in candidates(hop, folder, keyring, agent, asker):
                assert each.key is None or each.key.sign_ssh_data(b"word")
                names.append(Path(each.name).name if each.key else "locked for good")
        finally:
            agent.end()
        return names

    return asyncio.run(whole())


@pytest.mark.parametrize(("kind", "form"), KINDS)
def test_every_form_of_key_is_opened_with_its_passphrase_only(
    tmp_path: Path, kind: str, form: str
) -> None:
    plain = made(tmp_path / "plain", "", kind, form)
    locked = tmp_path / "locked"
    locked.write_bytes(plain.read_bytes())
    locked.chmod(0o600)
    change = ["ssh-keygen", "-q", "-p", "-a", "1", "-N", "secret", "-f", str(locked)]
    subprocess.run([*change, *(["-m", form] if form else [])], check=True, timeout=60)
    for wrong in (None, "wrong"):
        keyring = Keyring(Answers(wrong))
        assert keyring.plain(plain) is not None
        assert keyring.plain(locked) is None
    assert asked(Keyring(Answers()), locked) is None
    with pytest.raises(SwarmError) as failed:
        asked(Keyring(Answers("wrong")), locked)
    assert "passphrase was wrong" in failed.value.why
    answers = Answers("secret")
    keyring = Keyring(answers)
    assert asked(keyring, locked) is asked(keyring, locked)
    assert answers.asked == ["locked"]


def test_a_named_key_is_the_only_one(tmp_path: Path, agent: Path) -> None:
    load(made(tmp_path / "loaded"))
    made(tmp_path / "named")
    assert offered(Hop("h", 22, "u", keys=("named",), only_keys=True), tmp_path) == ["named"]


def test_a_configuration_that_wants_no_other_keys_of_the_agent_is_obeyed_as_ssh_does(
    tmp_path: Path, agent: Path
) -> None:
    (tmp_path / ".ssh").mkdir()
    load(made(tmp_path / "loaded"))
    load(made(tmp_path / ".ssh" / "id_ed25519"))
    made(tmp_path / "second")
    (tmp_path / "odd").write_text("no key")
    assert offered(Hop("h", 22, "u", only_keys=True), tmp_path) == ["id_ed25519"]
    hop = Hop("h", 22, "u", keys=("missing", "odd", "second"), only_keys=True)
    assert offered(hop, tmp_path) == ["second"]


def test_a_locked_key_that_the_agent_holds_is_not_asked_for(tmp_path: Path, agent: Path) -> None:
    key = made(tmp_path / "named")
    load(key)
    change = ["ssh-keygen", "-q", "-p", "-a", "1", "-N", "secret", "-f", str(key)]
    subprocess.run(change, check=True, timeout=20)
    (tmp_path / "named.pub").unlink()
    answers = Answers()
    hop = Hop("h", 22, "u", keys=("named",), only_keys=True)
    assert offered(hop, tmp_path, answers) == ["named"]
    assert answers.asked == []


def test_files_come_before_the_agent_and_defaults_and_what_is_locked_last(
    tmp_path: Path, agent: Path
) -> None:
    (tmp_path / ".ssh").mkdir()
    load(made(tmp_path / "loaded"))
    made(tmp_path / "locked", "secret")
    made(tmp_path / ".ssh" / "id_ecdsa", kind="ecdsa")
    (tmp_path / ".ssh" / "id_rsa").write_text("no key")
    made(tmp_path / "named")
    hop = Hop("h", 22, "u", keys=("locked", "named", "missing"))
    answers = Answers("secret")
    order = offered(hop, tmp_path, answers)
    assert order == ["named", "loaded of the agent", "id_ecdsa", "locked"]
    assert offered(hop, tmp_path)[-1] == "locked for good"
    silent = Hop("h", 22, "u", keys=("named",), agent=False)
    assert offered(silent, tmp_path) == ["named", "id_ecdsa"]


@pytest.mark.parametrize("content", [b"", b"junk", b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n"])
def test_a_file_without_a_key_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "named").write_bytes(content)
    with pytest.raises(SwarmError) as failed:
        offered(Hop("h", 22, "u", keys=("named",), only_keys=True, named=True), tmp_path)
    assert failed.value.code is Code.INVALID
    assert "named" in failed.value.what


def test_an_agent_that_is_not_there_has_no_keys(tmp_path: Path) -> None:
    (tmp_path / "no-socket").write_bytes(b"")
    for path in ("", str(tmp_path / "none"), str(tmp_path / "no-socket")):
        agent = Agent(path)
        assert list(agent.get_keys()) == []
        agent.end()


def test_a_certificate_beside_the_key_is_offered_with_it(tmp_path: Path) -> None:
    authority, key = made(tmp_path / "ca"), made(tmp_path / "key")
    words = ["-q", "-s", str(authority), "-I", "me", "-n", "root", f"{key}.pub"]
    subprocess.run(["ssh-keygen", *words], check=True, timeout=20)
    loaded = Keyring(Answers()).plain(key)
    assert isinstance(loaded, paramiko.Ed25519Key)
    assert loaded.public_blob is not None


def test_a_server_that_has_seen_enough_keys_says_so(tmp_path: Path, agent: Path) -> None:
    for number in range(8):
        load(made(tmp_path / f"key{number}"))
    with ssh_server(tmp_path) as server, pytest.raises(SwarmError) as failed:
        Client(tmp_path, patience=Patience()).try_out(Target(server.address, "root", server.port))
    assert failed.value.code is Code.UNAUTHENTICATED
    assert "Too many authentication failures" in failed.value.why
    assert "name the right key" in failed.value.remedy


def test_the_agent_lets_one_in(tmp_path: Path, agent: Path) -> None:
    with ssh_server(tmp_path) as server:
        load(tmp_path / "client")
        Client(tmp_path, patience=Patience()).try_out(Target(server.address, "root", server.port))
