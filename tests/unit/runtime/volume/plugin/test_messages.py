import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.volume.driver import Scope
from runtime.volume.plugin import messages
from runtime.volume.plugin.messages import Lie, Told

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
FIELDS = ("Err", "Mountpoint", "Volume", "Volumes", "Name", "Capabilities", "Scope", "Implements")
SHAPED = st.dictionaries(
    st.sampled_from(FIELDS),
    JSON | st.dictionaries(st.sampled_from(FIELDS), JSON) | st.text().map(lambda text: "/" + text),
)
READERS: tuple[Any, ...] = (
    messages.refusal,
    messages.implements,
    messages.mountpoint,
    messages.volume,
    messages.volumes,
    messages.scope,
)


def answer(document: object) -> messages.Answer:
    return messages.read(json.dumps(document).encode())


@settings(deadline=None)
@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_an_object_or_a_lie(body: bytes) -> None:
    with contextlib.suppress(Lie):
        assert isinstance(messages.read(body), dict)


@settings(deadline=None)
@given(SHAPED)
def test_any_object_is_understood_or_a_lie(document: dict[str, Any]) -> None:
    for read in READERS:
        with contextlib.suppress(Lie):
            read(answer(document))


@settings(deadline=None)
@given(st.text())
def test_what_a_stranger_says_is_one_short_line(text: str) -> None:
    shown = messages.readable(text)
    assert shown.isprintable()
    assert len(shown) <= 500


@settings(deadline=None)
@given(st.text())
def test_a_path_is_absolute_and_leads_never_up(text: str) -> None:
    try:
        path = messages.mountpoint({"mountpoint": text})
    except Lie:
        return
    assert path == "" or (path.startswith("/") and ".." not in path.split("/"))


def test_deep_nesting_is_a_lie() -> None:
    with pytest.raises(Lie):
        messages.read(b"[" * 100_000)


@pytest.mark.parametrize("key", ["Mountpoint", "mountpoint", "MOUNTPOINT", "MountPoint"])
def test_names_of_fields_are_taken_in_any_case(key: str) -> None:
    assert messages.mountpoint(answer({key: "/mnt//x/"})) == "/mnt/x"


@pytest.mark.parametrize(
    ("document", "scope"),
    [
        ({"Capabilities": {"Scope": "global"}}, Scope.GLOBAL),
        ({"Capabilities": {"Scope": "GLOBAL"}}, Scope.GLOBAL),
        ({"Capabilities": {"Scope": "local"}}, Scope.LOCAL),
        ({"Capabilities": {"Scope": "everywhere"}}, Scope.LOCAL),
        ({"Capabilities": {"Scope": 1}}, Scope.LOCAL),
        ({"Capabilities": []}, Scope.LOCAL),
        ({}, Scope.LOCAL),
    ],
)
def test_what_is_not_said_to_be_global_is_local(document: Any, scope: Scope) -> None:
    assert messages.scope(answer(document)) is scope


def test_volumes_are_read() -> None:
    given_ = {
        "Volumes": [{"Name": "a", "Mountpoint": "/a", "CreatedAt": "now", "Status": {"x": 1}}]
    }
    assert messages.volumes(answer(given_)) == [Told("a", "/a", "now", {"x": 1})]
    assert messages.volumes(answer({"Volumes": None})) == []
    assert messages.volume(answer({"Volume": {"Name": "a"}})) == Told("a")
    assert messages.volume(answer({})) is None


@pytest.mark.parametrize(
    "document",
    [
        {"Volumes": {}},
        {"Volumes": [1]},
        {"Volumes": [{}]},
        {"Volumes": [{"Name": ""}]},
        {"Volumes": [{"Name": "a\n"}]},
        {"Volumes": [{"Name": "a", "Mountpoint": "relative"}]},
        {"Volumes": [{"Name": "a"}] * 10_001},
    ],
)
def test_wrong_lists_are_lies(document: Any) -> None:
    with pytest.raises(Lie):
        messages.volumes(answer(document))
