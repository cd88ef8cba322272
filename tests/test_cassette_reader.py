from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.cassette import writer
from tickdeck.cassette.blocks import Bytes, Kind, pack_block, pack_ending, pack_opening, scan
from tickdeck.cassette.chunkcodec import encode_chunk
from tickdeck.cassette.chunks import in_full
from tickdeck.cassette.errors import FormatError
from tickdeck.cassette.header import header_map, pack_header, read_header
from tickdeck.cassette.packing import pack, unpack
from tickdeck.cassette.reader import Cassette, open_sealed, open_unsealed
from tickdeck.cassette.records import (
    TEXT,
    BodyPart,
    Frame,
    Header,
    Interaction,
    Record,
    Sender,
    Source,
    TrackOpened,
)
from tickdeck.cassette.segments import Segment
from tickdeck.cassette.writer import Binder, Encoder, encode_cassette

HEADER = Header(5, "letters", ("https://a",), Source.SYNTHETIC, "a note", "tool 1", "bot")
ASKED = Interaction(0, 0, 1, 2, 7, "GET", "https://a/b", 200, body_parts=2)
STORY: list[Record] = [
    TrackOpened(0, 0, 1, "stocks"),
    *(Frame(seq, 10 * seq, 1, Sender.SERVER, TEXT, b"[{T:A %d}]" % seq) for seq in range(1, 40)),
    BodyPart(40, 400, 7, b"ab" * 100),
    BodyPart(41, 401, 7, b"cd"),
    *(Frame(seq, 10 * seq, 1, Sender.SERVER, TEXT, b"[{T:A %d}]" % seq) for seq in range(42, 60)),
    TrackOpened(60, 600, 2, "stocks"),
    replace(ASKED, seq=61),
    replace(ASKED, seq=62, interaction=8, body_parts=0, body=b"whole"),
]


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "CHUNK_TARGET", 200)


def sealed(letters, records: Sequence[Record] = STORY) -> bytes:
    return b"".join(encode_cassette(HEADER, records, indexer=letters.indexer, redactor=letters.door()))


def opened(data: bytes) -> Cassette:
    cassette = open_sealed("x.cassette", Bytes(data))
    assert cassette is not None
    return cassette


class Unsealed:
    """A recording in memory: its file and its segments, as a recorder would leave them."""

    def __init__(self, letters, records: Sequence[Record] = STORY) -> None:
        self.letters = letters
        encoder = Encoder(HEADER, redactor=letters.door())
        self.head = encoder.opening()
        binder = Binder(HEADER, indexer=letters.indexer, position=len(self.head))
        self.chunks: list[bytes] = []
        self.segments: dict[int, bytes] = {}
        for record in records:
            row, full = encoder.add(record)
            if full is not None:
                self.chunks.append(binder.bind(full))
            number = encoder.open.number
            self.segments[number] = self.segments.get(number, encoder.segment_opening(number)) + row

    def open(self, chunks: int, segments: Sequence[int], tail: bytes = b"") -> Cassette:
        """What a reader finds when so many chunks are in the file and these segments are beside it."""
        data = self.head + b"".join(self.chunks[:chunks]) + tail
        beside = [Segment(f"x.cassette.part.w{n:06d}", Bytes(self.segments[n])) for n in segments]
        return open_unsealed("x.cassette.part", Bytes(data), beside, lambda _: self.letters.indexer)


def test_a_sealed_cassette_gives_back_what_was_recorded(letters) -> None:
    data = sealed(letters)
    with opened(data) as cassette:
        assert list(cassette.records()) == STORY
        assert (cassette.header, cassette.sealed, cassette.size) == (HEADER, True, len(data))
        assert (cassette.name, cassette.indexer_revision) == ("x.cassette", 3)
        assert cassette.survey.records == len(STORY)
        assert [chunk.number for chunk in cassette.chunks()] == list(range(len(cassette.chunk_refs())))


def test_the_same_records_give_the_same_bytes(letters) -> None:
    assert sealed(letters) == sealed(letters)


def test_a_cassette_without_records_is_a_cassette(letters) -> None:
    cassette = opened(sealed(letters, []))
    assert (list(cassette.records()), list(cassette.chunk_refs()), cassette.survey.records) == ([], [], 0)


def test_bodies_in_parts_are_joined_and_only_chunks_that_hold_some_are_read(letters) -> None:
    reads: list[int] = []

    class Watched(Cassette):
        def chunk(self, number: int):
            reads.append(number)
            return super().chunk(number)

    plain = opened(sealed(letters))
    watched = Watched("x", plain._source, plain._contents)
    whole, other = watched.interactions()
    assert (whole.body, other.body) == (b"ab" * 100 + b"cd", b"whole")
    assert len(reads) < len(plain.chunk_refs()) / 2


def test_opening_reads_the_ends_of_a_file_only(letters) -> None:
    class Counting(Bytes):
        taken = 0

        def read_at(self, position: int, size: int) -> bytes:
            self.taken += size
            return super().read_at(position, size)

    records = [Frame(n, n, 1, Sender.SERVER, TEXT, b"[{T:A %d}]" % (n * n)) for n in range(3000)]
    source = Counting(sealed(letters, records))
    open_sealed("x", source)
    assert source.taken < source.size / 8


def test_a_reference_slices_as_a_sequence(letters) -> None:
    refs = opened(sealed(letters)).chunk_refs()
    assert refs[1:3] == [refs[1], refs[2]]
    assert refs[-1].last_seq == 62
    assert refs[0].tracks == (1,)
    with pytest.raises(IndexError):
        refs[len(refs)]


def test_a_file_without_an_end_mark_is_not_sealed(letters) -> None:
    assert open_sealed("x", Bytes(sealed(letters)[:-1])) is None


@given(in_file=st.integers(0, 9), extra=st.integers(0, 9), torn=st.integers(0, 30))
def test_wherever_a_recorder_stops_each_record_is_read_once(
    letters, in_file: int, extra: int, torn: int
) -> None:
    unsealed = Unsealed(letters)
    in_file = min(in_file, len(unsealed.chunks))
    beside = range(max(0, in_file - extra), len(unsealed.chunks) + 1)
    tail = (unsealed.chunks[in_file] if in_file < len(unsealed.chunks) else b"")[:torn]
    cassette = unsealed.open(in_file, beside, tail)
    assert list(cassette.records()) == STORY
    assert (cassette.sealed, cassette.survey.records) == (False, len(STORY))
    assert [ref.number for ref in cassette.chunk_refs()] == list(range(len(unsealed.chunks) + 1))


@given(cut=st.integers(0, 400))
def test_a_segment_cut_anywhere_gives_the_rows_before(letters, cut: int) -> None:
    unsealed = Unsealed(letters, STORY[:4])
    unsealed.segments[0] = unsealed.segments[0][:cut]
    records = list(unsealed.open(0, [0]).records())
    assert records == STORY[: len(records)]
    assert cut < 400 or len(records) == 4


def test_zeros_at_the_end_of_a_segment_are_what_a_power_failure_leaves(letters) -> None:
    unsealed = Unsealed(letters, STORY[:4])
    unsealed.segments[0] += bytes(4096)
    assert list(unsealed.open(0, [0]).records()) == STORY[:4]
    unsealed.segments[0] = bytes(4096)
    assert list(unsealed.open(0, [0]).records()) == []


def test_a_chunk_spoilt_at_the_end_is_read_from_its_segment(letters) -> None:
    unsealed = Unsealed(letters)
    spoilt = unsealed.chunks[2][:-1] + b"!"
    assert list(unsealed.open(2, range(2, len(unsealed.chunks) + 1), spoilt).records()) == STORY
    with pytest.raises(FormatError, match=r"x\.cassette\.part: damaged at byte \d+: the checksum"):
        unsealed.open(2, [], spoilt)


def test_a_hole_between_file_and_segments_is_an_error(letters) -> None:
    unsealed = Unsealed(letters)
    with pytest.raises(FormatError, match="the write-ahead segment of chunk 2 is missing"):
        unsealed.open(2, [3])


def test_a_chunk_out_of_turn_is_an_error(letters) -> None:
    unsealed = Unsealed(letters)
    with pytest.raises(FormatError, match="chunk 2 lies where chunk 1 should"):
        unsealed.open(1, [], unsealed.chunks[2])


def test_a_flipped_byte_in_a_segment_is_located(letters) -> None:
    unsealed = Unsealed(letters, STORY[:4])
    spoilt = bytearray(unsealed.segments[0])
    spoilt[-20] ^= 1
    unsealed.segments[0] = bytes(spoilt)
    with pytest.raises(FormatError, match=r"x\.cassette\.part\.w000000: damaged at byte \d+"):
        unsealed.open(0, [0])


def test_a_segment_of_another_recording_is_an_error(letters) -> None:
    unsealed = Unsealed(letters, STORY[:4])
    other = Encoder(replace(HEADER, note="another"), redactor=letters.door())
    unsealed.segments[0] = other.segment_opening(0) + other.add(STORY[0])[0]
    with pytest.raises(FormatError, match="w000000: belongs to another recording"):
        unsealed.open(0, [0])


def test_a_file_that_is_no_segment_is_an_error(letters) -> None:
    unsealed = Unsealed(letters, STORY[:4])
    unsealed.segments[0] = b"some text that was put there by hand"
    with pytest.raises(FormatError, match="w000000: not a cassette"):
        unsealed.open(0, [0])


def test_rows_out_of_order_are_an_error(letters) -> None:
    unsealed = Unsealed(letters, STORY[:4])
    rows = [
        pack_block(Kind.ROW, unsealed_row) for unsealed_row in map(writer.encode_row, (STORY[2], STORY[1]))
    ]
    unsealed.segments[0] += b"".join(rows)
    with pytest.raises(FormatError, match="the rows of segment 0 are out of order"):
        unsealed.open(0, [0])


def test_unknown_blocks_are_skipped_by_their_length(letters) -> None:
    unsealed = Unsealed(letters)
    unknown = pack_block(4711, b"of a later minor version")
    unsealed.chunks.insert(1, unknown)
    unsealed.segments[0] += unknown
    assert list(unsealed.open(len(unsealed.chunks), [0, max(unsealed.segments)]).records()) == STORY


def test_unknown_keys_are_ignored() -> None:
    assert read_header(pack({**header_map(HEADER), "minor": 9, "later": True})) == HEADER


def test_a_cassette_behind_another_is_not_read_as_that_one(letters) -> None:
    data = sealed(letters)
    with pytest.raises(FormatError, match="something follows the footer"):
        open_sealed("x", Bytes(data + data))


def test_a_header_says_only_what_is_asked_for() -> None:
    assert unpack(pack_header(HEADER)) == {
        "minor": 1,
        "features": [],
        "epoch_ns": 5,
        "dialect": "letters",
        "origins": ["https://a"],
        "source": "synthetic",
        "note": "a note",
        "provenance": {"tool": "tool 1", "program": "bot"},
    }


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("features", ["encryption"], "the cassette needs encryption, which this release does not know"),
        (
            "source",
            "stolen",
            "damaged at byte 12: the source 'stolen' is unknown; known are recorded, synth",
        ),
        ("epoch_ns", "now", "damaged at byte 12: the header: epoch_ns is not what it should be"),
    ],
)
def test_a_header_of_another_kind_is_refused(letters, key: str, value: object, words: str) -> None:
    header = pack_block(Kind.HEADER, pack({**header_map(HEADER), key: value}))
    with pytest.raises(FormatError, match=f"x: {words}"):
        open_unsealed("x", Bytes(pack_opening() + header), [], lambda _: letters.indexer)


def replaced(data: bytes, kind: Kind, payload: bytes) -> bytes:
    """The file with the payload of its block of a kind replaced by one of equal length, checksum and all."""
    block = next(block for block in scan(Bytes(data), 12) if block.kind == kind)
    assert len(payload) == len(block.payload)
    return data[: block.position] + pack_block(kind, payload) + data[block.end :]


@pytest.mark.parametrize("kind", [Kind.HEADER, Kind.INDEX, Kind.FOOTER, Kind.SURVEY])
def test_a_sound_block_of_nonsense_is_located(letters, kind: Kind) -> None:
    data = sealed(letters)
    block = next(block for block in scan(Bytes(data), 12) if block.kind == kind)
    with pytest.raises(FormatError, match=f"x.cassette: damaged at byte {block.position}: ") as caught:
        opened(replaced(data, kind, bytes(len(block.payload)))).survey  # noqa: B018
    assert caught.value.at == block.position


def test_an_index_that_points_elsewhere_is_an_error(letters) -> None:
    data = sealed(letters)
    head, first, second = list(scan(Bytes(data), 12))[:3]
    swapped = (
        data[: first.position]
        + pack_block(Kind.CHUNK, second.payload)
        + data[second.end : second.end]
        + pack_block(Kind.CHUNK, first.payload)
        + data[second.end :]
    )
    assert len(swapped) == len(data)
    with pytest.raises(FormatError, match=r"lies|damaged"):
        list(opened(swapped).records())
    footer = len(data) - 20
    with pytest.raises(FormatError, match=f"damaged at byte {head.position}: no footer block lies here"):
        open_sealed("x", Bytes(data[:footer] + pack_ending(head.position)))


def test_what_is_found_late_in_a_chunk_is_located_and_named_once(letters) -> None:
    recording = Unsealed(letters)
    chunk = recording.open(1, [1]).chunk(0)
    lane = in_full(chunk.lanes[0])
    lane = replace(lane, event_starts=[end + 1 for end in lane.event_ends])
    recording.chunks[0] = pack_block(Kind.CHUNK, encode_chunk(replace(chunk, lanes=(lane,))))
    cassette = recording.open(1, [1])
    at = len(recording.head)
    (late,) = cassette.chunk(0).lanes
    assert list(late.seqs) == list(lane.seqs)
    sentence = rf"^x\.cassette\.part: damaged at byte {at}: the column event_lengths of a lane has a value"
    with pytest.raises(FormatError, match=sentence) as caught:
        late.starts  # noqa: B018 - looking at it is what is tried
    assert (caught.value.at, caught.value.file) == (at, "x.cassette.part")
    with pytest.raises(FormatError, match=sentence):
        cassette.survey  # noqa: B018
