"""What the look at a host prints is read, whatever a host prints."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from machine.manifest import Manifest
from machine.steps.seen import Place, parse

PRINTED = b"""\
missing\tcrun
place\tfile 644 root:root abc /etc/swarm/swarmd.toml
place\tlink 0 - 0.1.0 /opt/swarm/current
place\tfolder 755 root:root empty /var/lib/swarm
place\tfolder 755 root:root used /opt/my folder
place\tfile 999 root:root abc /bad
group\tswarm
hostname\th1
python\t3.11
version\t0.1.0 3.11
ActiveState\tactive
UnitFileState\tenabled
NeedDaemonReload\tno
end\t
"""


def test_every_line_finds_its_place() -> None:
    seen = parse(PRINTED, Manifest(version="0.1.0"))
    assert seen.places["/etc/swarm/swarmd.toml"] == Place("file", 0o644, "root:root", "abc")
    assert seen.target("/opt/swarm/current") == "0.1.0"
    assert seen.target("/etc/swarm/swarmd.toml") == ""
    assert seen.is_empty("/var/lib/swarm")
    assert not seen.is_empty("/opt/my folder")
    assert "/bad" not in seen.places
    assert sorted(seen.missing | seen.groups) == ["crun", "swarm"]
    assert (seen.versions, seen.python) == ({"0.1.0": "3.11"}, "3.11")
    assert (seen.active, seen.enabled, seen.manifest.version) == ("active", "enabled", "0.1.0")


def test_a_look_that_was_cut_off_is_no_look() -> None:
    with pytest.raises(ValueError, match="to the end"):
        parse(PRINTED[:200], Manifest())


@given(st.binary(max_size=1000))
def test_whatever_is_printed_is_read(noise: bytes) -> None:
    assert parse(b"end\t\n" + noise, Manifest()) is not None
