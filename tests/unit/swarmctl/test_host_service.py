"""What a host says of itself to its operator."""

from api.v1 import objects_pb2
from runtime.driver import Fingerprint
from swarmctl.host_service import warnings_of


def test_what_a_host_lacks() -> None:
    whole = objects_pb2.NodeDescription()
    assert warnings_of(whole, Fingerprint("crun 1", 2, ())) == []
    poor = objects_pb2.NodeDescription(missing_controllers=["pids", "swap"])
    lacking = warnings_of(poor, Fingerprint("crun 1", 2, ("pids", "swap"), init=False))
    assert [each.split()[-5:] for each in lacking] == [
        ["limit", "are", "not", "placed", "here"],
        ["--memory-swap", "are", "not", "placed", "here"],
        ["with", "--init", "are", "rejected", "here"],
    ]
