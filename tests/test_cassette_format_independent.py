"""A reader written from docs/cassette-format.md alone: nothing of tickdeck reads a byte here, it only compares."""

import hashlib
import struct
import zlib
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path

import msgpack
import pytest

from tickdeck.cassette.codec import encode_row
from tickdeck.cassette.compression import zstd  # the library itself, from wherever this Python has it
from tickdeck.cassette.files import open_cassette
from tickdeck.cassette.recording import Recording
from tickdeck.cassette.records import BodyPart, Frame, Header, Interaction, Sender, TrackOpened

FIXTURES = sorted((Path(__file__).parent.parent / "fixtures").glob("*.cassette"))


def unpack(data: bytes) -> dict:
    return msgpack.unpackb(data, unicode_errors="surrogateescape")


def block(data: bytes, at: int) -> tuple[int, bytes, int]:
    """Section 2: type and payload, and where the next block begins."""
    sync, kind, _, length, check = struct.unpack_from("<4sHHII", data, at)
    payload = data[at + 16 : at + 16 + length]
    assert sync == bytes.fromhex("f1c79da3")
    assert check == zlib.crc32(data[at : at + 12] + payload)
    return kind, payload, at + 16 + length


def blocks(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Section 1: all blocks between the opening and, where there is one, the end mark."""
    magic, major, complement = struct.unpack_from("<8sHH", data)
    assert (magic, major, complement) == (bytes.fromhex("8954444b0d0a1a0a"), 0, 0xFFFF)
    at, end = 12, len(data) - 20 * data.endswith(bytes.fromhex("8954444b454e440a"))
    while at < end:
        kind, payload, at = block(data, at)
        yield kind, payload


def restored(method: int, data: bytes, size: int) -> bytes:
    data = zstd.decompress(data) if method else data
    assert len(data) == size
    return data


def packed(payload: bytes) -> dict:
    fields = unpack(payload)
    return unpack(restored(fields["method"], fields["data"], fields["size"]))


def column(data: bytes | list) -> list[int]:
    """Section 6, Columns."""
    if isinstance(data, list):
        data = restored(1, data[1], data[0])
    shape, count, first = struct.unpack_from("<BIq", data)
    order, width, rest = shape // 16, shape % 16, data[13:]
    stored = max(count - order, 0)
    if width:
        cells = [int.from_bytes(rest[row::stored], "little", signed=True) for row in range(stored)]
    else:
        cells = [int.from_bytes(rest, "little", signed=True) if order else first] * stored
    return list(accumulate(cells, initial=first)) if order and count else cells


def chunk_rows(payload: bytes) -> tuple[dict, dict[int, bytes], list[tuple[str, bytes]]]:
    """Section 6: the summary, the row of each sequence, and the events with their channels."""
    (length,) = struct.unpack_from("<I", payload)
    summary, at = unpack(payload[4 : 4 + length]), 4 + length
    parts = []
    for method, stored, size in (summary["columns"], summary["blob"]):
        parts.append(restored(method, payload[at : at + stored], size))
        at += stored
    assert at == len(payload)
    columns, blob = unpack(parts[0]), parts[1]
    names = columns["channels"]
    names = unpack(restored(1, names[1], names[0]) if isinstance(names, list) else names)
    rows: dict[int, bytes] = {}
    events: list[tuple[str, bytes]] = []
    heard: list[tuple[int, str]] = []
    for (track, size, frames, statuses), lane in zip(summary["lanes"], columns["lanes"], strict=True):
        wire, blob = blob[:size], blob[size:]
        before = len(rows), len(events)
        heard += lane_rows(track, lane, wire, names, rows, events)
        assert len(rows) - before[0] == frames
        assert sum(not channel for channel, _ in events[before[1] :]) == statuses
    heard.sort(key=lambda one: one[0])
    assert names == list(dict.fromkeys(["", *(channel for _, channel in heard)]))
    for size in column(columns["side"]):
        row, blob = blob[:size], blob[size:]
        rows[unpack(row)[1]] = row
    assert not blob
    return summary, rows, events


def lane_rows(
    track: int, lane: dict, wire: bytes, names: list[str], rows: dict, events: list
) -> list[tuple[int, str]]:
    """The rows and events of a lane; returned are the channels of its events, by the sequence of their frames."""
    read = {name: column(lane[name]) for name in lane}
    spans = zip(read["event_skips"], read["event_lengths"], read["event_channels"], strict=True)
    frames = zip(
        *(read[name] for name in ("seqs", "offsets", "headers", "tails", "event_counts")), strict=True
    )
    begin, at, on = 0, 0, []
    heard: list[tuple[int, str]] = []
    for seq, offset, header, tail, count in frames:
        for _ in range(count):
            skip, length, channel = next(spans)
            events.append((names[channel], wire[at + skip : at + skip + length]))
            on.append(channel)
            heard.append((seq, names[channel]))
            at += skip + length
        end = at + tail
        assert wire[begin] == 0x81
        payload, begin = wire[begin + header : end], end
        rows[seq] = msgpack.packb([2, seq, offset, track, 0, 1, payload])
    assert begin == len(wire)
    postings = iter(read["postings"])
    for channel, count in zip(read["posting_channels"], read["posting_counts"], strict=True):
        assert [next(postings) for _ in range(count)] == [n for n, one in enumerate(on) if one == channel]
    return heard


def read(data: bytes) -> tuple[dict, list[bytes], list[tuple[str, bytes]]]:
    """The header, the rows of all records in order, and all events; footer and index checked on the way."""
    found = list(blocks(data))
    assert [kind for kind, _ in found] == [1] + [2] * (len(found) - 4) + [3, 4, 5]
    rows: list[bytes] = []
    events: list[tuple[str, bytes]] = []
    index, survey, footer = packed(found[-3][1]), packed(found[-2][1]), unpack(found[-1][1])
    position, check = struct.unpack_from("<QI", data, len(data) - 20)
    assert (block(data, position)[1], check) == (found[-1][1], zlib.crc32(data[-20:-12] + data[-8:]))
    for number, (_, payload) in enumerate(found[1:-3]):
        assert block(data, column(index["positions"])[number])[:2] == (2, payload)
        summary, by_seq, more = chunk_rows(payload)
        tracks = index["track_sets"][column(index["tracks"])[number]]
        assert (summary["number"], summary["records"], summary["tracks"]) == (number, len(by_seq), tracks)
        assert (summary["first_seq"], summary["last_seq"]) == (min(by_seq), max(by_seq))
        rows += [by_seq[seq] for seq in sorted(by_seq)]
        events += more
    assert footer["sha256"] == hashlib.sha256(b"".join([found[0][1], *rows])).digest()
    assert footer["records"] == survey["records"] == len(rows)
    assert footer["header"] == unpack(found[0][1])
    return footer["header"], rows, events


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_the_page_is_enough_to_read_a_cassette(path: Path) -> None:
    header, rows, events = read(path.read_bytes())
    with open_cassette(path) as cassette:
        assert rows == [encode_row(record) for record in cassette.records()]
        assert (header["epoch_ns"], header["dialect"]) == (cassette.header.epoch_ns, cassette.header.dialect)
        counted = sum(track.events for track in cassette.survey.tracks.values())
    assert sum(channel != "" for channel, _ in events) == counted
    assert all(event.startswith(b"{") and event.endswith(b"}") for _, event in events)


def test_the_page_is_enough_to_read_a_recording_that_was_never_sealed(tmp_path: Path, letters) -> None:
    story = [
        TrackOpened(0, 5, 1, "stocks", request_headers=((b"Host", b"caf\xe9"),)),
        *(Frame(3 * n, n, 1, Sender(n % 5 == 0), 1, b"[{T:A %d},{Q:B}]" % n * 400) for n in range(1, 80)),
        BodyPart(300, -7, 4, bytes(range(256))),
        Interaction(301, 1, 2, 3, 4, "GET", "https://a/caf\udce9", 200, body_parts=1),
    ]
    path = tmp_path / "x.cassette"
    recording = Recording.create(path, Header(0, "letters"), redactor=letters.door(), indexer=letters.indexer)
    recording.append(story)
    recording.abandon()
    rows: dict[int, bytes] = {}
    (_, header), *chunks = blocks((tmp_path / "x.cassette.part").read_bytes())
    for _, payload in chunks:
        rows |= chunk_rows(payload)[1]
    segments = sorted(tmp_path.glob("x.cassette.part.w*"))
    assert (len(chunks), len(segments)) > (0, 0)
    for segment in segments:
        (kind, head), *ahead = blocks(segment.read_bytes())
        assert (kind, unpack(head)) == (6, {"number": int(segment.name[-6:]), "header": zlib.crc32(header)})
        last = max(rows)
        rows |= {seq: row for _, row in ahead if (seq := unpack(row)[1]) > last}
    assert [rows[seq] for seq in sorted(rows)] == [encode_row(record) for record in story]
