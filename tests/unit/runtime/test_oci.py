"""What OCI runtimes say, made readable."""

from pathlib import Path

import pytest

from runtime.oci import OciError, OciRuntime, last_words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("\n \n", ""),
        ("2024-02-03T04:05:06.123Z: executable `x` not found\n", "executable `x` not found"),
        ("noise\nlast: words", "last: words"),
        (
            'time="2024-02-03T04:05:06Z" level=error msg="exec: \\"x\\": not found"\n',
            'exec: "x": not found',
        ),
        ('{"level":"error","msg":"no such thing"}', "no such thing"),
        ('{"level":"error"}', '{"level":"error"}'),
        ("{broken", "{broken"),
    ],
)
def test_last_words(text: str, expected: str) -> None:
    assert last_words(text) == expected


def test_calls() -> None:
    echo = OciRuntime(Path("/bin/echo"), "crun", "1", Path("/r"))
    assert echo.call("state", "x") == "--root /r --cgroup-manager cgroupfs state x\n"
    assert echo.status("x") == ""
    assert OciRuntime(Path("/bin/echo"), "runc", "1", Path("/r")).call("list") == "--root /r list\n"
    with pytest.raises(OciError, match="cannot be run"):
        OciRuntime(Path("/no/such"), "crun", "1", Path("/r")).call("list")
    with pytest.raises(OciError):
        OciRuntime(Path("/bin/false"), "crun", "1", Path("/r")).delete("x")
