import asyncio
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from runtime.volume.plugin.place import checked, reason_against

KEPT = (Path("/var/lib/swarm"),)


@pytest.mark.parametrize(
    "path",
    ["/", "/proc", "/proc/1/root", "/sys/fs", "/dev/sda", "/boot", "/var/lib", "/var/lib/swarm/x"],
)
def test_what_is_the_hosts_is_never_given_away(path: str) -> None:
    assert reason_against(Path(path), KEPT)


@pytest.mark.parametrize("path", ["/mnt/x", "/var/lib/docker-volumes/x", "/processes", "/home"])
def test_other_folders_are_volumes(path: str) -> None:
    assert reason_against(Path(path), KEPT) == ""


def check(told: Path | str, *kept: Path) -> Path:
    return asyncio.run(checked("p", "Mount", str(told), kept))


def test_a_link_counts_as_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "evil").symlink_to("/")
    assert check(tmp_path / "link") == tmp_path / "real"
    with pytest.raises(SwarmError, match="whole host"):
        check(tmp_path / "evil")
    with pytest.raises(SwarmError, match="belongs to swarmd"):
        check(tmp_path / "link", tmp_path / "real" / "state")


def test_what_is_no_folder_is_a_lie(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for told, why in (
        ("", "no Mountpoint"),
        (tmp_path / "no", "nothing is at"),
        (tmp_path / "file", "no folder"),
    ):
        with pytest.raises(SwarmError, match=why) as caught:
            check(told)
        assert caught.value.code is Code.UNAVAILABLE
