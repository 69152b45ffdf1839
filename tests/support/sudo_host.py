"""An SSH server with users of its own, in an /etc of its own, where sudo and PAM are real."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.support.ssh_server import SshServer, ssh_server

PASSWORD = "it's a $ecret"  # noqa: S105 - it opens nothing
_KEYS = Path("/etc/ssh/authorized_by_the_test")

# Users: `asked` for a password, `free` of it, `barred` from sudo, `terminal`, who needs one.
_SCRIPT = """
set -e
work=$1 keys=$2 hash=$3; shift 3
mkdir "$work/etc"
mount -t tmpfs -o mode=755 tmpfs "$work/etc"
cp -a /etc/. "$work/etc"
mount --bind "$work/etc" /etc
for folder in /var/lib/sudo /run/sudo; do
    mkdir -p "$folder"
    mount -t tmpfs -o mode=711 tmpfs "$folder"
done
install -m 644 "$work/authorized" "$keys"
number=4200
for user in asked free barred terminal; do
    echo "$user:x:$number:$number::/tmp:/bin/bash" >>/etc/passwd
    echo "$user:x:$number:" >>/etc/group
    echo "$user:$hash:19000:0:99999:7:::" >>/etc/shadow
    number=$((number + 1))
done
cat >/etc/sudoers.d/test <<END
asked ALL=(ALL:ALL) ALL
free ALL=(ALL:ALL) NOPASSWD: ALL
terminal ALL=(ALL:ALL) NOPASSWD: ALL
Defaults:terminal requiretty
Defaults use_pty
END
chmod 440 /etc/sudoers.d/test
exec "$@"
"""


@contextlib.contextmanager
def sudo_host(work: Path) -> Iterator[SshServer]:
    """Runs one; every user has `PASSWORD`, and is let in by the server's key."""
    made = subprocess.run(
        ["openssl", "passwd", "-6", "-stdin"],
        input=PASSWORD.encode(),
        check=True,
        timeout=20,
        stdout=subprocess.PIPE,
    )
    words = ["sh", "-c", _SCRIPT, "sudo_host", str(work), str(_KEYS), made.stdout.decode().strip()]
    with ssh_server(work, before=["unshare", "-m", "--", *words], authorized=_KEYS) as server:
        yield server
