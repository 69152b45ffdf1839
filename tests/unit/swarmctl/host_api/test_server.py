"""What a host's API says of itself."""

from pathlib import Path

from swarmctl.host_api.papers import Files
from swarmctl.host_api.server import HostApi


def test_it_is_not_well_before_it_is_served(tmp_path: Path) -> None:
    files = Files(tmp_path / "cert.pem", tmp_path / "key.pem", tmp_path / "ca.pem")
    api = HostApi(
        "127.0.0.1:2376", files, add=lambda _: None, roots=bytes, is_operator=lambda _: False
    )
    assert api.complaint() == "the host's API is not served yet"
