"""Which runtime is found, on hosts that lack one or the other."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from hostkit import cgroup
from runtime import hybrid
from runtime.conmon_driver import ConmonDriver
from runtime.driver import ContainerRequest, ExitResult
from tests.support.containers import Box, run_to_end

pytestmark = pytest.mark.root

NEEDED = ("conmon", "crun", "runc", "sh", "unshare", "umount")


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH of its own with all that is needed, to take things away from."""
    directory = tmp_path / "path"
    directory.mkdir()
    for name in NEEDED:
        found = shutil.which(name)
        assert found is not None
        os.symlink(found, directory / name)
    monkeypatch.setenv("PATH", str(directory))
    return directory


def runtime_of(box: Box) -> str:
    async def scenario(driver: ConmonDriver) -> str:
        return (await driver.fingerprint()).runtime

    found: str = box.run(scenario)
    return found


def test_runc_where_there_is_no_crun(box: Box, path: Path) -> None:
    (path / "crun").unlink()
    assert runtime_of(box).startswith("runc ")

    async def scenario(driver: ConmonDriver) -> tuple[ExitResult, list[str]]:
        request: ContainerRequest = box.shell("unshare -U true || echo filtered; exit 4")
        result, lines = await run_to_end(driver, request)
        with pytest.raises(SwarmError, match="not found"):
            await driver.create(box.request("nosuch"))
        return result, lines

    result, lines = box.run(scenario)
    assert result.code == 4
    assert "filtered" in lines


def test_crun_without_a_compiler(box: Box, path: Path) -> None:
    (path / "runc").unlink()
    assert runtime_of(box).startswith("crun ")
    result, lines = box.output(box.shell("echo hi"))
    assert (result.code, lines) == (0, ["hi"])


def test_a_crun_that_does_not_work(box: Box, path: Path) -> None:
    (path / "crun").unlink()
    os.symlink("/bin/false", path / "crun")
    assert runtime_of(box).startswith("runc ")


def test_nothing_that_works(box: Box, path: Path) -> None:
    for name in ("crun", "runc"):
        (path / name).unlink()
    with pytest.raises(SwarmError) as caught:
        runtime_of(box)
    assert caught.value.code is Code.UNAVAILABLE
    assert "install crun or runc" in caught.value.remedy
    (path / "conmon").unlink()
    with pytest.raises(SwarmError, match="conmon"):
        runtime_of(box)
    for name in ("conmon", "runc"):  # the box is swept once more
        os.symlink(shutil.which(name, path="/usr/bin:/usr/sbin") or "", path / name)


@pytest.mark.parametrize("compiled", [True, False])
def test_the_wrapper_hides_version_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compiled: bool
) -> None:
    unified = cgroup.detect().unified
    if unified is None or cgroup.detect().version == 2:
        pytest.skip("no hybrid host")
    if not compiled:
        monkeypatch.setattr(shutil, "which", lambda _name: None)
    wrapper = hybrid.make_wrapper(tmp_path, Path("/bin/cat"), unified)
    assert (wrapper.read_bytes()[:4] == b"\x7fELF") == compiled
    seen = subprocess.run(
        [wrapper, "/proc/self/mounts"], check=True, capture_output=True, text=True
    ).stdout
    assert " cgroup2 " not in seen
    assert " cgroup2 " in Path("/proc/self/mounts").read_text()
