"""What is done to make a node of a lab's host, from what it has and what is wanted."""

from pathlib import Path
from typing import Any

import pytest

from api.errors import Code, SwarmError
from machine.drivers.lab.provisioner import Seen, due, text_of
from machine.provisioning import Wanted

OLD, NEW = "a = 1\n", "a = 2\n"


@pytest.mark.parametrize(
    ("seen", "signs"),
    [
        (Seen(NEW, "2"), ""),
        (Seen(NEW, ""), "+"),
        (Seen(NEW, "1"), "!"),
        (Seen(OLD, "2"), "~!"),
        (Seen(OLD, ""), "~+"),
        (Seen(OLD, "1"), "~!"),
    ],
)
def test_what_is_due(seen: Seen, signs: str) -> None:
    assert "".join(change.kind.value for change in due(seen, NEW, "2")) == signs


def test_settings_are_written_as_they_were_wished() -> None:
    wanted = Wanted("2", {"labels": {"rack": "a"}, "log_level": "debug"}, hostname="h1")
    assert text_of(wanted, "h1") == 'labels = { rack = "a" }\nlog_level = "debug"\n'
    assert text_of(Wanted("2"), "h1") == ""


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"settings": {"state_dir": "/x"}}, Code.INVALID),
        ({"hostname": "other"}, Code.INVALID),
        ({"wheel": Path("x.whl")}, Code.UNSUPPORTED),
    ],
)
def test_what_a_lab_cannot_do(said: dict[str, Any], code: Code) -> None:
    with pytest.raises(SwarmError) as refused:
        text_of(Wanted("2", **said), "h1")
    assert refused.value.code is code
