"""Which registries may be spoken to in plain HTTP."""

from pathlib import Path

import pytest

from api.errors import SwarmError
from runtime.image.endpoint import RegistryOptions, resolve

LISTED = ("plain.lab", "port.lab:5000", "10.1.0.0/16", "fd00::/8")

CASES = [
    ("docker.io", "registry-1.docker.io", False),
    ("quay.io", "quay.io", False),
    ("localhost", "localhost", True),
    ("localhost:5000", "localhost:5000", True),
    ("127.0.0.1:5000", "127.0.0.1:5000", True),
    ("127.9.9.9", "127.9.9.9", True),
    ("[::1]:5000", "[::1]:5000", True),
    ("128.0.0.1", "128.0.0.1", False),
    ("localhost.evil.io", "localhost.evil.io", False),
    ("127.0.0.1.evil.io", "127.0.0.1.evil.io", False),
    ("plain.lab", "plain.lab", True),
    ("plain.lab:99", "plain.lab:99", True),
    ("port.lab:5000", "port.lab:5000", True),
    ("port.lab:5001", "port.lab:5001", False),
    ("port.lab", "port.lab", False),
    ("10.1.2.3:5000", "10.1.2.3:5000", True),
    ("10.2.2.3:5000", "10.2.2.3:5000", False),
    ("[fd00::7]:5000", "[fd00::7]:5000", True),
]


@pytest.mark.parametrize(("domain", "host", "plain"), CASES)
def test_plain_http_only_where_allowed(domain: str, host: str, plain: bool) -> None:
    endpoint = resolve(domain, RegistryOptions(insecure=LISTED))
    assert endpoint.host == host
    assert endpoint.schemes == (("https", "http") if plain else ("https",))


@pytest.mark.parametrize("key", ["127.0.0.1:5000", "127.0.0.1"])
def test_an_own_ca_means_tls(key: str) -> None:
    endpoint = resolve("127.0.0.1:5000", RegistryOptions(ca_files={key: Path("/ca.pem")}))
    assert endpoint.schemes == ("https",)
    assert endpoint.ca_file == Path("/ca.pem")


def test_an_unreadable_ca_is_told(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nonsense")
    options = RegistryOptions(ca_files={"r.io": tmp_path / "ca.pem"})
    with pytest.raises(SwarmError, match="the CA of registry"):
        resolve("r.io", options).tls()
