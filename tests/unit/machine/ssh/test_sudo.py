"""What the answers of sudo mean; the real ones are in test_sudo_for_real."""

import pytest

from api.errors import Code, SwarmError
from hostkit.process import Completed
from machine.ssh.sudo import Rights, Way, denied, refused_later, unasked, wants_password, wrapped

SECRET = Rights(Way.PASSWORD, "secret")


def answer(code: int, err: str = "", out: str = "") -> Completed:
    return Completed(("x",), code, out.encode(), err.encode())


def test_commands_are_ended_by_the_host_as_root() -> None:
    bounded = ("timeout", "-k", "5", "9.00", "a", "b")
    english = ("env", "LC_ALL=C.UTF-8")
    assert wrapped(["a", "b"], Rights(Way.ROOT), 9) == ((*english, *bounded), b"")
    assert wrapped(["a", "b"], Rights(Way.FREE), 9) == (
        (*english, "sudo", "-n", "--", *bounded),
        b"",
    )
    words, first = wrapped(["a", "b"], SECRET, 9)
    assert words == (*english, "sudo", "-S", "-k", "-p", "", "--", *bounded)
    assert first == b"secret\n"


def test_a_password_is_in_no_representation() -> None:
    assert "secret" not in repr(SECRET)


@pytest.mark.parametrize(
    ("code", "talk", "why"),
    [
        (127, "env: \u2018sudo\u2019: No such file or directory", "sudo is not installed there"),
        (1, "op is not in the sudoers file.", "op may not use sudo there"),
        (1, "Sorry, user op is not allowed to execute 'true'", "op may not use sudo there"),
        (1, "sudo: 1 incorrect password attempt", "the password of op was wrong"),
        (1, "sudo: sorry, you must have a tty to run sudo", "sudo there wants a terminal"),
        (1, "sudo: account validation failure", "sudo: account validation failure"),
        (1, "sudo: I'm sorry op. I'm afraid I can't do that", "op may not use sudo there"),
        (1, "sudo-rs: Maximum 3 incorrect authentication attempts", "the password of op was wrong"),
        (1, "sudo: Authentication required but not attempted", "the password of op was wrong"),
    ],
)
def test_why_it_was_denied(code: int, talk: str, why: str) -> None:
    error = denied(answer(code, f"sudo: unable to resolve host h\n{talk}\n"), "op", "h1")
    assert (error.code, error.why) == (Code.DENIED, why)
    assert "h1" in error.what
    assert error.remedy


def test_whether_a_password_helps() -> None:
    assert not wants_password(answer(0), "op", "h1")
    assert wants_password(answer(1, "sudo: a password is required\n"), "op", "h1")
    assert wants_password(answer(1, "sudo: interactive authentication is required\n"), "op", "h1")
    for code, talk, why in (
        (127, "sudo: not found", "sudo is not installed there"),
        (1, "sudo-rs: I'm sorry op. I'm afraid I can't do that", "op may not use sudo there"),
    ):
        with pytest.raises(SwarmError) as failed:
            wants_password(answer(code, talk), "op", "h1")
        assert failed.value.why == why
    assert "op" in unasked("op", "h1").remedy


@pytest.mark.parametrize(
    ("rights", "code", "err", "refused"),
    [
        (SECRET, 1, "sudo: 3 incorrect password attempts\n", True),
        (Rights(Way.FREE), 1, "sudo: a password is required\n", True),
        (Rights(Way.FREE), 1, "sudo-rs: interactive authentication is required\n", True),
        (
            SECRET,
            1,
            "\nsudo: Authentication failed, try again.\n\n"
            "sudo-rs: Maximum 3 incorrect authentication attempts\n",
            True,
        ),
        (SECRET, 1, "sudo: I'm sorry op. I'm afraid I can't do that\n", True),
        (SECRET, 1, "curl: authentication failed\n", False),
        (Rights(Way.FREE), 1, "sudo: unable to resolve host\nno such password\n", False),
        (Rights(Way.ROOT), 1, "sudo: a password is required\n", False),
        (SECRET, 2, "sudo: a password is required\n", False),
    ],
)
def test_sudo_that_fails_is_told_from_a_command_that_does(
    rights: Rights, code: int, err: str, refused: bool
) -> None:
    assert refused_later(rights, answer(code, err)) is refused
