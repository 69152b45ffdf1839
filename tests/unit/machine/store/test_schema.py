"""A machine's file: what is written is read again, damage and newer forms are told."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.errors import Code, SwarmError
from machine.store.machine import Machine, Phase, Wish, check_name
from machine.store.schema import PRESENT, Document, Schema, decoded, encoded
from machine.target import Target

_WORDS = st.text(max_size=8)
_TARGETS = st.builds(
    Target,
    host=_WORDS,
    user=_WORDS,
    port=st.integers(0, 65535),
    key=_WORDS,
    jump=st.lists(_WORDS, max_size=2).map(tuple),
    agent=st.booleans(),
    host_key=_WORDS,
)
_MACHINES = st.builds(
    Machine,
    name=st.from_regex(r"[a-z][a-z0-9.-]{0,9}", fullmatch=True),
    target=_TARGETS,
    driver=_WORDS,
    options=st.dictionaries(_WORDS, st.one_of(_WORDS, st.integers(), st.booleans())),
    wish=st.builds(
        Wish,
        version=_WORDS,
        settings=st.dictionaries(_WORDS, st.one_of(_WORDS, st.lists(_WORDS))),
        labels=st.dictionaries(_WORDS, _WORDS),
        hostname=_WORDS,
    ),
    phase=st.sampled_from(Phase),
    step=_WORDS,
    error=_WORDS,
    version=_WORDS,
    api=_WORDS,
    names=st.lists(_WORDS, max_size=2).map(tuple),
    created=st.floats(0, 1e10),
    changed=st.floats(0, 1e10),
)


@given(_MACHINES)
def test_what_is_written_is_read_again(machine: Machine) -> None:
    assert decoded(encoded(machine), "file") == (machine, PRESENT.form)


def _document(**changed: Any) -> bytes:
    return json.dumps(json.loads(encoded(Machine("h1", Target("h1")))) | changed).encode()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b"{}",
        _document(form=0),
        _document(name="../h1"),
        _document(target=None),
        _document(phase="dead"),
        _document(names="h1"),
        _document(driver=7),
        _document(options=[]),
        _document(created=float("nan")),
        b"[" * 100_000,
    ],
)
def test_damage_is_told(content: bytes) -> None:
    with pytest.raises(SwarmError) as caught:
        decoded(content, "the file")
    assert caught.value.code is Code.INVALID
    assert "the file" in str(caught.value) or "name" in str(caught.value)


def test_a_newer_form_is_refused() -> None:
    with pytest.raises(SwarmError, match="newer swarmctl") as caught:
        decoded(_document(form=PRESENT.form + 1), "the file")
    assert caught.value.code is Code.REFUSED


def test_an_older_form_is_brought_up_step_by_step() -> None:
    def first(document: Document) -> Document:
        return document | {"driver": document.pop("kind")}

    def second(document: Document) -> Document:
        return document | {"version": document["driver"] + "-2"}

    old = json.loads(_document(form=1, kind="lab"))
    del old["driver"]
    read = decoded(json.dumps(old).encode(), "file", Schema(3, {1: first, 2: second}))
    assert (read.machine.driver, read.machine.version, read.form) == ("lab", "lab-2", 1)


@pytest.mark.parametrize("name", ["h1", "web-1.example.org", "A", "1", "x" * 63])
def test_names(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", ".", "..", "-h", "a/b", "a b", "x" * 64, "h1\n", "é"])
def test_no_names(name: str) -> None:
    with pytest.raises(SwarmError, match="no name for a machine"):
        check_name(name)


def test_how_far_the_work_came() -> None:
    machine = Machine("h1", Target("h1"))
    working = machine.at("packages", 5.0)
    assert (working.phase, working.step, working.changed) == (Phase.CHANGING, "packages", 5.0)
    failed = working.failed(SwarmError(Code.UNAVAILABLE, "no apt", why="locked"), 6.0)
    assert (failed.phase, failed.step, failed.error) == (Phase.FAILED, "packages", "no apt: locked")
    ready = failed.ready("0.1.0", 7.0)
    assert (ready.phase, ready.step, ready.error, ready.version) == (Phase.READY, "", "", "0.1.0")
