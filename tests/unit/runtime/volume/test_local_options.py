"""What type, device and o mean, and what they must not."""

import pytest

from api.errors import SwarmError
from runtime.volume.local_options import Bound, Plain, parse


def test_nothing_means_a_folder() -> None:
    assert parse({}) == Plain()
    assert parse({"type": "", "o": ""}) == Plain()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"type": "tmpfs", "device": "tmpfs", "o": "size=1m,uid=1000"},
            ["-i", "-t", "tmpfs", "-o", "size=1m,uid=1000", "--", "tmpfs"],
        ),
        ({"type": "none", "device": "/srv", "o": "bind"}, ["--bind", "--", "/srv"]),
        ({"device": "/srv", "o": "rbind,ro"}, ["--rbind", "-o", "ro", "--", "/srv"]),
        ({"type": "bind", "device": "/srv"}, ["--bind", "--", "/srv"]),
        (
            {"type": "nfs", "device": ":/export", "o": "addr=10.0.0.1,rw"},
            ["-i", "-t", "nfs", "-o", "addr=10.0.0.1,rw", "--", ":/export"],
        ),
        ({"type": "ext4", "device": "/dev/x"}, ["-i", "-t", "ext4", "--", "/dev/x"]),
    ],
)
def test_what_mount_is_told(options: dict[str, str], words: list[str]) -> None:
    found = parse(options)
    assert isinstance(found, Bound)
    assert found.words == words


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"size": "1g"}, "has no option 'size'"),
        ({"type": "tmpfs"}, "device is missing"),
        ({"device": "/srv"}, "type is missing"),
        ({"device": "srv", "o": "bind"}, "no absolute path"),
        ({"type": "nfs", "device": ":/x", "o": "rw"}, "server is missing"),
    ],
)
def test_what_is_refused(options: dict[str, str], complaint: str) -> None:
    with pytest.raises(SwarmError, match=complaint):
        parse(options)
