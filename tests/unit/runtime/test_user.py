"""Users and groups of an image, by Docker's rules."""

import pytest

from api.errors import SwarmError
from runtime.user import User, resolve

ACCOUNTS = """\
root:x:0:0:root:/root:/bin/sh
web:x:33:33:web:/var/www:/bin/sh
broken line
short:x:5
1000:x:7:7:a name that is a number:/seven:/bin/sh
app:x:1001:1001::/home/app:
nohome:x:1002:1002:::
"""
GROUP = """\
root:x:0:
web:x:33:app
extra:x:44:app,web
video:x:55:
"""


@pytest.mark.parametrize(
    ("text", "extra", "expected"),
    [
        ("", (), User(0, 0, (0,), "/root")),
        ("root", (), User(0, 0, (0,), "/root")),
        ("app", (), User(1001, 1001, (33, 44, 1001), "/home/app")),
        ("1001", (), User(1001, 1001, (33, 44, 1001), "/home/app")),
        ("app:video", (), User(1001, 55, (55,), "/home/app")),
        ("app:77", (), User(1001, 77, (77,), "/home/app")),
        ("4242", (), User(4242, 0, (0,), "/")),
        ("4242:4343", (), User(4242, 4343, (4343,), "/")),
        ("1000", (), User(7, 7, (7,), "/seven")),
        ("nohome", (), User(1002, 1002, (1002,), "/")),
        (":video", (), User(0, 55, (55,), "/root")),
        ("app", ("video", "99"), User(1001, 1001, (33, 44, 55, 99, 1001), "/home/app")),
    ],
)
def test_resolve(text: str, extra: tuple[str, ...], expected: User) -> None:
    assert resolve(text, extra, ACCOUNTS, GROUP) == expected


def test_an_image_without_any_accounts() -> None:
    assert resolve("", (), "", "") == User(0, 0, (0,), "/")
    assert resolve("5:6", (), "", "") == User(5, 6, (6,), "/")


@pytest.mark.parametrize(
    ("text", "extra", "field"),
    [
        ("bob", (), "container.user"),
        ("short", (), "container.user"),
        ("root:nobodies", (), "container.user"),
        ("-1", (), "container.user"),
        ("2147483648", (), "container.user"),
        ("²", (), "container.user"),
        ("root", ("0", "nobodies"), "container.groups[1]"),
    ],
)
def test_refused(text: str, extra: tuple[str, ...], field: str) -> None:
    with pytest.raises(SwarmError) as caught:
        resolve(text, extra, ACCOUNTS, GROUP)
    assert caught.value.field == field
