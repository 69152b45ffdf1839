"""Our wheel is the same wherever it is packed, and pip takes it."""

import io
import tomllib
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from api.errors import SwarmError
from machine.distribution import own, wheel

PARTS = wheel.Parts(
    files={"api/__init__.py": b"", "api/ids.py": b"x = 1\n"},
    metadata="Metadata-Version: 2.4\nName: swarmctl\nVersion: 0.1.0\n"
    "Requires-Dist: click>=8.5\nRequires-Python: >=3.11\n\nBody\nVersion: of the body\n",
    others={"entry_points.txt": b"[console_scripts]\nswarmctl = swarmctl.__main__:main\n"},
)


def read(packed: bytes, name: str) -> str:
    return zipfile.ZipFile(io.BytesIO(packed)).read(name).decode()


def test_a_version_tells_states_of_a_checkout_apart() -> None:
    first = wheel.version_of(PARTS)
    other = replace(PARTS, files={**PARTS.files, "api/ids.py": b"x = 2\n"})
    assert first.startswith("0.1.0+c")
    assert wheel.version_of(PARTS) == first
    assert wheel.version_of(other) != first


def test_a_host_packs_the_wheel_that_it_was_installed_from() -> None:
    version = wheel.version_of(PARTS)
    packed = wheel.pack(PARTS, version, {"click": "8.5.1"})
    again = replace(PARTS, metadata=read(packed, f"swarmctl-{version}.dist-info/METADATA"))
    assert wheel.version_of(again) == version
    assert wheel.pack(again, version, {"click": "8.5.1"}) == packed


def test_libraries_are_pinned_and_the_rest_of_the_metadata_stays() -> None:
    packed = wheel.pack(PARTS, "0.2.0", {"click": "8.5.1", "idna": "3.20"})
    text = read(packed, "swarmctl-0.2.0.dist-info/METADATA")
    head, _, body = text.partition("\n\n")
    assert "Version: 0.2.0" in head
    assert "0.1.0" not in head
    assert "Requires-Dist: click==8.5.1\nRequires-Dist: idna==3.20" in head
    assert "Requires-Python: >=3.11" in head
    assert body == "Body\nVersion: of the body\n"


def test_the_name_of_a_file_tells_its_version() -> None:
    assert wheel.version_in(wheel.file_name("0.1.0+c12")) == "0.1.0+c12"
    for name in ("click-8.5.1-py3-none-any.whl", "swarmctl-../x-py3-none-any.whl", "x"):
        with pytest.raises(SwarmError, match="not our distribution"):
            wheel.version_in(name)


def test_the_cache_keeps_a_few_and_packs_once(tmp_path: Path) -> None:
    for number in range(6):
        (tmp_path / f"swarmctl-0.0.{number}-py3-none-any.whl").write_bytes(b"")
    made = own.own(tmp_path)
    packed = made.path.stat()
    assert own.own(tmp_path) == made
    assert made.path.stat() == packed
    assert len(list(tmp_path.rglob("*.whl"))) == 4
    assert own.given(made.path) == made
    with pytest.raises(SwarmError, match="there is no file"):
        own.given(tmp_path / "swarmctl-9-py3-none-any.whl")


def test_with_other_libraries_it_is_packed_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [own.own(tmp_path)]
    monkeypatch.setattr(own, "pins", lambda: {"click": "9.0"})
    made += [own.own(tmp_path), own.packed(tmp_path)]
    assert len({each.version for each in made}) == 1
    name = f"swarmctl-{made[0].version}.dist-info/METADATA"
    asking = ["Requires-Dist: click==9.0" in read(each.path.read_bytes(), name) for each in made]
    assert asking == [False, True, True]


def test_pins_are_what_runs_here() -> None:
    pins = own.pins()
    assert {"click", "grpcio", "cffi", "typing-extensions"} <= pins.keys()
    assert "pytest" not in pins  # of the tools of developers none goes to a host


def test_what_goes_to_hosts_is_what_setuptools_packs() -> None:
    """Whoever adds a kind of file to pyproject.toml is told to add it to own.SUFFIXES."""
    project = tomllib.loads(Path("pyproject.toml").read_text())
    [patterns] = project["tool"]["setuptools"]["package-data"].values()
    assert {Path(pattern).suffix for pattern in patterns} | {".py"} == own.SUFFIXES
    included = project["tool"]["setuptools"]["packages"]["find"]["include"]
    packages = {each.rstrip("*") for each in included}
    assert {path.split("/")[0] for path in own.read_parts().files} == packages
