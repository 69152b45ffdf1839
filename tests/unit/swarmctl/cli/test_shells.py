"""What shells are told: real ones take it, where they are at hand."""

import shutil
import subprocess

import pytest

from swarmctl.cli.shells import of_environment, script

VALUES = {"SWARM_HOST": "tcp://[::1]:2376", "SWARM_CERT_PATH": "/a folder/it's $HOME `x`"}
EVAL = ["swarmctl", "machine", "env", "h1"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_sets_and_unsets_them(shell: str) -> None:
    path = shutil.which(shell) or shutil.which("bash")
    told = shell if shutil.which(shell) else "bash"
    code = script(told, VALUES, (), EVAL) + 'echo "$SWARM_HOST|$SWARM_CERT_PATH"\n'
    code += script(told, {}, list(VALUES), EVAL) + 'echo "$SWARM_HOST|$SWARM_CERT_PATH"\n'
    done = subprocess.run([str(path), "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["|".join(VALUES.values()), "|"]


@pytest.mark.parametrize(
    ("shell", "lines"),
    [
        (
            "bash",
            [
                "export A='b c'",
                "unset D",
                "# Run this command to configure your shell:",
                "# eval $(swarmctl machine env h1)",
            ],
        ),
        (
            "fish",
            [
                "set -gx A 'b c';",
                "set -e D;",
                "# Run this command to configure your shell:",
                "# eval (swarmctl machine env h1)",
            ],
        ),
        (
            "powershell",
            [
                "$Env:A = 'b c'",
                "Remove-Item Env:\\D -ErrorAction SilentlyContinue",
                "# Run this command to configure your shell:",
                "# & swarmctl machine env h1 | Invoke-Expression",
            ],
        ),
        (
            "cmd",
            [
                "SET A=b c",
                "SET D=",
                "REM Run this command to configure your shell:",
                "REM @FOR /f \"tokens=*\" %i IN ('swarmctl machine env h1') DO @%i",
            ],
        ),
    ],
)
def test_each_in_its_words(shell: str, lines: list[str]) -> None:
    assert script(shell, {"A": "b c"}, ["D"], EVAL).splitlines() == lines


@pytest.mark.parametrize(
    ("environment", "shell"),
    [
        ({"SHELL": "/usr/bin/fish"}, "fish"),
        ({"SHELL": "/bin/zsh"}, "zsh"),
        ({"SHELL": "/bin/dash"}, "bash"),
        ({}, "bash"),
    ],
)
def test_which_shell_it_is(environment: dict[str, str], shell: str) -> None:
    assert of_environment(environment) == shell
