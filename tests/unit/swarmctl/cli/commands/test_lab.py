import pytest
from click.testing import CliRunner

from api.errors import Code, SwarmError
from machine.drivers.lab import driver
from swarmctl.cli.commands.lab import lab


@pytest.mark.parametrize(
    "arguments",
    [
        ["up", "--name", "Not-A-Lab"],
        ["up", "--managers", "0"],
        ["up", "--workers", "201"],
        ["up", "--expose", "0.0.0.0:2377"],
        ["up", "--heartbeat", "0"],
        ["exec", "m1"],
        ["exec", "m1", "--"],
        ["partition", "m1"],
        ["kill"],
        ["daemon", "m1", "dance"],
        ["up", "--disk", "1"],
        ["cut", "m1", "--only", "up"],
        ["disk", "m1", "polish"],
    ],
)
def test_usage_errors_touch_nothing(arguments: list[str]) -> None:
    done = CliRunner().invoke(lab, arguments)
    assert done.exit_code == 2, done.output


def test_an_unknown_lab_is_an_error_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    done = CliRunner().invoke(lab, ["down", "--name", "nosuchlab"])
    assert isinstance(done.exception, SwarmError)
    assert done.exception.code is Code.NOT_FOUND
    assert "swarmctl lab up" in done.exception.remedy


def test_a_lab_that_is_taken_down_while_labs_are_listed_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("swarmctl.cli.commands.lab.labs", lambda: ["nosuchlab"])
    done = CliRunner().invoke(lab, ["ls", "-q"])
    assert (done.exit_code, done.output) == (0, "")


def test_anybody_but_root_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(SwarmError, match="needs root"):
        driver.need_root()
    done = CliRunner().invoke(lab, ["down"])
    assert isinstance(done.exception, SwarmError)
    assert done.exception.code is Code.DENIED
