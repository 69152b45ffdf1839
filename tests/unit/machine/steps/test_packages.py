"""What apt says it would do."""

from machine.steps.packages import brought, lost

INSTALLED = """\
Reading package lists...
Inst libyajl2 (2.1.0-3+deb12u2 Debian:12.5/stable [amd64])
Inst libc6 [2.36-9] (2.36-9+deb12u9 Debian:12.9/stable [amd64]) [libc-bin:amd64 ]
Inst crun (1.8.1-1+deb12u1 Debian:12.9/stable [amd64])
Inst python3.11-venv (3.11.2-6 Debian:12.9/stable [amd64]) []
Conf crun (1.8.1-1+deb12u1 Debian:12.9/stable [amd64])
"""
PURGED = """\
Purg crun [1.8.1-1+deb12u1]
Purg podman [4.3.1]
Remv buildah [1.28]
"""


def test_packages_that_are_only_upgraded_are_not_ours() -> None:
    assert brought(INSTALLED) == ["crun", "libyajl2", "python3.11-venv"]


def test_what_goes_along_is_seen() -> None:
    assert lost(PURGED) == ["buildah", "crun", "podman"]
