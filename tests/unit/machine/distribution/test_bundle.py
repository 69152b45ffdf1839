"""A bundle gives a host its own part, and nothing that is damaged."""

import json
import tarfile
from pathlib import Path

import pytest

from api.errors import SwarmError
from machine.distribution import bundle


@pytest.fixture
def made(tmp_path: Path) -> Path:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    files = []
    for name in ("a.whl", "b.whl", "c.whl"):
        files.append(wheels / name)
        files[-1].write_bytes(name.encode() * 100)
    path = tmp_path / "bundle.tar"
    bundle.write(path, "0.1.0", {"3.11-x86_64": files[:2], "3.13-aarch64": files[1:]})
    return path


def test_a_host_gets_its_part(made: Path, tmp_path: Path) -> None:
    place = tmp_path / "part"
    place.mkdir()
    got = bundle.extract(made, bundle.target("3.11.2", "x86_64"), place)
    assert [each.name for each in got] == ["a.whl", "b.whl"]
    assert got[1].read_bytes() == b"b.whl" * 100
    assert sorted(place.iterdir()) == got
    assert bundle.read(made).version == "0.1.0"


def test_the_same_files_give_the_same_bundle(made: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.tar"
    files = sorted((tmp_path / "wheels").iterdir())
    bundle.write(again, "0.1.0", {"3.13-aarch64": files[1:], "3.11-x86_64": files[:2]})
    assert again.read_bytes() == made.read_bytes()


def test_a_host_of_another_kind_is_told(made: Path, tmp_path: Path) -> None:
    with pytest.raises(SwarmError, match=r"nothing for 3.12-x86_64: it has 3.11-x86_64"):
        bundle.extract(made, "3.12-x86_64", tmp_path)


def test_a_damaged_file_is_found(made: Path, tmp_path: Path) -> None:
    made.write_bytes(made.read_bytes().replace(b"b.whlb.whl", b"b.whlx.whl", 1))
    with pytest.raises(SwarmError, match=r"b\.whl is damaged"):
        bundle.extract(made, "3.11-x86_64", tmp_path)


@pytest.mark.parametrize("content", [b"", b"no tar at all" * 100])
def test_what_is_no_bundle_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(content)
    with pytest.raises(SwarmError, match="is no bundle"):
        bundle.read(path)


@pytest.mark.parametrize(
    "manifest", [{}, [], {"schema": 2}, {"schema": 1, "version": "1", "digests": 3, "targets": {}}]
)
def test_a_manifest_of_another_form_is_refused(manifest: object, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        archive.add(tmp_path / "manifest.json", "manifest.json")
    with pytest.raises(SwarmError, match="is no bundle"):
        bundle.read(tmp_path / "x.tar")


def test_names_that_lead_out_of_the_folder_are_refused(tmp_path: Path) -> None:
    manifest = {"schema": 1, "version": "1", "digests": {}, "targets": {"k": ["../evil"]}}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        archive.add(tmp_path / "manifest.json", "manifest.json")
        archive.add(tmp_path / "manifest.json", "../evil")
    with pytest.raises(SwarmError, match="no plain file"):
        bundle.extract(tmp_path / "x.tar", "k", tmp_path)
