"""What a host says that it lacks."""

from dataclasses import replace

import pytest

from runtime.host import missing_controllers
from runtime.host_facts import HostFacts


@pytest.mark.parametrize(
    ("controllers", "swap", "missing"),
    [
        ("memory cpu pids io", True, ()),
        ("memory cpu pids", False, ("swap",)),
        ("cpu", False, ("memory", "pids", "swap")),
    ],
)
def test_controllers_behind_limits(
    paper_host: HostFacts, controllers: str, swap: bool, missing: tuple[str, ...]
) -> None:
    facts = replace(paper_host, controllers=frozenset(controllers.split()), swap_accounting=swap)
    assert missing_controllers(facts) == missing
