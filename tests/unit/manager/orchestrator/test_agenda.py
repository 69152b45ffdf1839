"""What is to be looked at, all of a service or some slots, and what has to wait."""

from manager.orchestrator.agenda import MANY, REST, Agenda
from manager.orchestrator.passes import Pass


def test_a_slot_is_noted_once_and_remembers_that_a_task_left_it() -> None:
    agenda = Agenda()
    agenda.mark_slot("web", 3, was_left=True)
    agenda.mark_slot("web", 3)
    agenda.mark_slot("web", 1)
    assert agenda.ready() == ["web"]
    marks = agenda.take("web")
    assert (marks.whole, marks.slots) == (False, {3: True, 1: False})
    assert agenda.ready() == []


def test_nothing_is_looked_at_while_something_proposed_is_on_its_way() -> None:
    agenda = Agenda()
    agenda.propose("web", ["a", "b"])
    assert not agenda.mark("web")
    assert not agenda.mark_slot("web", 1)
    assert agenda.ready() == []
    assert not agenda.settle("a")
    assert agenda.settle("b")
    assert agenda.ready() == ["web"]
    agenda.propose("idle", ["c"])
    assert not agenda.settle("c"), "nothing is noted of it"


def test_a_look_under_way_goes_on_meanwhile() -> None:
    agenda = Agenda()
    agenda.mark("web")
    marks = agenda.take("web")
    marks.whole, marks.under_way = False, Pass(iter(()), None)
    agenda.put_back("web", marks)
    agenda.propose("web", ["a"])
    assert agenda.ready() == ["web"]
    assert not agenda.may_begin("web", marks)


def test_after_a_long_look_the_next_one_waits_and_single_slots_do_not() -> None:
    agenda = Agenda()
    agenda.rest("web", 10 * MANY, now=100.0)
    agenda.rest("small", MANY, now=100.0)
    agenda.mark("web")
    agenda.mark("small")
    assert agenda.ready() == ["small"]
    until = 100.0 + REST * 10 * MANY
    assert agenda.next_wake() == until
    agenda.ring(until)
    assert agenda.ready() == ["web", "small"]
    agenda.rest("web", 10 * MANY, now=until)
    agenda.take("web")
    agenda.mark_slot("web", 7)
    assert "web" in agenda.ready()


def test_a_service_that_has_changed_waits_for_nothing_but_its_own_proposals() -> None:
    agenda = Agenda()
    agenda.rest("web", 10 * MANY, now=100.0)
    agenda.mark_slot("web", 1)
    assert agenda.renew("web")
    assert agenda.ready() == ["web"]
    assert agenda.take("web").whole
