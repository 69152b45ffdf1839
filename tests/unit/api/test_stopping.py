from api.stopping import grace_of
from api.times import duration
from tests.support.builders import task_spec


def test_grace() -> None:
    spec = task_spec()
    assert grace_of(spec) == 10
    spec.container.stop_grace_period.CopyFrom(duration(0))
    assert grace_of(spec) == 0
    spec.container.stop_grace_period.CopyFrom(duration(2.5))
    assert grace_of(spec) == 2.5
