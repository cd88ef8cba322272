import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.cassette.chunks import ChunkRef
from tickdeck.cassette.columns import pack_column
from tickdeck.cassette.errors import FormatError
from tickdeck.cassette.packing import pack, unpack
from tickdeck.cassette.refs import Refs, pack_refs

COUNTS = st.integers(0, 1 << 40)
TRACKS = st.sampled_from([(), (1,), (1, 2), (7,)])
REFS = st.builds(
    ChunkRef, st.just(0), COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, TRACKS
)


def numbered(refs: list[ChunkRef]) -> list[ChunkRef]:
    return [
        ChunkRef(number, *[getattr(ref, name) for name in ChunkRef.__slots__[1:]])
        for number, ref in enumerate(refs)
    ]


@given(st.lists(REFS, max_size=8).map(numbered))
def test_references_come_back_as_they_were(refs: list[ChunkRef]) -> None:
    assert list(Refs(pack_refs(refs))) == refs


ONE = [ChunkRef(0, 12, 100, 1, 0, 0, 5, 5, 0, 0, (1,))]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("positions", pack_column([])),
        ("positions", pack_column([1, 2])),
        ("tracks", pack_column([1])),
        ("tracks", pack_column([-1])),
        ("track_sets", [7]),
        ("track_sets", [["x"]]),
        ("track_sets", []),
    ],
)
def test_an_index_that_does_not_hold_together_is_refused(key: str, value: object) -> None:
    fields = unpack(pack_refs(ONE))
    with pytest.raises(FormatError):
        Refs(pack({**fields, key: value}))[0]


def test_an_index_cannot_promise_more_chunks_than_there_is_room_for() -> None:
    with pytest.raises(FormatError, match="the index: chunks"):
        Refs(pack_refs(ONE), most=0)
    assert list(Refs(pack_refs(ONE), most=1)) == ONE
