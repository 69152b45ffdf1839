"""The driver glusterfs over a real cluster: two hosts, each with a brick of one replica."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostkit import cgroup
from tests.support.gluster import ADDRESSES, Gluster, gluster
from tests.support.until import until_true

pytestmark = pytest.mark.root

ROOT = Path(__file__).parents[4]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Gluster]:
    with gluster(tmp_path) as made:
        yield made


def _use(cluster: Gluster, host: int, script: str) -> str:
    """Mounts the volume on a host, and runs a script in it; what that printed.

    In a mount namespace of its own, and not longer than this process: whatever ends this one, the
    guardian ends with its lease, and then the mount is gone with the namespace.
    """
    group = f"/test-gluster-{os.getpid()}"
    argv = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "private"]
    argv += [sys.executable, "-m", "tests.support.gluster_client", str(cluster.root / "client")]
    argv += [group, ",".join(ADDRESSES), script]
    try:
        done = subprocess.run(
            cluster.within(host, argv),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
    finally:
        assert cgroup.kill(cgroup.detect(), group, 20.0)
        until_true(lambda: cgroup.remove(cgroup.detect(), group), "the group is gone")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.timeout(240)
def test_what_one_host_wrote_is_there_for_the_other_when_the_first_is_gone(
    cluster: Gluster,
) -> None:
    _use(cluster, 0, "echo hello >file; sync file; ln -s /absolute link")
    cluster.stop_host(0)
    assert _use(cluster, 1, "cat file; readlink link; echo more >>file").split() == [
        "hello",
        "/absolute",
    ]
    assert (cluster.root / "1/brick/file").read_text() == "hello\nmore\n"
    assert (cluster.root / "0/brick/file").read_text() == "hello\n", "that host was off"
