from hypothesis import given
from hypothesis import strategies as st

from api.v1 import network_pb2
from overlay_net.backends import Backends, Gathering
from tests.support.backends import gathered


def endpoint(task: int, service: str = "s", *, serving: bool = True) -> network_pb2.NetworkEndpoint:
    return network_pb2.NetworkEndpoint(
        task_id=f"t{task}", service_id=service, addresses=[f"10.0.1.{task}/24"], serving=serving
    )


def test_who_serves_and_who_is_there() -> None:
    found = gathered([endpoint(12), endpoint(11), endpoint(13, serving=False)]).backends()
    assert found == Backends(
        {"s": ("10.0.1.11", "10.0.1.12")}, frozenset({"10.0.1.11", "10.0.1.12", "10.0.1.13"})
    )
    assert found.of("other") == ()


def test_an_address_of_two_is_there_until_both_are_gone() -> None:
    heir = endpoint(11)
    heir.task_id = "heir"
    gathering = gathered([endpoint(11), heir])
    gathering.drop("t11")
    assert gathering.backends().living == {"10.0.1.11"}
    gathering.drop("heir")
    assert gathering.backends() == Backends({}, frozenset())


def test_a_service_that_has_not_changed_is_the_same_object() -> None:
    gathering = gathered([endpoint(1, "a"), endpoint(2, "b")])
    before = gathering.backends()
    gathering.put(endpoint(3, "b"))
    assert gathering.backends().of("a") is before.of("a")
    assert gathering.backends() is gathering.backends()
    assert before.of("b") == ("10.0.1.2",)


Step = tuple[int, str, bool] | int


@given(
    st.lists(
        st.one_of(
            st.tuples(st.integers(1, 6), st.sampled_from("ab"), st.booleans()), st.integers(1, 6)
        ),
        max_size=20,
    )
)
def test_step_by_step_is_as_at_once(steps: list[Step]) -> None:
    gathering, there = Gathering(), dict[int, network_pb2.NetworkEndpoint]()
    for step in steps:
        if isinstance(step, int):
            gathering.drop(f"t{step}")
            there.pop(step, None)
        else:
            task, service, serving = step
            there[task] = endpoint(task, service, serving=serving)
            gathering.put(there[task])
        assert gathering.backends() == gathered(there.values()).backends()
