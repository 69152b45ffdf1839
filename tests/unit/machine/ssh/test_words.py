import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.errors import Code, SwarmError
from machine.ssh.words import command_line

SHELLS = [shell for shell in ("sh", "bash", "zsh", "fish", "csh") if shutil.which(shell)]
PRINT = r'for word; do printf "%s\0" "$word"; done'
words = st.lists(
    st.text(st.sampled_from("ab '\"\\!$`*?~#;&|<>(){}[]=\n\t-é")) | st.text(), min_size=1
).filter(lambda words: all("\0" not in word for word in words))


@pytest.mark.parametrize("shell", SHELLS)
@settings(max_examples=60, deadline=None)
@given(words=words)
def test_a_login_shell_takes_the_line_apart_into_the_same_words(
    shell: str, words: list[str]
) -> None:
    try:
        expected = [word.encode() for word in words]
    except UnicodeEncodeError:
        return  # lone surrogates are no text
    line = command_line(["sh", "-c", PRINT, "x", *words])
    said = subprocess.run([shell, "-c", line], check=True, stdout=subprocess.PIPE, timeout=20)
    assert said.stdout.split(b"\0")[:-1] == expected


def test_plain_words_stay_readable() -> None:
    assert command_line(["ls", "-l", "/etc/a.conf", "a b"]) == "ls -l /etc/a.conf 'a b'"
    assert command_line([""]) == "''"


def test_a_line_is_one_line() -> None:
    """Whatever its words hold: csh ends a quoted word at a newline."""
    assert "\n" not in command_line(["sh", "-c", "a\\n\nb\n"])


def test_a_word_with_a_nul_byte_is_refused() -> None:
    with pytest.raises(SwarmError) as failed:
        command_line(["a\0b"])
    assert failed.value.code is Code.INVALID
