"""Random files, random swarms, faults at any action: runs are begun again until all is quiet, and
then it is as wanted. On the way there is never a second swarm, and never too few managers: the
model looks after every action.
"""

import asyncio
import dataclasses
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from machine.swarm.actions import Action, AwaitQuorum, AwaitReady, Plan
from machine.swarm.choices import Choices
from machine.swarm.execute import Executor
from machine.swarm.outcome import Outcome
from machine.swarm.plan import UPGRADES, plan
from machine.swarm.seen import FORMER, NodeSeen
from machine.swarm.wanted import Availability, HostWanted, Role, SwarmWanted
from machine.target import Target
from tests.support.swarm_model import BROKEN, Model, ModelHost, differences
from tests.support.unguarded import unguarded

RUNS = 60
NAMES = tuple(f"h{number}" for number in range(1, 8))
LABELS = st.none() | st.dictionaries(st.sampled_from("ab"), st.sampled_from("xy"))
AVAILABILITY = st.none() | st.sampled_from(Availability)


@st.composite
def files(draw: st.DrawFn) -> SwarmWanted:
    hosts = {}
    for name in draw(st.permutations(NAMES))[: draw(st.integers(1, 7))]:
        hosts[name] = HostWanted(
            name,
            Target(name),
            role=draw(st.sampled_from(Role)),
            availability=draw(AVAILABILITY),
            labels=draw(LABELS),
            is_absent=draw(st.sampled_from((False, False, False, True))),
        )
    if not any(h.role is Role.MANAGER and not h.is_absent for h in hosts.values()):
        name = next(iter(hosts))
        hosts[name] = HostWanted(name, Target(name), role=Role.MANAGER)
    return SwarmWanted("s", hosts, version="2")


@st.composite
def worlds(draw: st.DrawFn, wanted: SwarmWanted) -> Model:
    """Hosts in any state that earlier runs, and people, may have left."""
    model = Model({}, random.Random(draw(st.integers(0, 2**32))))
    for name in wanted.hosts:
        version = draw(st.sampled_from(("", "1", "1", "2")))
        model.hosts[name] = ModelHost(version, has_settings=bool(version) and draw(st.booleans()))
    members = [n for n in wanted.hosts if model.hosts[n].version and draw(st.booleans())]
    for number, name in enumerate(members):
        host = model.hosts[name]
        model.cluster_id = host.cluster_id = "c"
        host.node_id = f"old{number}"
        seated = number == 0 or draw(st.booleans())
        found = draw(LABELS)
        labels = dict(found) if found else {}
        if draw(st.booleans()):
            labels[FORMER] = draw(st.sampled_from(Availability)).value
        if draw(st.sampled_from((True, True, True, False))) or number == 0:
            model.nodes[host.node_id] = NodeSeen(
                host.node_id,
                hostname=name,
                role=Role.MANAGER if seated else Role.WORKER,
                is_seated=seated,
                is_reachable=seated,
                is_ready=True,
                availability=draw(st.sampled_from(Availability)),
                labels=labels,
                version=host.version,
            )
    return model


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_it_always_comes_to_what_is_wanted(data: st.DataObject) -> None:
    wanted = data.draw(files())
    model = data.draw(worlds(wanted))
    model.faults = data.draw(st.integers(0, 12))
    choices = Choices(cleanup=data.draw(st.booleans()), batch=data.draw(st.integers(1, 3)))
    asyncio.run(_run_until_quiet(wanted, model, choices))
    assert list(differences(wanted, model)) == []


async def _run_until_quiet(wanted: SwarmWanted, model: Model, choices: Choices) -> None:
    for _ in range(RUNS):
        made = plan(wanted, model.seen(), choices)
        if made.refusals:
            before = model.seen()
            model.time_passes()
            assert model.seen() != before, made.refusals
            continue
        if made.is_empty:
            return
        executor = Executor(model, lambda _: None, together=3, guard=unguarded)
        outcome = await executor.run(made)
        if not outcome.failures:
            model.time_passes()
            again = plan(wanted, model.seen(), choices)
            assert again.is_empty, f"one run was not enough: {again}"
    raise AssertionError("it does not come to an end")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_version_that_does_not_come_up_leaves_the_swarm_as_it_was(data: st.DataObject) -> None:
    wanted, model = _settled(data.draw(st.integers(1, 5)), data.draw(st.integers(0, 3)))
    wanted = dataclasses.replace(wanted, version=BROKEN)
    model.version = BROKEN
    outcome = asyncio.run(_once(wanted, model, Choices(batch=data.draw(st.integers(1, 2)))))
    assert len(outcome.undone) == len(outcome.failures) >= 1
    model.time_passes()
    assert {host.version for host in model.hosts.values()} == {"2"}
    assert all(node.is_ready and FORMER not in node.labels for node in model.nodes.values())


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_going_back_may_be_interrupted_as_well(data: st.DataObject) -> None:
    wanted, model = _settled(data.draw(st.integers(1, 5)), data.draw(st.integers(0, 3)))
    wanted = dataclasses.replace(wanted, version="1")
    model.faults = data.draw(st.integers(0, 8))
    model.chance = random.Random(data.draw(st.integers(0, 2**32)))
    for _ in range(RUNS):
        made = plan(wanted, model.seen(), Choices(goes_back=True), only=UPGRADES)
        if made.is_empty and not made.refusals:
            break
        asyncio.run(_execute(made, model))
        model.time_passes()
    assert {host.version for host in model.hosts.values()} == {"1"}


@pytest.mark.parametrize("waits", [AwaitReady, AwaitQuorum])
def test_the_model_finds_who_does_not_wait(waits: type[Action]) -> None:
    """Of three managers two are away if nobody waits for the first; one wait alone is enough."""
    wanted, model = _settled(3, 0)
    wanted, model.version = dataclasses.replace(wanted, version="3"), "3"
    made = plan(wanted, model.seen(), Choices())
    asyncio.run(_execute(_without(made, waits), model))
    wanted, model = _settled(3, 0)
    wanted, model.version = dataclasses.replace(wanted, version="3"), "3"
    with pytest.raises(ExceptionGroup) as found:
        asyncio.run(_execute(_without(made, AwaitReady, AwaitQuorum), model))
    assert found.group_contains(AssertionError, match="the quorum is lost")


def _settled(managers: int, workers: int) -> tuple[SwarmWanted, Model]:
    """A swarm that is as it is wanted, with version 2."""
    names = [*(f"m{n}" for n in range(managers)), *(f"w{n}" for n in range(workers))]
    roles = {name: Role.MANAGER if name[0] == "m" else Role.WORKER for name in names}
    hosts = {name: HostWanted(name, Target(name), role=role) for name, role in roles.items()}
    wanted = SwarmWanted("s", hosts, version="2")
    model = Model({name: ModelHost() for name in names}, random.Random(0))
    asyncio.run(_run_until_quiet(wanted, model, Choices()))
    return wanted, model


def _without(made: Plan, *waits: type[Action]) -> Plan:
    phases = []
    for phase in made.phases:
        lanes = [
            dataclasses.replace(
                lane, actions=tuple(a for a in lane.actions if not isinstance(a, waits))
            )
            for lane in phase.lanes
        ]
        phases.append(dataclasses.replace(phase, lanes=tuple(lanes)))
    return dataclasses.replace(made, phases=tuple(phases))


async def _once(wanted: SwarmWanted, model: Model, choices: Choices) -> Outcome:
    return await _execute(plan(wanted, model.seen(), choices), model)


async def _execute(made: Plan, model: Model) -> Outcome:
    return await Executor(model, lambda _: None, together=3, guard=unguarded).run(made)
