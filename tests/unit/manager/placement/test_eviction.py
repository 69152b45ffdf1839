from api import states
from manager.placement.eviction import evicted, was_evicted
from tests.support.builders import EPOCH, task


def test_an_evicted_task_has_ended_and_is_told_from_one_that_failed() -> None:
    running = task("t", node_id="n1")
    ended = evicted(running, "too little room", EPOCH + 1)
    assert states.is_terminal(ended)
    assert ended.status.error == "too little room"
    assert was_evicted(ended)
    assert not was_evicted(running)
    assert not was_evicted(task("t", state=states.REJECTED))
    assert running.status.state == states.RUNNING
