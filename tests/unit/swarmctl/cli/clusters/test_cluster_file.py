"""Cluster files from the disk: the example, the page that tells of them, what cannot be read."""

import re
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from machine.swarm.options import OPTIONS
from machine.swarm.wanted import Availability, Role
from swarmctl.cli.clusters.cluster_file import load

ROOT = Path(__file__).parents[5]


def test_the_example_is_read() -> None:
    found = load(ROOT / "examples" / "cluster.yml")
    assert [each.name for each in found.managers()] == ["m1", "m2", "m3"]
    assert found.hosts["m1"].availability is Availability.DRAIN
    assert found.hosts["w1"].role is Role.WORKER
    assert found.hosts["w1"].swarmd == {"log_level": "debug"}
    assert found.hosts["w2"].target.port == 2222
    assert found.hosts["w2"].target.key == str(Path("~/.ssh/id_ed25519").expanduser())


def test_the_page_tells_of_every_key(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "reference" / "cluster-file.md").read_text()
    told = set(re.findall(r"`([a-z_]+)`", page))
    for part in ("", "ssh", "hosts.m1", "hosts.m1.ssh"):
        assert _known(tmp_path, part) <= told
    assert OPTIONS.keys() <= told


def _known(folder: Path, part: str) -> set[str]:
    """The keys of a part: for each misspelt one the file's reader names the one that is meant."""
    found = set()
    for key in ("name", "version", "ssh", "swarmd", "swarm", "hosts", "address", "role"):
        file = folder / "cluster.yml"
        nest = [*part.split("."), f"x{key}"] if part else [f"x{key}"]
        text = "".join(f"{'  ' * depth}{word}:\n" for depth, word in enumerate(nest))
        file.write_text(text)
        with pytest.raises(SwarmError) as refused:
            load(file)
        found |= set(re.findall(r"did you mean (\w+)\?", refused.value.why))
    return found


@pytest.mark.parametrize("content", [b"\xff\xfe", None])
def test_what_cannot_be_read_is_told(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "cluster.yml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SwarmError) as refused:
        load(file)
    assert refused.value.code is Code.REFUSED
    assert refused.value.what == f"cannot read {file}"


def test_settings_that_swarmd_does_not_know_are_mistakes(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yml"
    file.write_text("name: x\nswarmd: {log_leve: debug}\nhosts: {m: {role: manager}}\n")
    with pytest.raises(SwarmError, match="did you mean log_level"):
        load(file)
