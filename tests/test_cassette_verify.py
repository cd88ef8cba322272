import hashlib
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import pytest

from tickdeck.cassette import writer
from tickdeck.cassette.blocks import Bytes, Kind, pack_block, pack_ending, scan
from tickdeck.cassette.chunkcodec import build_chunk, decode_chunk, encode_chunk
from tickdeck.cassette.chunks import in_full, records_of
from tickdeck.cassette.codec import encode_row
from tickdeck.cassette.errors import FormatError
from tickdeck.cassette.header import header_map
from tickdeck.cassette.packing import pack, unpack
from tickdeck.cassette.reader import open_sealed
from tickdeck.cassette.records import TEXT, Anchor, Frame, Header, Record, Sender, Source, TrackOpened
from tickdeck.cassette.segments import Segment
from tickdeck.cassette.verify import Verification, VerifyReport
from tickdeck.cassette.writer import Encoder, encode_cassette

HEADER = Header(5, "letters")
STORY: list[Record] = [
    TrackOpened(0, 0, 1, "stocks"),
    *(Frame(seq, 10 * seq, 1, Sender.SERVER, TEXT, b"[{T:A %d},{Q:B}]" % seq) for seq in range(1, 30)),
]


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "CHUNK_TARGET", 300)


@pytest.fixture
def sealed(letters) -> bytes:
    return b"".join(encode_cassette(HEADER, STORY, indexer=letters.indexer, redactor=letters.door()))


@pytest.fixture
def verify(letters) -> Callable[..., VerifyReport]:
    def run(data: bytes, segments: tuple[Segment, ...] = (), *, unfinished: bool = False) -> VerifyReport:
        verification = Verification("x.cassette", Bytes(data), lambda _: letters.indexer)
        return verification.report(segments, unfinished=unfinished)

    return run


def blocks_of(data: bytes) -> list:
    return list(scan(Bytes(data), 12, len(data) - 20))


def test_a_sound_cassette_has_no_findings(sealed: bytes, verify) -> None:
    report = verify(sealed)
    assert report.findings == ()
    assert (report.ok, report.sealed, report.reindexed, report.size) == (True, True, True, len(sealed))
    assert (report.records, report.chunks) == (30, 3)


def test_every_flipped_byte_of_a_sealed_cassette_is_found_where_it_is(letters, verify) -> None:
    data = b"".join(encode_cassette(HEADER, STORY[:6], indexer=letters.indexer, redactor=letters.door()))
    blocks = [(block.position, block.end) for block in blocks_of(data)]
    regions = [(0, 12), *blocks, (len(data) - 20, len(data))]
    for position in range(len(data)):
        spoilt = data[:position] + bytes([data[position] ^ 0x40]) + data[position + 1 :]
        findings = verify(spoilt).findings
        start, end = next(region for region in regions if region[0] <= position < region[1])
        assert findings, position
        assert findings[0].at is not None
        assert start <= findings[0].at < end, position


def test_every_truncation_of_a_sealed_cassette_is_found(letters, verify) -> None:
    data = b"".join(encode_cassette(HEADER, STORY[:6], indexer=letters.indexer, redactor=letters.door()))
    for size in range(len(data)):
        report = verify(data[:size])
        assert not report.ok, size
        assert not report.sealed
        assert report.findings[0].at <= size


def test_no_flip_and_no_truncation_reads_as_another_content(letters) -> None:
    data = b"".join(encode_cassette(HEADER, STORY[:6], indexer=letters.indexer, redactor=letters.door()))
    spoilt = [data[:n] + bytes([data[n] ^ 1]) + data[n + 1 :] for n in range(len(data))]
    for broken in [*spoilt, *(data[:size] for size in range(len(data)))]:
        try:
            cassette = open_sealed("x", Bytes(broken))
            content = cassette and list(cassette.records())
        except FormatError as error:
            content = error.at
        assert content in (None, STORY[:6]) or isinstance(content, int)


def put(data: bytes, change: Callable[[list], None]) -> bytes:
    """The file with its blocks changed and its end mark put right; the blocks are (kind, payload) pairs."""
    blocks = [[block.kind, block.payload] for block in blocks_of(data)]
    change(blocks)
    body = data[:12] + b"".join(pack_block(kind, payload) for kind, payload in blocks)
    footer = next((block for block in scan(Bytes(body), 12) if block.kind == Kind.FOOTER), None)
    return body + pack_ending(footer.position if footer else 12)


def of(blocks: list, kind: Kind) -> list:
    return next(block for block in blocks if block[0] == kind)


def reindex(blocks: list) -> None:
    chunk = decode_chunk(blocks[1][1])
    wrong = build_chunk(0, [], SimpleNamespace()).channels
    assert wrong == ("",)
    spoilt = replace(chunk, channels=("", "T.X", *chunk.channels[2:]))
    blocks[1][1] = encode_chunk(spoilt, indexer="letters", revision=3)


def say(key: str, value: object) -> Callable[[list], None]:
    def change(blocks: list) -> None:
        footer = of(blocks, Kind.FOOTER)
        footer[1] = pack({**unpack(footer[1]), key: value})

    return change


def rearrange(blocks: list) -> None:
    blocks[1], blocks[2] = blocks[2], blocks[1]


def repeat(blocks: list) -> None:
    chunk = decode_chunk(blocks[1][1])
    blocks[2][1] = encode_chunk(replace(chunk, number=1), indexer="letters", revision=3)


def misstate(blocks: list) -> None:
    payload = blocks[1][1]
    size = int.from_bytes(payload[:4], "little")
    summary = pack({**unpack(payload[4 : 4 + size]), "max_offset_ns": 7})
    blocks[1][1] = len(summary).to_bytes(4, "little") + summary + payload[4 + size :]


def mask(blocks: list) -> None:
    chunk = decode_chunk(blocks[1][1])
    lane = replace(in_full(chunk.lanes[0]), wire=b"\x82" + chunk.lanes[0].wire[1:])
    blocks[1][1] = encode_chunk(replace(chunk, lanes=(lane,)), indexer="letters", revision=3)


def drop_from(kind: Kind) -> Callable[[list], None]:
    def change(blocks: list) -> None:
        blocks.remove(of(blocks, kind))

    return change


def resurvey(blocks: list) -> None:
    from tickdeck.cassette.survey import Survey
    from tickdeck.cassette.surveymap import pack_survey

    data = pack_survey(Survey())
    of(blocks, Kind.SURVEY)[1] = pack({"method": 0, "size": len(data), "data": data})


def forget_index(blocks: list) -> None:
    from tickdeck.cassette.refs import pack_refs

    data = pack_refs([])
    of(blocks, Kind.INDEX)[1] = pack({"method": 0, "size": len(data), "data": data})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (reindex, "the index of chunk 0 is not that of its content"),
        (rearrange, "chunk 1 lies where chunk 0 should"),
        (repeat, "record 0 comes after record"),
        (misstate, "the summary of chunk 0 is not that of its records"),
        (mask, "the lane of track 1 is not in wire form"),
        (resurvey, "the survey is not that of the records"),
        (forget_index, "the index is not that of the chunks"),
        (say("sha256", bytes(32)), "the content digest does not match the header and the records"),
        (say("records", 7), "the footer says 7 for records, it is 30"),
        (say("last_seq", "x"), "the footer: last_seq is not what it should be"),
        (say("index", 12), "the footer says 12 for index, it is "),
        (say("profile", {"auth": "success"}), "the profile in the footer is another than the survey's"),
        (say("revision", 4), "the footer names another index than the chunks"),
        (say("header", {"epoch_ns": 6, "dialect": "letters"}), "the header in the footer is another"),
        (drop_from(Kind.FOOTER), "the end mark points at no footer"),
        (lambda blocks: blocks.append([99, b""]), "blocks follow the footer"),
        (lambda blocks: blocks.append(list(blocks[0])), "a header lies where none should"),
    ],
)
def test_sound_blocks_that_contradict_each_other_are_found(sealed: bytes, verify, change, words: str) -> None:
    findings = verify(put(sealed, change)).findings
    assert words in str(findings[0])


@pytest.mark.parametrize(
    "change",
    [
        {"epoch_ns": 6},
        {"origins": ("https://elsewhere.example",)},
        {"source": Source.SYNTHETIC},
        {"note": "another"},
        {"tool": "another"},
    ],
)
def test_a_header_changed_in_both_its_places_is_found(sealed: bytes, letters, verify, change: dict) -> None:
    header = replace(HEADER, **change)
    other = b"".join(encode_cassette(header, STORY, indexer=letters.indexer, redactor=letters.door()))
    digest = unpack(of([[block.kind, block.payload] for block in blocks_of(sealed)], Kind.FOOTER)[1])[
        "sha256"
    ]
    (finding,) = verify(put(other, say("sha256", digest))).findings
    assert "the content digest does not match the header and the records" in str(finding)


def test_a_header_that_claims_to_be_of_an_older_minor_version_is_found(sealed: bytes, verify) -> None:
    def rewrite(blocks: list) -> None:
        header = {**unpack(of(blocks, Kind.HEADER)[1]), "minor": 0}
        of(blocks, Kind.HEADER)[1] = pack(header)
        say("header", header)(blocks)

    (finding,) = verify(put(sealed, rewrite)).findings
    assert "the content digest does not match the header and the records" in str(finding)


def test_a_cassette_of_the_minor_version_before_is_sound(sealed: bytes, verify) -> None:
    """Its digest was taken over the rows alone."""
    rows = hashlib.sha256()
    for block in blocks_of(sealed):
        if block.kind == Kind.CHUNK:
            rows.update(b"".join(map(encode_row, records_of(decode_chunk(block.payload)))))

    def rewrite(blocks: list) -> None:
        header = {**unpack(of(blocks, Kind.HEADER)[1]), "minor": 0}
        of(blocks, Kind.HEADER)[1] = pack(header)
        footer = unpack(of(blocks, Kind.FOOTER)[1])
        of(blocks, Kind.FOOTER)[1] = pack({**footer, "header": header, "sha256": rows.digest()})

    assert verify(put(sealed, rewrite)).ok


def test_an_unknown_block_is_no_finding(sealed: bytes, verify) -> None:
    assert verify(put(sealed, lambda blocks: blocks.insert(-1, [99, b"later"]))).ok


def test_an_index_of_another_revision_is_not_compared(sealed: bytes, letters) -> None:
    other = SimpleNamespace(name="letters", revision=4, events=None, holdings=None)
    report = Verification("x", Bytes(sealed), lambda _: other).report()
    assert (report.ok, report.reindexed) == (True, False)


def test_an_index_of_mixed_revisions_is_compared_where_it_can_be(sealed: bytes, verify) -> None:
    def revise(blocks: list) -> None:
        blocks[1][1] = encode_chunk(decode_chunk(blocks[1][1]), indexer="letters", revision=4)

    report = verify(put(sealed, revise))
    assert (report.ok, report.reindexed) == (True, False)


def test_a_dialect_that_this_release_does_not_know_is_a_finding(sealed: bytes) -> None:
    def find(name: str):
        raise FormatError(f"the dialect {name} is unknown")

    findings = Verification("x", Bytes(sealed), find).report().findings
    assert [str(finding) for finding in findings] == ["x: damaged at byte 12: the dialect letters is unknown"]


def test_an_unfinished_cassette_with_its_segment_is_sound(letters, verify) -> None:
    encoder = Encoder(HEADER, redactor=letters.door())
    data = encoder.opening()
    segment = encoder.segment_opening(0) + b"".join(encoder.add(record)[0] for record in STORY[:3])
    report = verify(data, (Segment("x.w0", Bytes(segment)),), unfinished=True)
    assert (report.ok, report.sealed, report.records, report.chunks) == (True, False, 3, 1)
    spoilt = Segment("x.w0", Bytes(segment[:-3] + b"abc"))
    (finding,) = verify(data, (spoilt,), unfinished=True).findings
    assert "x.w0: damaged at byte" in str(finding)
    assert finding.at is not None


def test_damage_amid_an_unfinished_cassette_is_found(letters, sealed: bytes, verify) -> None:
    first, second = blocks_of(sealed)[1:3]
    cut = sealed[: second.end]
    assert verify(cut, unfinished=True).ok
    assert verify(cut[:-4], unfinished=True).ok, "so a killed recorder leaves it"
    spoilt = cut[: first.end - 1] + b"\0" + cut[first.end :]
    assert verify(spoilt, unfinished=True).findings[0].at == first.position


def test_a_file_that_is_something_else_is_found_out(verify) -> None:
    assert [str(finding) for finding in verify(b"PK\x03\x04 and so on").findings][:1] == [
        "x.cassette: not a cassette"
    ]
    assert str(verify(b"").findings[0]) == "x.cassette: the file is empty"


def test_anchors_are_counted_in_what_is_compared(letters, verify) -> None:
    records = [Anchor(0, 0, 1), Anchor(1, 5, 2)]
    data = b"".join(encode_cassette(HEADER, records, indexer=letters.indexer, redactor=letters.door()))
    assert verify(data).ok


def test_what_a_later_release_made_is_one_finding(sealed: bytes, verify) -> None:
    (finding,) = verify(sealed[:8] + b"\x03\0\xfc\xff" + sealed[12:]).findings
    assert finding.sentence == "format version 3 is newer than this release reads (0)"
    needs = pack_block(Kind.HEADER, pack({**header_map(HEADER), "features": ["magic"]}))
    (finding,) = verify(sealed[:12] + needs + sealed[blocks_of(sealed)[0].end :]).findings
    assert finding.sentence == "the cassette needs magic, which this release does not know"


def test_a_file_that_is_no_cassette_is_one_finding(verify) -> None:
    (finding,) = verify(bytes(5000)).findings
    assert finding.sentence == "not a cassette"
