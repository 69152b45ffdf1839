"""Text that sets and unsets environment variables, in the words of each shell. Pure."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import PurePath

SHELLS = ("bash", "zsh", "fish", "powershell", "cmd")


def of_environment(environment: Mapping[str, str]) -> str:
    """The shell that its user has, by $SHELL; bash's words if that is none of ours."""
    name = PurePath(environment.get("SHELL", "")).name
    return name if name in SHELLS else "bash"


def script(
    shell: str, values: Mapping[str, str], unset: Sequence[str], command: Sequence[str]
) -> str:
    """What the shell is to run; then, as remarks, how it gets there: by the output of `command`."""
    lines = [_set(shell, name, value) for name, value in values.items()]
    lines += [_unset(shell, name) for name in unset]
    words = " ".join(command)
    remark, run = {
        "fish": ("#", f"eval ({words})"),
        "powershell": ("#", f"& {words} | Invoke-Expression"),
        "cmd": ("REM", f"@FOR /f \"tokens=*\" %i IN ('{words}') DO @%i"),
    }.get(shell, ("#", f"eval $({words})"))
    return "\n".join(
        [*lines, f"{remark} Run this command to configure your shell:", f"{remark} {run}", ""]
    )


def _set(shell: str, name: str, value: str) -> str:
    if shell == "fish":
        quoted = value.replace("\\", "\\\\").replace("'", "\\'")
        return f"set -gx {name} '{quoted}';"
    if shell == "powershell":
        doubled = value.replace("'", "''")
        return f"$Env:{name} = '{doubled}'"
    if shell == "cmd":
        return f"SET {name}={value}"
    return f"export {name}={shlex.quote(value)}"


def _unset(shell: str, name: str) -> str:
    if shell == "fish":
        return f"set -e {name};"
    if shell == "powershell":
        return f"Remove-Item Env:\\{name} -ErrorAction SilentlyContinue"
    return f"SET {name}=" if shell == "cmd" else f"unset {name}"
