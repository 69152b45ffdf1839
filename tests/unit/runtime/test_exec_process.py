"""The process object of a command beside a container's own process."""

from typing import Any

import pytest

from api.errors import SwarmError
from runtime import exec_process
from runtime.driver import ExecRequest

ACCOUNTS = "root:x:0:0::/root:/bin/sh\napp:x:1001:1002::/home/app:\n"
GROUP = "root:x:0:\napp:x:1002:\nextra:x:44:app\n"
BASE: dict[str, Any] = {
    "terminal": False,
    "user": {"uid": 0, "gid": 0, "additionalGids": [0]},
    "args": ["server"],
    "env": ["PATH=/bin", "A=1", "HOME=/root"],
    "cwd": "/srv",
    "capabilities": {name: ["CAP_KILL"] for name in ("bounding", "effective", "permitted")},
    "noNewPrivileges": True,
    "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 1}],
}


def build(base: dict[str, Any] = BASE, **changes: Any) -> dict[str, Any]:
    return exec_process.build(base, ExecRequest(("ls", "-l"), **changes), ACCOUNTS, GROUP)


def test_what_is_not_asked_for_is_the_containers() -> None:
    assert build() == BASE | {"args": ["ls", "-l"]}


def test_a_terminal_has_a_size_and_a_kind() -> None:
    made = build(tty=True, rows=33, columns=77)
    assert (made["terminal"], made["consoleSize"]) == (True, {"height": 33, "width": 77})
    assert made["env"] == [*BASE["env"], "TERM=xterm"]
    assert "TERM=dumb" in build(tty=True, env=("TERM=dumb",))["env"]
    plain = build({**BASE, "terminal": True, "consoleSize": {"height": 1, "width": 1}})
    assert (plain["terminal"], "consoleSize" in plain) == (False, False)


def test_variables_are_added_changed_and_taken_away() -> None:
    made = build(env=("A=2", "B=x=y", "HOME", "NONE"), dir="/etc")
    assert made["env"] == ["PATH=/bin", "A=2", "B=x=y"]
    assert made["cwd"] == "/etc"


def test_another_user_has_his_groups_and_home_and_no_capabilities() -> None:
    made = build(user="app")
    assert made["user"] == {"uid": 1001, "gid": 1002, "additionalGids": [44, 1002]}
    assert made["capabilities"] == {"bounding": ["CAP_KILL"]}
    assert made["env"] == ["PATH=/bin", "A=1", "HOME=/home/app"]
    own = BASE | {"env": ["HOME=/data"]}
    assert build(own, user="app")["env"] == ["HOME=/data"]


def test_root_in_a_container_of_another_user_has_the_containers_bound_and_no_more() -> None:
    base = BASE | {
        "user": {"uid": 1001, "gid": 1002},
        "capabilities": {"bounding": ["CAP_CHOWN"]},
        "env": ["HOME=/home/app"],
    }
    made = build(base, user="root")
    assert made["capabilities"].keys() == {"bounding", "effective", "permitted"}
    assert all(held == ["CAP_CHOWN"] for held in made["capabilities"].values())
    assert made["env"] == ["HOME=/root"]
    assert build(base)["capabilities"] == {"bounding": ["CAP_CHOWN"]}


def test_a_user_that_the_image_does_not_know() -> None:
    with pytest.raises(SwarmError):
        build(user="nobody")


def test_the_containers_own_is_left_as_it_is() -> None:
    before = str(BASE)
    build(user="app", env=("A=2",), tty=True)
    assert str(BASE) == before
