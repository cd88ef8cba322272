import pytest

from tickdeck.cassette import writer
from tickdeck.cassette.blocks import OPENING_SIZE, Bytes, Kind, pack_block, scan
from tickdeck.cassette.errors import FormatError, NewerFormatError
from tickdeck.cassette.header import header_map
from tickdeck.cassette.packing import pack
from tickdeck.cassette.records import TEXT, Frame, Header, Record, Sender, TrackOpened
from tickdeck.cassette.recovering import Loss, Salvager
from tickdeck.cassette.segments import Segment
from tickdeck.cassette.writer import Binder, Encoder, encode_cassette

HEADER = Header(5, "letters", note="keep me")
STORY: list[Record] = [
    TrackOpened(0, 0, 1, "stocks"),
    *(Frame(seq, 10 * seq, 1, Sender.SERVER, TEXT, b"[{T:A %d},{Q:B}]" % seq) for seq in range(1, 40)),
]


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "CHUNK_TARGET", 300)


@pytest.fixture
def sealed(letters) -> bytes:
    door = letters.door()
    door.redactions = {"REDACTED-1": {"query apiKey": 1}}
    return b"".join(encode_cassette(HEADER, STORY, indexer=letters.indexer, redactor=door))


def block_of(data: bytes, kind: Kind, number: int = 0):
    return [block for block in scan(Bytes(data), 12, len(data) - 20) if block.kind == kind][number]


def spoil(data: bytes, *blocks) -> bytes:
    for block in blocks:
        data = data[: block.end - 1] + bytes([data[block.end - 1] ^ 1]) + data[block.end :]
    return data


def salvage(data: bytes, segments=(), *, unfinished: bool = False) -> tuple[Salvager, list[Record]]:
    salvager = Salvager("x", Bytes(data), segments, unfinished=unfinished)
    return salvager, list(salvager.records())


def test_all_of_a_sound_cassette_is_saved(sealed: bytes) -> None:
    salvager, records = salvage(sealed)
    assert (records, salvager.losses, salvager.open_end, salvager.lost_bytes) == (STORY, [], False, 0)
    assert (salvager.header, salvager.redactions) == (HEADER, {"REDACTED-1": {"query apiKey": 1}})


def test_a_spoilt_chunk_is_lost_alone_and_the_index_says_what_it_was(sealed: bytes) -> None:
    chunk = block_of(sealed, Kind.CHUNK, 1)
    salvager, records = salvage(spoil(sealed, chunk))
    (loss,) = salvager.losses
    assert records == [record for record in STORY if not loss.first_seq <= record.seq <= loss.last_seq]
    assert loss.records == loss.last_seq - loss.first_seq + 1
    assert (loss.from_offset_ns, loss.to_offset_ns) == (10 * loss.first_seq, 10 * loss.last_seq)
    assert salvager.lost_bytes == chunk.end - chunk.position
    assert salvager.damages == [
        f"x: damaged at byte {chunk.position}: the checksum of a block of {len(chunk.payload)} bytes does not match"
    ]


def test_without_an_index_the_holes_in_the_sequence_say_what_is_lost(sealed: bytes) -> None:
    data = spoil(sealed, block_of(sealed, Kind.CHUNK, 1), block_of(sealed, Kind.INDEX))
    salvager, records = salvage(data)
    (loss,) = salvager.losses
    assert loss.records == len(STORY) - len(records)
    assert (loss.from_offset_ns, loss.to_offset_ns) == (10 * (loss.first_seq - 1), 10 * (loss.last_seq + 1))
    assert not salvager.open_end


def test_without_an_index_the_footer_says_how_much_is_lost_at_the_end(sealed: bytes) -> None:
    salvager, records = salvage(spoil(sealed, block_of(sealed, Kind.CHUNK, -1), block_of(sealed, Kind.INDEX)))
    assert salvager.losses == [
        Loss(len(STORY) - len(records), len(records), 39, 10 * (len(records) - 1), None)
    ]


def test_what_lay_behind_a_cut_cannot_be_told(sealed: bytes) -> None:
    salvager, records = salvage(sealed[: block_of(sealed, Kind.CHUNK, 2).position])
    assert (len(records) > 0, salvager.losses, salvager.open_end) == (True, [], True)


def test_nothing_is_lost_where_only_the_end_mark_is(sealed: bytes) -> None:
    salvager, records = salvage(sealed[:-4])
    assert (records, salvager.losses, salvager.open_end) == (STORY, [], False)


def test_the_footer_gives_a_lost_header_back(sealed: bytes) -> None:
    salvager, records = salvage(spoil(sealed, block_of(sealed, Kind.HEADER)))
    assert (records, salvager.header) == (STORY, HEADER)


def test_a_header_lost_for_good_is_said(sealed: bytes) -> None:
    salvager, records = salvage(spoil(sealed, block_of(sealed, Kind.HEADER), block_of(sealed, Kind.FOOTER)))
    assert (records, salvager.header) == (STORY, None)


def test_a_spoilt_magic_loses_nothing(sealed: bytes) -> None:
    assert salvage(b"????" + sealed[4:])[1] == STORY


def test_blocks_of_a_later_version_are_passed_over(sealed: bytes) -> None:
    chunk = block_of(sealed, Kind.CHUNK)
    data = sealed[: chunk.position] + pack_block(4711, b"later") + sealed[chunk.position :]
    assert salvage(data)[1] == STORY


def test_sound_blocks_of_nonsense_are_damage(sealed: bytes) -> None:
    data = sealed
    for kind in (Kind.CHUNK, Kind.SURVEY):
        block = block_of(data, kind)
        data = data[: block.position] + pack_block(kind, bytes(len(block.payload))) + data[block.end :]
    salvager, records = salvage(data)
    assert len(salvager.damages) == 2
    assert len(records) + salvager.losses[0].records == len(STORY)


def unsealed(letters, records: list[Record]) -> tuple[bytes, dict[int, bytes]]:
    encoder = Encoder(HEADER, redactor=letters.door())
    segments: dict[int, bytes] = {}
    for record in records:
        row, _ = encoder.add(record)
        number = encoder.open.number
        segments[number] = segments.get(number, encoder.segment_opening(number)) + row
    return encoder.opening(), segments


def test_rows_in_segments_are_saved_once(letters, sealed: bytes) -> None:
    _, segments = unsealed(letters, STORY)
    beside = [Segment(f"w{number}", Bytes(data)) for number, data in segments.items()]
    cut = sealed[: block_of(sealed, Kind.CHUNK, 1).end + 9]
    salvager, records = salvage(cut, beside, unfinished=True)
    assert (records, salvager.losses, salvager.open_end) == (STORY, [], False)
    salvager, records = salvage(cut, unfinished=True)
    assert salvager.open_end, "a torn chunk and no segment to make up for it"


def test_a_segment_spoilt_in_the_middle_loses_what_is_spoilt(letters) -> None:
    head, segments = unsealed(letters, STORY[:6])
    data = segments[0]
    rows = [block for block in scan(Bytes(data), 12) if block.kind == Kind.ROW]
    salvager, records = salvage(head, [Segment("w", Bytes(spoil(data, rows[2])))], unfinished=True)
    assert [record.seq for record in records] == [0, 1, 3, 4, 5]
    assert salvager.losses == [Loss(1, 2, 2, 10, 30)]
    assert not salvager.open_end


def test_a_segment_spoilt_at_its_end_leaves_an_open_end(letters) -> None:
    head, segments = unsealed(letters, STORY[:6])
    data = segments[0]
    assert salvage(head, [Segment("w", Bytes(data[:-2]))], unfinished=True)[0].open_end is False
    salvager, records = salvage(head, [Segment("w", Bytes(data[:-2] + b"??"))], unfinished=True)
    assert (len(records), salvager.open_end) == (5, True)


def test_a_row_of_nonsense_in_a_segment_is_damage(letters) -> None:
    head, segments = unsealed(letters, STORY[:3])
    data = segments[0] + pack_block(Kind.ROW, b"\x01") + pack_block(99, b"")
    salvager, records = salvage(head, [Segment("w", Bytes(data))], unfinished=True)
    assert (records, len(salvager.damages)) == (STORY[:3], 1)


def test_holes_without_damage_are_how_the_cassette_was_made(letters) -> None:
    records = [STORY[0], STORY[5], STORY[9]]
    head, segments = unsealed(letters, records)
    salvager, saved = salvage(head, [Segment("w", Bytes(segments[0]))], unfinished=True)
    assert (saved, salvager.losses) == (records, [])


@pytest.mark.parametrize("data", [b"", b"something else altogether", bytes(5000)])
def test_nothing_can_be_saved_of_what_is_no_cassette(data: bytes) -> None:
    with pytest.raises(FormatError, match="x: not a cassette, or nothing of it is left"):
        Salvager("x", Bytes(data))


def test_what_a_later_release_made_is_not_made_over(sealed: bytes) -> None:
    later = sealed[:8] + b"\x03\0\xfc\xff" + sealed[12:]
    with pytest.raises(NewerFormatError, match="x: format version 3 is newer than this release reads"):
        salvage(later)
    header = block_of(sealed, Kind.HEADER)
    needs = pack_block(Kind.HEADER, pack({**header_map(HEADER), "features": ["magic"]}))
    with pytest.raises(
        NewerFormatError, match="x: the cassette needs magic, which this release does not know"
    ):
        salvage(sealed[:OPENING_SIZE] + needs + sealed[header.end :])


def test_chunks_out_of_order_are_said_to_be_lost(sealed: bytes) -> None:
    salvager, records = salvage(sealed + sealed)
    assert (records, salvager.out_of_order) == (STORY, len(STORY))
    assert sum("a chunk out of order" in damage for damage in salvager.damages) > 1
    assert salvager.header == HEADER


HOLED: list[Record] = [Frame(3 * n, n, 1, Sender.SERVER, TEXT, b"[{T:A %d}]" % n) for n in range(90)]


class Unsealed:
    """A recording with holes in its sequence: the beginning of its file, its chunks, segments and end."""

    def __init__(self, letters) -> None:
        encoder = Encoder(HEADER, redactor=letters.door())
        self.opening = encoder.opening()
        binder = Binder(HEADER, indexer=letters.indexer, position=len(self.opening))
        self.chunks: list[bytes] = []
        self.rows: list[bytes] = [encoder.segment_opening(0)]
        for record in HOLED:
            row, full = encoder.add(record)
            if full is not None:
                self.chunks.append(binder.bind(full))
                self.rows.append(encoder.segment_opening(encoder.open.number))
            self.rows[-1] += row
        self.chunks.append(binder.bind(encoder.cut()))
        self.end = binder.close({})[0]

    def salvage(self, chunks: int, tail: bytes, segments: list[int]) -> tuple[Salvager, list[Record]]:
        beside = [Segment(f"x.w{number}", Bytes(self.rows[number])) for number in segments]
        data = self.opening + b"".join(self.chunks[:chunks]) + tail
        return salvage(data, beside, unfinished=True)


@pytest.mark.parametrize("left", [1, 10, 40, -1])
def test_a_chunk_that_was_being_written_is_no_loss_while_its_segment_is_there(letters, left: int) -> None:
    unsealed = Unsealed(letters)
    salvager, records = unsealed.salvage(2, unsealed.chunks[2][:left], list(range(2, len(unsealed.rows))))
    assert (records, salvager.losses, salvager.damages, salvager.open_end) == (HOLED, [], [], False)


def test_a_chunk_that_was_being_written_is_an_open_end_without_its_segment(letters) -> None:
    unsealed = Unsealed(letters)
    salvager, records = unsealed.salvage(2, unsealed.chunks[2][:-1], [])
    assert (salvager.losses, len(salvager.damages), salvager.open_end) == ([], 1, True)
    assert records == HOLED[: len(records)]


def test_a_segment_that_is_missing_is_a_loss(letters) -> None:
    salvager, records = Unsealed(letters).salvage(2, b"", [3, 4])
    assert salvager.damages == ["x: the write-ahead segment of chunk 2 is missing"]
    assert any(loss.records > 2 for loss in salvager.losses)
    assert records != HOLED


def test_a_recorder_interrupted_while_it_sealed_lost_nothing(letters) -> None:
    unsealed = Unsealed(letters)
    for cut in range(6, len(unsealed.end)):
        salvager, records = unsealed.salvage(len(unsealed.chunks), unsealed.end[:cut], [])
        assert (records, salvager.losses, salvager.open_end) == (HOLED, [], False)


def test_the_rows_of_another_recording_are_left_out(letters) -> None:
    mine, other = Unsealed(letters), Encoder(Header(6, "letters"), redactor=letters.door())
    row, _ = other.add(Frame(9999, 0, 1, Sender.SERVER, TEXT, b"[{T:B}]"))
    foreign = Segment("x.w9", Bytes(other.segment_opening(len(mine.chunks)) + row))
    data = mine.opening + b"".join(mine.chunks)
    salvager, records = salvage(data, [foreign], unfinished=True)
    assert (records, salvager.damages) == (HOLED, ["x.w9: belongs to another recording, left out"])


def test_a_chunk_whose_columns_are_nonsense_is_lost_alone(sealed: bytes) -> None:
    block = block_of(sealed, Kind.CHUNK, 1)
    summary = 4 + int.from_bytes(block.payload[:4], "little")
    nonsense = pack_block(Kind.CHUNK, block.payload[:summary] + bytes(len(block.payload) - summary))
    salvager, records = salvage(sealed[: block.position] + nonsense + sealed[block.end :])
    (loss,) = salvager.losses
    assert len(records) == len(STORY) - loss.records
    assert salvager.damages[0].startswith(f"x: damaged at byte {block.position}: ")
