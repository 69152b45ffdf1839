import contextlib

from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.volume.csi import answers
from runtime.volume.csi.v1 import csi_pb2

TOPOLOGIES = st.lists(
    st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3), max_size=3
)


@settings(deadline=None)
@given(
    st.text(max_size=2000),
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.dictionaries(st.text(max_size=5), st.text(max_size=9000), max_size=4),
    TOPOLOGIES,
)
def test_what_is_believed_is_bounded(
    id: str, size: int, context: dict[str, str], topologies: list[dict[str, str]]
) -> None:
    volume = csi_pb2.Volume(
        volume_id=id,
        capacity_bytes=size,
        volume_context=context,
        accessible_topology=[csi_pb2.Topology(segments=segments) for segments in topologies],
    )
    with contextlib.suppress(answers.Lie):
        made = answers.made(volume)
        assert made.handle == id
        assert 0 < len(id) <= 1024
        assert id.isprintable()
        assert made.capacity_bytes == size >= 0
        assert made.context == context
        assert list(made.topology) == topologies


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_a_volume_or_a_lie(data: bytes) -> None:
    with contextlib.suppress(DecodeError, answers.Lie):
        answers.listed(csi_pb2.ListVolumesResponse.Entry.FromString(data))
