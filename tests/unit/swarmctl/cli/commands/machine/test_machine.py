"""`machine`: what the store's records are shown as, and which shell speaks to which host."""

import io
import json
from pathlib import Path

import pytest
from click.shell_completion import BashComplete

from api.errors import Code, SwarmError
from machine.certs.host_papers import host_papers
from machine.store.machine import Machine, Wish
from machine.store.store import VARIABLE, Store
from machine.target import Target
from swarmctl.cli.commands.machine.access import inside, is_shown
from swarmctl.cli.root import swarmctl as root
from tests.support.command_line import CommandLine
from tests.support.ports import free_pair

swarmctl = CommandLine()


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "store"))
    monkeypatch.setenv("SHELL", "/bin/bash")
    for name in ("SWARM_MACHINE_NAME", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    return Store.open()


@pytest.fixture
def h1(store: Store) -> Machine:
    """Nobody listens at its addresses."""
    made = Machine(
        "h1",
        Target("127.0.0.1", port=free_pair()),
        options={"ip-address": "127.0.0.1", "ssh-port": free_pair()},
        wish=Wish(labels={"rack": "a"}),
        api=f"127.0.0.1:{free_pair()}",
    ).ready("0.1.0", 1.0)
    store.save(made)
    return made


def test_an_empty_store_is_no_error_and_leaves_no_trace(store: Store) -> None:
    assert swarmctl("machine", "ls", "-q").out == ""
    assert swarmctl("machine", "ls").out.split() == [
        "NAME", "ACTIVE", "DRIVER", "STATE", "URL", "SWARM", "VERSION", "ERRORS",
    ]  # fmt: skip
    assert "the name of a machine is needed" in swarmctl("machine", "ip").err
    gone = swarmctl("machine", "inspect", "h1")
    assert (gone.code, "there is no machine h1" in gone.err) == (1, True)
    assert not store.root.exists()


def test_a_machine_is_shown(store: Store, h1: Machine) -> None:
    assert swarmctl("machine", "ip").out == "127.0.0.1\n"
    assert swarmctl("machine", "url", "h1").out == f"tcp://{h1.api}\n"
    (shown,) = json.loads(swarmctl("machine", "inspect", "h1").out)
    assert (shown["Name"], shown["Phase"], shown["Version"]) == ("h1", "ready", "0.1.0")
    assert shown["Driver"]["Options"]["ip-address"] == "127.0.0.1"
    assert shown["Wanted"]["Labels"] == {"rack": "a"}
    assert swarmctl("machine", "inspect", "-f", "{{.SSH.Host}}", "h1").out == "127.0.0.1\n"
    wrong = swarmctl("machine", "inspect", "-f", "{{.Nothing}}", "h1")
    assert (wrong.code, "no field" in wrong.err) == (2, True)


@pytest.fixture
def inner(store: Store) -> Machine:
    """A machine of this workstation, which is entered; nobody listens at its socket."""
    made = Machine(
        "n1",
        Target("10.77.0.254"),
        driver="lab",
        options={"name": "nolab", "host": "", "disk": 0},
        api="unix:///var/lib/swarm-lab/nolab/n1/run/swarmd.sock",
    ).ready("0.1.0", 1.0)
    store.save(made)
    return made


def test_a_machine_of_this_workstation_is_spoken_to_over_a_socket(
    store: Store, inner: Machine
) -> None:
    assert swarmctl("machine", "url").out == f"{inner.api}\n"
    assert swarmctl("machine", "ip").out == "10.77.0.254\n"
    assert swarmctl("machine", "config").out == f"--host={inner.api}\n"
    told = swarmctl("machine", "env", "--no-proxy").out.splitlines()
    assert told[:3] == [
        f"export SWARM_HOST={inner.api}",
        "export SWARM_MACHINE_NAME=n1",
        "unset SWARM_CERT_PATH",
    ]
    assert not any("PROXY" in line for line in told)
    assert not (store.root / "ca").exists(), "nobody needs an authority for it"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("scp", "n1:/etc/hosts", "/x"), "no SSH server"),
        (("mount", "n1:/x", "/y"), "no SSH server"),
        (("trust", "n1"), "no SSH server"),
        (("regenerate-certs", "n1"), "has no certificate"),
        (
            ("export", "--passphrase-file", "/etc/os-release", "-o", "/nowhere/x", "n1"),
            "cannot be moved",
        ),
        (("export", "-o", "/nowhere/x"), "there are no machines to export"),
        (("ssh", "n1", "-L", "1:x:1"), "option of ssh"),
    ],
)
def test_what_it_cannot_have(inner: Machine, words: tuple[str, ...], why: str) -> None:
    done = swarmctl("machine", *words)
    assert done.code != 0
    assert why in done.err


def test_words_that_a_shell_there_runs() -> None:
    assert inside(("echo", "a b", "$HOME")) == ["/bin/sh", "-c", "echo a b $HOME"]
    assert inside(("--", "-x")) == ["/bin/sh", "-c", "-x"]
    assert "bash" in inside(())[-1]
    with pytest.raises(SwarmError, match="option of ssh"):
        inside(("-L", "1:x:1"))


def test_of_several_names_each_is_tried_and_the_worst_is_the_end(store: Store, h1: Machine) -> None:
    done = swarmctl("machine", "url", "gone", "h1")
    assert (done.code, done.out) == (1, f"tcp://{h1.api}\n")
    store.save(Machine("h2", Target("127.0.0.1")))
    unready = swarmctl("machine", "url", "h2")
    assert (unready.code, "machine provision h2" in unready.err) == (1, True)
    silent = swarmctl("machine", "version", "gone", "h1")
    assert (silent.code, silent.out) == (4, "")


def test_a_machine_that_does_not_answer_says_why(store: Store, h1: Machine) -> None:
    failed = SwarmError(Code.EXHAUSTED, "no space", why="the disk is full")
    store.save(Machine("h10", Target("127.0.0.1")).at("packages", 1.0).failed(failed, 2.0))
    store.save(Machine("h2", Target("127.0.0.1")).at("packages", 1.0))
    (store.folder("h3")).mkdir()
    (store.folder("h3") / "machine.json").write_text("{")
    listed = swarmctl("machine", "ls", "-t", "2s", "--format", "json")
    rows = {row["Name"]: row for row in map(json.loads, listed.out.splitlines())}
    assert list(rows) == ["h1", "h2", "h3", "h10"]
    assert rows["h1"]["State"] == "Unreachable"
    assert "refused" in rows["h1"]["Errors"]
    assert rows["h10"]["Errors"] == "failed at packages: no space: the disk is full"
    assert rows["h2"]["Errors"] == "cut off at packages"
    assert "cannot be read" in rows["h3"]["Errors"]
    with store.locked("h1", "upgrading it"):
        busy = swarmctl("machine", "ls", "--filter", "name=h1", "--format", "{{.Errors}}")
    assert "is upgrading it since" in busy.out
    assert swarmctl("machine", "ls", "-q", "--filter", "driver=generic").out.split() == [
        "h1", "h2", "h10",
    ]  # fmt: skip
    assert swarmctl("machine", "status", "h1").out == "Unreachable\n"
    for wanted, found in (("rack", "h1\n"), ("rack=a", "h1\n"), ("rack=b", ""), ("ra", "")):
        assert swarmctl("machine", "ls", "-q", "--filter", f"label={wanted}").out == found


def test_a_certificate_that_ends_soon_is_told(store: Store, h1: Machine) -> None:
    long_ago = Store(store.root, clock=lambda: store.now() - 715 * 86400)
    host_papers(long_ago, h1)
    assert "certificate expires in 14 days" in swarmctl("machine", "ls", "-t", "1s").out
    (shown,) = json.loads(swarmctl("machine", "inspect", "h1").out)
    assert shown["CertificateExpiresAt"]
    assert shown["CertificateNames"] == []


def test_a_certificate_that_is_damaged_in_the_store_is_told(store: Store, h1: Machine) -> None:
    host_papers(store, h1)
    path = store.folder("h1") / "server" / "cert.pem"
    path.write_text("-----BEGIN CERTIFICATE-----")
    told = swarmctl("machine", "ls", "-t", "1s", "--format", "{{.Errors}}").out
    assert "certificate is damaged in the store" in told
    assert "regenerate-certs --force h1" in told
    assert "refused" in told, "the machine is asked all the same"
    path.write_bytes(bytes((4 << 20) + 1))
    assert "is too long" in swarmctl("machine", "ls", "--format", "{{.Errors}}").out


def test_a_shell_is_pointed_at_a_machine(
    store: Store, h1: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = swarmctl("machine", "env", "h1").out.splitlines()
    assert told[0] == f"export SWARM_HOST=tcp://{h1.api}"
    assert told[1] == f"export SWARM_CERT_PATH={store.root / 'client'}"
    assert told[2] == "export SWARM_MACHINE_NAME=h1"
    assert told[-1] == "# eval $(swarmctl machine env h1)"
    flags = swarmctl("machine", "config").out.split()
    assert flags == [f"--host=tcp://{h1.api}", f"--cert-path={store.root / 'client'}"]
    none = swarmctl("machine", "active")
    assert (none.code, "no machine is active" in none.err) == (1, True)
    monkeypatch.setenv("SWARM_HOST", f"tcp://{h1.api}")
    assert swarmctl("machine", "active").out == "h1\n"
    assert swarmctl("machine", "ls", "-t", "1s", "--format", "{{.Active}}").out == "*\n"
    told = swarmctl("machine", "env", "--unset", "--shell", "fish").out.splitlines()
    assert told[:3] == [
        f"set -e {name};" for name in ("SWARM_HOST", "SWARM_CERT_PATH", "SWARM_MACHINE_NAME")
    ]
    assert told[-1] == "# eval (swarmctl machine env --shell fish --unset)"


def test_proxies_are_passed_by(store: Store, h1: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "a,127.0.0.1")
    assert "export no_proxy=a,127.0.0.1" in swarmctl("machine", "env", "--no-proxy", "h1").out
    monkeypatch.setenv("SWARM_HOST", f"tcp://{h1.api}")
    told = swarmctl("machine", "env", "--unset", "--no-proxy").out
    assert "export no_proxy=a\n" in told


def test_a_machine_without_a_switch_is_not_stopped_by_a_slip(
    store: Store, h1: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    asked = swarmctl("machine", "stop", "h1")
    assert (asked.code, asked.out) == (130, "")
    assert "only whoever has the power switch" in asked.err
    refused = swarmctl("machine", "start", "h1")
    assert (refused.code, "no power switch" in refused.err) == (1, True)
    killed = swarmctl("machine", "kill", "h1", "gone")
    assert (killed.code, killed.err.count("\n")) == (1, 2)
    with store.locked("h1", "upgrading it"):
        busy = swarmctl("machine", "kill", "h1")
    assert "is upgrading it since" in busy.err


def test_people_and_files(
    store: Store, h1: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    word = tmp_path / "word"
    word.write_text("correct horse\n")
    file = tmp_path / "alice.machines"
    sent = swarmctl(
        "machine", "share", "--with", "alice", "-o", str(file), "--passphrase-file", str(word)
    )
    assert (sent.code, sent.out, file.stat().st_mode & 0o777) == (0, "h1\n", 0o600)
    again = swarmctl("machine", "export", "-o", str(file), "--passphrase-file", str(word))
    assert (again.code, "is there already" in again.err) == (2, True)
    assert swarmctl("machine", "share").words[1][0] == "alice"
    here = swarmctl("machine", "import", str(file), "--passphrase-file", str(word))
    assert (here.code, "a machine h1 already" in here.err) == (1, True)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "hers"))
    word.write_text("wrong\n")
    wrong = swarmctl("machine", "import", str(file), "--passphrase-file", str(word))
    assert "is not opened by this passphrase" in wrong.err
    word.write_text("correct horse\n")
    taken = swarmctl("machine", "import", str(file), "--passphrase-file", str(word))
    assert (taken.code, taken.out) == (0, "h1\n")
    flags = swarmctl("machine", "config", "h1").out.split()
    assert flags[1] == f"--cert-path={Store.open().folder('h1') / 'client'}"
    monkeypatch.setenv(VARIABLE, str(store.root))
    store.remove("h1")
    gone = swarmctl("machine", "share", "--revoke", "alice")
    assert (gone.code, gone.out) == (0, "alice\n")
    assert swarmctl("machine", "share", "--format", "{{.Revoked}}").out.startswith("20")
    assert "has no certificate" in swarmctl("machine", "share", "--revoke", "alice").err


def test_names_complete(store: Store, h1: Machine) -> None:
    complete = BashComplete(root, {}, "swarmctl", "_SWARMCTL_COMPLETE")
    found = complete.get_completions(["machine", "ip"], "")
    assert [each.value for each in found] == ["h1"]


def test_whether_a_folder_is_shown() -> None:
    mounts = "h1:/srv /mnt/my\\040folder fuse.sshfs rw 0 0\nodd\rname\udcff /odd fuse.x rw 0 0\n"
    assert is_shown(Path("/mnt/my folder"), mounts)
    assert not is_shown(Path("/mnt"), mounts)
    assert not is_shown(Path("/mnt/my folder"), mounts.replace("fuse.sshfs", "ext4"))


def test_a_file_that_cannot_be_sealed_makes_nobody_a_certificate(
    store: Store, h1: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # without age
    to = ("--to", "ssh-ed25519 AAAA", "-o", str(tmp_path / "file"))
    done = swarmctl("machine", "share", "--with", "alice", *to)
    assert (done.code, "apt-get install age" in done.err) == (1, True)
    assert swarmctl("machine", "share", "--format", "{{.Person}}").out == ""
    both = swarmctl("machine", "export", *to, "--passphrase-file", "/etc/os-release")
    assert "exclude each other" in both.err
