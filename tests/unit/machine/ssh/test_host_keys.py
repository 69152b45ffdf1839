import subprocess
import sys
from pathlib import Path

from machine.ssh.host_keys import HostKey, KnownHosts, fingerprint

ONE, TWO = HostKey("h", "ssh-ed25519", b"one"), HostKey("h", "ssh-ed25519", b"two")


def test_a_fingerprint_is_as_ssh_keygen_shows_it() -> None:
    assert fingerprint(b"") == "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"


def test_the_first_key_stays_until_it_is_replaced(tmp_path: Path) -> None:
    known = KnownHosts(tmp_path / "deep" / "known_hosts")
    assert known.find("h") == []
    assert known.pin(ONE) == ONE
    assert known.pin(TWO) == ONE
    assert known.pin(HostKey("[h]:2222", "ssh-ed25519", b"other")).blob == b"other"
    known.replace(TWO)
    assert known.find("h") == [TWO]
    known.forget("h")
    assert known.find("h") == []
    assert [key.blob for key in known.find("[h]:2222")] == [b"other"]
    assert known.path.stat().st_mode & 0o777 == 0o600
    assert known.path.parent.stat().st_mode & 0o777 == 0o700


def test_what_is_no_key_stays_and_is_no_key(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    path.write_text(
        "# a remark\nh ssh-ed25519 !!!\nh short\n@cert-authority * ssh-ed25519 AAAA\n\n"
    )
    known = KnownHosts(path)
    assert known.find("h") == []
    known.pin(ONE)
    assert path.read_text().startswith("# a remark\n")
    assert known.find("h") == [ONE]


PIN = """
import sys
from pathlib import Path
from machine.ssh.host_keys import HostKey, KnownHosts
known = KnownHosts(Path(sys.argv[1]))
for number in range(int(sys.argv[2]), 12, 3):
    known.pin(HostKey(f"h{number}", "ssh-ed25519", b"key"))
"""


def test_processes_that_pin_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    pinning = [
        subprocess.Popen([sys.executable, "-c", PIN, str(path), str(first)]) for first in range(3)
    ]
    assert [each.wait(60) for each in pinning] == [0, 0, 0]
    assert all(KnownHosts(path).find(f"h{number}") for number in range(12))
