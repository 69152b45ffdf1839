"""What a host prints becomes facts; whatever it prints, nothing else does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from machine.facts import parse
from machine.facts.facts import Disk, Listener

PRINTED = b"""\
clock\t1000.5
os.id\tdebian
os.version\t12
memory_kib\t2048
disk\t/opt 1000 /
disk\t/mnt
feature\tvxlan loadable
feature\twireguard absent
controllers\tcpu memory pids
listener\ttcp 0.0.0.0:2377 users:(("dockerd",pid=7,fd=3))
listener\tudp [::]:4789
listener\tudp nonsense
missing\tcrun
stray\t17
unit\tthere
mirror\treached
unknown\tthing
end\t1001.5
"""


def test_every_line_finds_its_place() -> None:
    facts = parse.facts(PRINTED, 990.0, 992.0)
    assert (facts.os, facts.os_version, facts.memory) == ("debian", "12", 2048 * 1024)
    assert facts.disks == (Disk("/opt", 1000 * 1024, "/"),)
    assert facts.has("vxlan")
    assert not facts.has("wireguard")
    assert not facts.has("never_looked_for")
    assert facts.listeners == (Listener("tcp", 2377, "dockerd"), Listener("udp", 4789, ""))
    assert (facts.missing, facts.strays, facts.unit) == (("crun",), (17,), True)


def test_the_skew_lies_between_what_the_round_trip_allows() -> None:
    assert parse.facts(PRINTED, 990.0, 992.0).skew == (9.5, 10.5)


@pytest.mark.parametrize("cut", [b"", PRINTED[:100], PRINTED.replace(b"1000.5", b"soon")])
def test_a_look_that_was_cut_off_is_no_look(cut: bytes) -> None:
    with pytest.raises(ValueError, match="host did not"):
        parse.facts(cut, 0, 0)


@given(st.binary(max_size=2000))
def test_whatever_is_printed_is_read(noise: bytes) -> None:
    facts = parse.facts(PRINTED + noise, 0, 0)
    assert facts.os == "debian"
    assert facts.hostname.isprintable()


def test_what_is_too_much_is_cut() -> None:
    facts = parse.facts(PRINTED + b"stray\t1\n" * 10_000 + b"missing\t" + b"x" * 5000, 0, 0)
    assert len(facts.strays) < 4096
