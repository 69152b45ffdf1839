"""A node's keys: which is used when, and that a private one is seen nowhere."""

from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from overlay_net.encrypt.key_file import KeyFile
from overlay_net.encrypt.key_ring import KeyRing
from overlay_net.encrypt.keys import Keys, fresh, key_pair

DAY = 86400.0
AGE = 7 * DAY
NOW = 1_900_000_000.0


class Moving:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def made(number: int, *, chance: float = 0.0) -> Keys:
    return fresh(lambda length: bytes([number]) * length, NOW, chance)


def test_a_private_key_is_not_shown() -> None:
    keys = made(7)
    assert keys.current.private.hex() not in repr(keys)
    assert repr(keys.current.private) not in repr(keys)
    assert keys.current.public == key_pair(keys.current.private).public


@pytest.mark.parametrize(
    ("chance", "after", "due"),
    [
        (0.0, AGE - 1, False),
        (0.0, AGE, True),
        (1.0, 0.9 * AGE - 1, False),
        (1.0, 0.9 * AGE, True),
        (0.0, -AGE, False),
        (0.0, -AGE - 1, True),
    ],
)
def test_when_a_key_is_old(chance: float, after: float, due: bool) -> None:
    assert made(7, chance=chance).is_due(NOW + after, AGE) is due


def test_a_key_is_used_once_the_managers_tell_of_it() -> None:
    before, coming = made(7), made(8)
    both = before.with_coming(coming)
    assert (both.current, both.published) == (before.current, coming.published)
    assert not both.is_due(NOW + 2 * AGE, AGE), "one at a time"
    assert both.heard(before.published) == both
    assert both.heard(b"") == both
    after = both.heard(coming.published)
    assert (after.current, after.coming) == (coming.current, None)
    assert after.heard(before.published) == after


def test_what_was_saved_is_found(tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "keys")
    assert file.load() is None
    for keys in (made(7), made(7).with_coming(made(8, chance=0.5), round=3)):
        file.save(keys)
        assert file.load() == keys
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["keys"]
    file.remove()
    file.remove()
    assert file.load() is None


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"current": "00", "coming": ""}', "\x80"])
def test_a_damaged_file_is_refused_without_its_content(tmp_path: Path, content: str) -> None:
    path = tmp_path / "keys"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(SwarmError) as refused:
        KeyFile(path).load()
    assert refused.value.code is Code.REFUSED
    assert refused.value.__cause__ is None


def test_a_ring_keeps_its_keys_over_restarts_and_replaces_them_with_age(tmp_path: Path) -> None:
    file, now = KeyFile(tmp_path / "keys"), Moving()

    def ring() -> KeyRing:
        opened = KeyRing(file, now, lambda: 0.0)
        opened.open()
        return opened

    first = ring()
    key = first.published
    assert ring().published == key
    assert not first.rotate()
    now.now += AGE
    assert first.rotate()
    new = first.published
    assert new != key
    assert first.used(key).public == key
    again = ring()
    assert again.published == new
    assert again.used(key).public == key, "until the managers tell of the new one"
    assert again.used(new).public == new
    assert ring().used(b"").public == new
    assert first.used(new).public == new
    assert first.rotate(round=1), "asked for"
    assert not first.rotate(round=2), "one at a time"
    first.used(first.published)
    assert first.rotate()
    first.used(first.published)
    assert not first.rotate(round=2)
    assert not ring().rotate(round=2)
    first.forget()
    assert first.published == b""
    assert ring().published not in (key, new)
