"""A bundle gives a host its own part, and nothing that is damaged."""

import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from machine.distribution import bundle, wheel
from machine.making import Parcel


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


def test_a_full_disk_is_not_taken_for_a_damaged_bundle(made: Path, tmp_path: Path) -> None:
    place = tmp_path / "part"
    place.mkdir()
    (place / "a.whl").symlink_to("/dev/full")
    with pytest.raises(SwarmError, match=r"a\.whl into .*: no space left on device") as failed:
        bundle.extract(made, "3.11-x86_64", place)
    assert failed.value.code is Code.EXHAUSTED
    assert "TMPDIR" in failed.value.remedy


LIBRARIES = ("certifi-2026.1.2-py3-none-any.whl", "typing_extensions-4.16.0-py3-none-any.whl")


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A bundle of 0.1.0, with libraries by their names."""
    for name in LIBRARIES:
        (tmp_path / name).write_bytes(b"")
    bundle.write(tmp_path / "0.1.tar", "0.1.0", {"3.11-x86_64": [tmp_path / n for n in LIBRARIES]})
    return tmp_path / "0.1.tar"


def wheel_of(folder: Path, pins: Mapping[str, str]) -> Path:
    parts = wheel.Parts({}, "Name: swarmctl\nVersion: 0\nRequires-Dist: h11>=0.1\n\n", {})
    path = folder / wheel.file_name("0.2.0")
    path.write_bytes(wheel.pack(parts, "0.2.0", pins))
    return path


def test_a_bundle_of_another_version_serves_if_it_has_what_is_asked_for(
    other: Path, tmp_path: Path
) -> None:
    ours = wheel_of(tmp_path, {"Typing-Extensions": "4.16.0", "certifi": "2026.01.02"})
    assert Parcel.of(ours, other).bundle == other


def test_one_that_lacks_something_is_refused_with_what(other: Path, tmp_path: Path) -> None:
    ours = wheel_of(tmp_path, {"certifi": "2026.1.3", "typing-extensions": "4.16.0"})
    with pytest.raises(SwarmError, match=r"0.1.tar does not go with swarmctl-0\.2\.0") as refused:
        Parcel.of(ours, other)
    assert refused.value.code is Code.INVALID
    assert "it was made for 0.1.0, and lacks certifi 2026.1.3 for 3.11-x86_64" in refused.value.why
    ours.write_bytes(b"no wheel")
    with pytest.raises(SwarmError, match="is no wheel"):
        Parcel.of(ours, other)


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
