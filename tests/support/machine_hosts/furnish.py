"""A host's own files, written to its disk before it boots for the first time."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.support.machine_hosts.form import HostForm, HostPaths
from tests.support.machine_hosts.suite import BOOKWORM, Suite

USERS = ("root", "ops", "deploy", "guest")
"""Who has the operator's key. The last three have homes in /home."""
_LIMIT = 120.0


def furnish(
    base: Path, form: HostForm, paths: HostPaths, *, key: str, packages: str, suite: Suite
) -> None:
    """Makes the disk. `key`: the operator's public key; `packages`: where those of `suite` are
    served.
    """
    for each in (paths.root, paths.disk):
        each.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as folder:
        contents = files(form, packages, suite)
        _furnish(base, form, Path(folder), key, contents)
        _make_disk(form, Path(folder), paths.image)


def _furnish(base: Path, form: HostForm, disk: Path, key: str, contents: Mapping[str, str]) -> None:
    upper = disk / "upper"
    for each in (upper, disk / "work"):
        each.mkdir(mode=0o755)
    subprocess.run(["cp", "-a", base / "var", disk / "var"], check=True, timeout=_LIMIT)
    for path, content in contents.items():
        _write(upper, path, content)
    for user in USERS:
        _authorize(base, upper, user, key)
    host_key = upper / "etc/ssh/ssh_host_ed25519_key"
    host_key.parent.mkdir()
    make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", form.name, "-f", str(host_key)]
    subprocess.run(make, check=True, timeout=_LIMIT)


def files(form: HostForm, packages: str, suite: Suite = BOOKWORM) -> dict[str, str]:
    """What a host has that no other has, by its path."""
    host = packages.removeprefix("http://").partition(":")[0]
    return {
        "etc/hostname": f"{form.name}\n",
        "etc/hosts": f"127.0.0.1 localhost\n127.0.1.1 {form.name}\n",
        "etc/machine-id": "",
        "etc/resolv.conf": f"nameserver {host}\n",  # where nobody answers
        "etc/apt/sources.list": suite.sources(f"{packages}/debian", f"{packages}/debian-security"),
        "etc/apt/apt.conf.d/90swarm-tests": 'Acquire::Languages "none";\n',
        "etc/pip.conf": f"[global]\nindex-url = {packages}/simple/\ntrusted-host = {host}\n",
    }


def _write(upper: Path, path: str, content: str) -> None:
    target = upper / path
    target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    target.write_text(content)


def _authorize(base: Path, upper: Path, user: str, key: str) -> None:
    place = "root" if user == "root" else f"home/{user}"
    like = (base / place).stat()
    home = upper / place
    home.parent.mkdir(exist_ok=True)
    folder = home / ".ssh"
    home.mkdir()
    shutil.copymode(base / place, home)
    folder.mkdir(mode=0o700)
    (folder / "authorized_keys").write_text(f"{key}\n")
    for each in (home, folder, folder / "authorized_keys"):
        os.chown(each, like.st_uid, like.st_gid)


def _make_disk(form: HostForm, content: Path, image: Path) -> None:
    with image.open("wb") as file:
        file.truncate(form.disk << 20)
    # No journal: the machine under it does not fail when the host's power does.
    options = ["-q", "-F", "-m", "0", "-O", "^has_journal", "-d", str(content)]
    subprocess.run(["mkfs.ext4", *options, image], check=True, timeout=_LIMIT, capture_output=True)
