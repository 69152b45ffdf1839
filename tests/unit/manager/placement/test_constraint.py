import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.v1 import objects_pb2, types_pb2
from manager.placement.constraint import label_of, matches, parse, parsed, unmet
from tests.support.builders import node


def host(node_id: str = "N1", address: str = "10.1.2.3") -> objects_pb2.Node:
    made = node(node_id, architecture="x86_64")
    made.description.hostname = "Web-1"
    made.status.address = address
    made.role = types_pb2.NODE_ROLE_MANAGER
    made.spec.annotations.labels.update({"rack": "A", "Zone": "east", "example.com/tier": "gold"})
    made.description.engine.labels["storage"] = "ssd"
    return made


HOLDS = [
    "node.id==N1",
    "node.id == n1",
    "NODE.ID!=N2",
    "node.hostname==web-1",
    "node.hostname!=web-2",
    "node.ip==10.1.2.3",
    "node.ip==10.0.0.0/8",
    "node.ip==10.9.9.9/8",
    "node.ip!=10.1.2.4",
    "node.ip!=192.168.0.0/16",
    "node.ip!=fd00::/8",
    "node.role==manager",
    "node.role==MANAGER",
    "node.role!=worker",
    "node.platform.os==Linux",
    "node.platform.arch==amd64",
    "node.platform.arch==x86_64",
    "node.platform.arch!=arm64",
    "node.labels.rack==a",
    "Node.Labels.rack==A",
    "node.labels.Zone==EAST",
    "node.labels.zone!=east",
    "node.labels.none!=x",
    "node.labels.example.com/tier==gold",
    "engine.labels.storage==SSD",
    "engine.labels.storage!=hdd",
    "node.labels.rack==b|node.labels.rack==a",
    "node.role==worker | node.hostname==web-1",
    "node.id!=N1|engine.labels.storage!=hdd",
]
FAILS = [
    "node.id==N2",
    "node.ip==10.1.2.4",
    "node.ip==10.1.3.0/24",
    "node.ip!=10.1.2.0/24",
    "node.role==worker",
    "node.platform.arch!=aMd64",
    "node.labels.rack!=a",
    "node.labels.Rack==a",
    "node.labels.none==x",
    "engine.labels.rack==a",
    "node.labels.rack==b|node.labels.rack==c",
]
MALFORMED = {
    "": "not of the form",
    "node.role": "not of the form",
    "node.role=worker": "not of the form",
    "node.role==": "not of the form",
    "==worker": "not of the form",
    "node.role==worker==x": "not of the form",
    "node.cpus>4": "not of the form",
    "node labels.a==b": "not of the form",
    "a==b": "no key 'a'",
    "node.name==b": "no key 'node.name'",
    "node.role==boss": "no role 'boss'",
    "node.ip==host": "neither an address nor a network",
    "node.ip==10.0.0.0/40": "neither an address nor a network",
    "node.labels.==b": "no valid name of a label",
    "node.labels.a==b|": "'' in it is not of the form",
    "node.labels.a==b|c": "'c' in it is not of the form",
}


@pytest.mark.parametrize("text", HOLDS)
def test_holds(text: str) -> None:
    assert matches([text], host())
    assert unmet([text], host()) == ""


@pytest.mark.parametrize("text", FAILS)
def test_does_not_hold(text: str) -> None:
    assert not matches([text], host())
    assert unmet([*HOLDS, text], host()) == text


@pytest.mark.parametrize(("text", "why"), MALFORMED.items())
def test_what_is_wrong_is_told_and_no_node_is_as_a_malformed_one_wants_it(
    text: str, why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        parse(text)
    assert parsed(text) == ()
    assert not matches([text], host())


def test_all_have_to_be_met() -> None:
    assert matches([], host())
    assert matches(HOLDS, host())
    assert not matches([*HOLDS, FAILS[0]], host())


def test_a_node_of_unknown_address_is_in_no_network() -> None:
    assert not matches(["node.ip==0.0.0.0/0"], host(address=""))
    assert matches(["node.ip!=0.0.0.0/0"], host(address=""))
    assert matches(["node.ip==fd00::/8"], host(address="fd00::7"))


@given(st.text(st.characters(categories=["L", "N"]), min_size=1), st.booleans())
def test_a_value_is_equal_to_itself_and_to_nothing_else(value: str, other: bool) -> None:
    target = host()
    target.spec.annotations.labels["x"] = value + "-other" if other else value
    assert matches([f"node.labels.x=={value}"], target) is not other
    assert matches([f"node.labels.x!={value}"], target) is other


@pytest.mark.parametrize(
    ("descriptor", "value"),
    [
        ("node.labels.rack", "A"),
        ("Node.labels.none", ""),
        ("engine.labels.storage", "ssd"),
    ],
)
def test_labels_are_read(descriptor: str, value: str) -> None:
    assert label_of(descriptor)(host()) == value


@pytest.mark.parametrize("descriptor", ["", "rack", "node.id", "node.labels.", "node.labels.a b"])
def test_what_names_no_label_is_refused(descriptor: str) -> None:
    with pytest.raises(ValueError, match="label"):
        label_of(descriptor)
