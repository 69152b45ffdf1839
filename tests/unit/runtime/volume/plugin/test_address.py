import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.errors import Code, SwarmError
from runtime.volume.plugin.address import Address, Tls, read_json, read_spec

FILE = Path("/etc/docker/plugins/p.spec")
LOCAL = "http://plugin.localhost"


@pytest.mark.parametrize(
    ("text", "base", "socket"),
    [
        ("unix:///run/p.sock", LOCAL, "/run/p.sock"),
        ("  unix:///run/p.sock\n", LOCAL, "/run/p.sock"),
        ("tcp://host:8080", "http://host:8080", None),
        ("http://host", "http://host", None),
        ("http://host:8080/ignored/as/docker/does", "http://host:8080", None),
        ("tcp://[::1]:8080", "http://[::1]:8080", None),
    ],
)
def test_a_spec_is_a_url(text: str, base: str, socket: str | None) -> None:
    expected = Address(base, FILE, Path(socket) if socket else None)
    assert read_spec(text.encode(), FILE) == expected


def test_https_is_tls_with_the_roots_of_the_system() -> None:
    assert read_spec(b"https://host:1", FILE) == Address("https://host:1", FILE, tls=Tls())


@pytest.mark.parametrize(
    ("config", "tls"),
    [
        (None, None),
        ({}, Tls()),
        ({"InsecureSkipVerify": True}, Tls(verify=False)),
        (
            {"InsecureSkipVerify": False, "CAFile": "/ca", "CertFile": "/c", "KeyFile": "/k"},
            Tls(True, "/ca", "/c", "/k"),
        ),
    ],
)
def test_a_json_file_tells_of_tls(config: object, tls: Tls | None) -> None:
    document = {"Name": "p", "Addr": "tcp://host:1", "TLSConfig": config}
    found = read_json(json.dumps(document).encode(), FILE)
    assert found == Address(f"{'https' if tls else 'http'}://host:1", FILE, tls=tls)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "neither unix"),
        (b"/run/p.sock", "neither unix"),
        (b"ftp://host", "neither unix"),
        (b"tcp://", "neither unix"),
        (b"unix://relative/p.sock", "neither unix"),
        (b"tcp://host:port", "no URL"),
        (b"tcp://[::1", "no URL"),
        (b"\xff\xfe", "not text"),
        (b"unix:///" + b"x" * 200, "107 bytes"),
    ],
)
def test_a_wrong_spec_is_named_with_its_file(data: bytes, why: str) -> None:
    with pytest.raises(SwarmError, match=why) as caught:
        read_spec(data, FILE)
    assert caught.value.code is Code.UNAVAILABLE
    assert str(FILE) in str(caught.value)


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ([], "not a JSON object"),
        ({"Addr": 1}, "Addr is not a text"),
        ({"Addr": "tcp://h", "TLSConfig": []}, "TLSConfig is malformed"),
        ({"Addr": "tcp://h", "TLSConfig": {"InsecureSkipVerify": "no"}}, "malformed"),
        ({"Addr": "tcp://h", "TLSConfig": {"CertFile": "/c"}}, "go together"),
    ],
)
def test_a_wrong_json_file_is_named(document: Any, why: str) -> None:
    with pytest.raises(SwarmError, match=why):
        read_json(json.dumps(document).encode(), FILE)


@settings(deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_file_breaks_the_reader(data: bytes) -> None:
    for read in (read_spec, read_json):
        with contextlib.suppress(SwarmError):
            assert isinstance(read(data, FILE), Address)
